"""A tiny cross encoder with random weights: 2 layers of 32, letters as its vocabulary, 128 tokens, one score per pair."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

MAX_LENGTH = 128


def tiny_cross_encoder(folder: Path, *, labels: int = 1, seed: int = 0, nan: bool = False, **config: Any) -> Path:
    """Save one in `folder`: safetensors and a tokenizer. With `nan`, every score is NaN. `config` is merged into config.json."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    from ragkit_huggingface.quiet import quiet

    folder.mkdir(parents=True)
    letters = string.ascii_lowercase + string.digits
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    words = folder / "vocab.txt"
    words.write_text("\n".join(vocabulary), "utf-8")
    torch.manual_seed(seed)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=MAX_LENGTH,
            num_labels=labels,
            initializer_range=0.5,
        )
    )
    if nan:
        torch.nn.init.constant_(model.classifier.bias, float("nan"))
    with quiet():
        model.save_pretrained(folder)
    BertTokenizerFast(str(words), model_max_length=MAX_LENGTH).save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **config}), "utf-8")
    return folder
