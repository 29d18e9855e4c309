"""The caches of a configuration: opened as it says, bounded after an ingest, cleared when somebody asks for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ragkit.state import documents as table
from ragkit.state.embeddings import EmbeddingCache
from ragkit.state.layers import Layer, LayeredCache, MemoryLayer

if TYPE_CHECKING:
    from ragkit.config.settings import CacheSettings
    from ragkit.state.ledger import Ledger
    from ragkit.state.scores import ScoreCache
    from ragkit.state.storage import Storage

_logger = logging.getLogger("ragkit")
_DAY_S = 86_400


def open_cache(settings: CacheSettings, storage: Storage) -> LayeredCache:
    """The embedding cache of a state: memory and Redis, as far as the settings have them, before what is kept for good."""
    layers: list[Layer] = []
    if settings.memory_mb:
        layers.append(MemoryLayer(int(settings.memory_mb * 1e6)))
    if settings.redis is not None:
        from ragkit.state.redis_layer import RedisLayer

        url, ttl_s = settings.redis.url.get_secret_value(), max(1, int(settings.redis.ttl_days * _DAY_S))
        layers.append(RedisLayer(url, ttl_s=ttl_s, timeout_s=settings.redis.timeout, tell=_logger.warning))
    return LayeredCache(layers, EmbeddingCache(storage, settings.vectors))


def bound(cache: LayeredCache, ledger: Ledger) -> None:
    """Let go of vectors that are too many; those of living chunks stay."""
    with ledger.read() as connection:
        cache.prune(table.count_live(connection), table.live_inputs(connection))


def clear(cache: LayeredCache, scores: ScoreCache, ledger: Ledger, *, everything: bool) -> dict[str, int]:
    """Forget what can be computed again, of the vectors only those that no chunk needs unless `everything`; returns how many."""
    with ledger.read() as connection:
        vectors = cache.clear(() if everything else table.live_inputs(connection))
    return {"vectors": vectors, "scores": scores.clear()}
