"""Attention in bfloat16 on a processor, by products of matrices: torch's own kernel is no faster there than in float32.

It stands beside the implementations that transformers has, under `NAME`, and leaves to torch's what it does not do better.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import pad
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "ragkit_bfloat16"
_SHORTEST = 96
"""Of shorter texts torch's kernel is at least as fast."""
_LANES = 32
"""The softmax takes so many numbers at a time, and what is left of a row one by one."""

_OTHER = ("position_bias", "softcap", "cache")
"""What makes it something else than plain attention."""


def use(model: torch.nn.Module) -> bool:
    """Have a model on a processor attend this way, where it would with torch's kernel; returns whether it will."""
    if not isinstance(model, PreTrainedModel) or model.device.type != "cpu" or model.config._attn_implementation != "sdpa":
        return False
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, bias)
    model.set_attn_implementation(NAME)
    return bool(model.config._attn_implementation == NAME)


def leave(model: torch.nn.Module) -> bool:
    """Have the model attend with torch's kernel again; returns True."""
    if isinstance(model, PreTrainedModel) and model.config._attn_implementation == NAME:
        model.set_attn_implementation("sdpa")
    return True


def bias(*args: Any, **kwargs: Any) -> torch.Tensor | None:
    """What is added to the scores, (texts, 1, tokens or 1, tokens): 0 for what a token may see, else the least number."""
    seen = sdpa_mask(*args, **kwargs)
    if seen is None:
        return None
    if bool((seen == seen[:, :, :1]).all()):  # padding alone: every token of a text sees the same
        seen = seen[:, :, :1]
    kind = kwargs.get("dtype") or torch.float32
    return torch.zeros(seen.shape, dtype=kind).masked_fill_(~seen, torch.finfo(kind).min)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """softmax(query · keyᵀ · scaling + mask) · value: (texts, heads, tokens, dim) in, (texts, tokens, heads, dim) out.

    One text at a time, so that its scores stay in the processor's cache.
    """
    other = kwargs.get("dropout") or any(kwargs.get(name) is not None for name in _OTHER)
    causal = attention_mask is None and kwargs.get("is_causal", getattr(module, "is_causal", True)) is not False
    foreign = attention_mask is not None and attention_mask.dtype != query.dtype  # a model's own mask, not from `bias`
    if other or causal or foreign or not _suits(query, key, value):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    texts, heads, tokens, dim = query.shape
    more = -tokens % _LANES
    if attention_mask is None:
        attention_mask = query.new_zeros(1, 1, 1, tokens)
    added = pad(attention_mask, (0, more), value=torch.finfo(query.dtype).min).expand(texts, -1, -1, -1)
    keys, values = (pad(one, (0, 0, 0, more)) for one in (key, value))
    scale = dim**-0.5 if scaling is None else scaling
    scores = query.new_empty(heads, tokens, tokens + more)
    shares = torch.empty_like(scores)
    found = query.new_empty(texts, tokens, heads, dim)
    for text in range(texts):
        torch.baddbmm(added[text], query[text], keys[text].transpose(1, 2), alpha=scale, out=scores)
        torch.softmax(scores, -1, out=shares)
        found[text] = torch.bmm(shares, values[text]).transpose(0, 1)
    return found, None


def _suits(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Whether these are long texts, each of which attends to itself, in bfloat16 and without a gradient."""
    here = query.dtype == torch.bfloat16 and query.device.type == "cpu" and not torch.is_grad_enabled()
    return here and query.shape == key.shape == value.shape and query.shape[2] >= _SHORTEST
