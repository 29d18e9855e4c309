"""Batches of texts: by tokens and length, and the same vectors as one by one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ragkit_huggingface
from ragkit.testing import build_context
from ragkit_huggingface import HuggingFaceOptions
from ragkit_huggingface.batches import batches


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(1, 40), st.integers(1, 2_000))
def test_every_text_is_in_one_batch_that_keeps_the_bounds(lengths: list[int], most_texts: int, most_tokens: int) -> None:
    made = batches(lengths, most_texts, most_tokens)
    assert sorted(position for batch in made for position in batch) == list(range(len(lengths)))
    for batch in made:
        longest = max(lengths[position] for position in batch)
        assert len(batch) <= most_texts
        assert len(batch) == 1 or len(batch) * longest <= most_tokens
    in_order = [lengths[position] for batch in made for position in batch]
    assert in_order == sorted(lengths, reverse=True)


def test_batches_are_filled() -> None:
    assert [len(batch) for batch in batches([10] * 100, 32, 10_000)] == [32, 32, 32, 4]
    assert [len(batch) for batch in batches([10] * 100, 200, 250)] == [25, 25, 25, 25]


@pytest.mark.parametrize(
    "options", [{}, {"batch_size": 3}, {"batch_tokens": 40}, {"dtype": "float32"}, {"text_prompt": "about a lake: "}]
)
def test_vectors_do_not_depend_on_the_batch(tmp_path_factory: pytest.TempPathFactory, options: dict[str, object]) -> None:
    texts = [f"{'words and more words ' * (number % 7)}about lake {number}" for number in range(40)] + ["", "湖", "x" * 3_000]
    model = ragkit_huggingface.build(HuggingFaceOptions(**options), build_context(tmp_path_factory.mktemp("model")))
    together = np.array(model.get_text_embedding_batch(texts))
    alone = np.array([model.get_text_embedding(text) for text in texts])
    theirs = np.array(model._encoded(texts, "text"))
    assert together.shape == (len(texts), 384)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-4)
    assert ((together * alone).sum(axis=1) > 0.999).all()
    assert ((together * theirs).sum(axis=1) > 0.999).all(), "not what sentence-transformers gives"


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "3000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None"), ({"GOMP_SPINCOUNT": "7"}, "7")]
)
def test_threads_wait_as_the_environment_says_or_soon_asleep(given: dict[str, str], expected: str) -> None:
    """What counts is what the environment says when torch is imported; the process ends there."""
    code = (
        "import os, sys, tempfile, pathlib, ragkit_huggingface as h; from ragkit.testing import build_context\n"
        "assert 'torch' not in sys.modules\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            print(os.environ.get('GOMP_SPINCOUNT'), flush=True)\n"
        "            os._exit(0)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "h.build(h.HuggingFaceOptions(), build_context(pathlib.Path(tempfile.mkdtemp())))\n"
        "print('torch is not imported')"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_texts_of_many_lengths_make_batches_of_few_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each shape oneDNN would keep machine code in bfloat16."""
    model = ragkit_huggingface.build(HuggingFaceOptions(), build_context(tmp_path))
    widths: list[int] = []
    forward = type(model)._forward

    def noted(self: object, rows: dict[str, torch.Tensor]) -> list[list[float]]:
        widths.append(rows["input_ids"].shape[1])
        return forward(self, rows)

    monkeypatch.setattr(type(model), "_forward", noted)
    for words in (*range(1, 40), 600):
        model.query_embeddings(["lake " * words])
    if next(model._model.parameters()).dtype == torch.bfloat16:
        assert set(widths) == {8, 16, 24, 32, 40, 48, 256}
    else:
        assert len(set(widths)) == 40
