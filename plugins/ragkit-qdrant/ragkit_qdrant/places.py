"""How a collection of Qdrant's is made: the quantization of its vectors and the indexes of its payloads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ragkit_qdrant.records import LISTS, METADATA, MOMENTS, path

if TYPE_CHECKING:
    from qdrant_client import models

_KINDS = {"keyword": "keyword", "integer": "float", "float": "float", "bool": "bool"}
"""Of Qdrant's kinds. Numbers are compared as ranges of floats: an index of integers would not find `2020.0`."""


def index_paths(asked: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The path and the kind of each index: a key's single values and the members of its lists lie apart."""
    yield "document", "keyword"
    for key, kind in sorted(asked.items()):
        if kind == "date":
            yield path(MOMENTS, key), "float"
            continue
        for part in (METADATA, LISTS):
            yield path(part, key), _KINDS[kind]


def missing(asked: Iterable[tuple[str, str]], there: Iterable[str]) -> list[tuple[str, str]]:
    """Those of the indexes that are not there; Qdrant tells paths without the quotes that they do not need."""
    known = {place.replace('"', "") for place in there}
    return [(place, kind) for place, kind in asked if place.replace('"', "") not in known]


def oversampling(ef_search: int, k: int) -> float:
    """Of compressed vectors, how many times as many as are wanted are ranked by the originals: as many as are looked at."""
    return max(1.0, ef_search / k)


def quantization(kind: str) -> models.QuantizationConfig | None:
    """What compresses the vectors that a search looks at first; the originals rank what it finds."""
    from qdrant_client import models

    match kind:
        case "scalar":
            return models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))
        case "binary":
            return models.BinaryQuantization(binary=models.BinaryQuantizationConfig())
    return None
