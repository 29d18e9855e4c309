"""Half the bytes for the same vectors: bfloat16 where the processor has it and a check on the model itself agrees."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ragkit_huggingface import attention

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

AGREEMENT = 0.999
"""The least cosine between a vector in bfloat16 and the same in float32."""

_PROBES = (
    "How many days of leave do employees get?",
    "def connect(url: str, timeout_s: float = 10.0) -> Connection: return Connection(urlparse(url), timeout_s)",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "机器学习是人工智能的一个分支。",
    "The ledger holds the documents, their chunks with text, and one growing sequence number. " * 12,
    "error",
)


def faster(model: SentenceTransformer) -> SentenceTransformer:
    """The model with its transformer in bfloat16, where that gives the same vectors faster; else the model itself.

    Pooling, normalising and what follows stay in float32.
    """
    if not _has_bfloat16(model.device) or not hasattr(model[0], "auto_model"):
        return model
    other = deepcopy(model)
    transformer: Any = other[0].auto_model
    transformer.to(torch.bfloat16)
    other[0].register_forward_hook(_as_float32)
    for attending in (attention.use, attention.leave):
        if attending(transformer) and agreement(model, other) >= AGREEMENT:
            return other
    return model


def agreement(model: SentenceTransformer, other: SentenceTransformer) -> float:
    """The least cosine between what two models make of the same texts; 0 where one of them gives no number."""
    ours, theirs = (np.asarray(one.encode(list(_PROBES), show_progress_bar=False), dtype=np.float64) for one in (model, other))
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = (ours * theirs).sum(axis=1) / np.maximum(norms, 1e-12)
    return float(np.nan_to_num(cosines).min())


def _has_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 are fast there: AVX512-BF16 or AMX, or a GPU that has them."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(check() for check in checks if check is not None)


def _as_float32(module: Any, inputs: Any, features: dict[str, Any]) -> dict[str, Any]:
    """The transformer's output for what comes after it."""
    floating = {key: value for key, value in features.items() if isinstance(value, torch.Tensor) and value.is_floating_point()}
    return {**features, **{key: value.float() for key, value in floating.items()}}
