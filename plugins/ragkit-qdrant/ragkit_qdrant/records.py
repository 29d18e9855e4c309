"""What a node becomes in Qdrant: a payload that filters can be evaluated on with ragkit's meaning.

    {"document": "…", "metadata": {"year": 2020}, "lists": {"tags": ["a"]}, "more": "{…}", "complex": ["nested"], "text": "…"}

Qdrant takes a list for any of its members, ragkit does not: single values and lists lie apart. What has no exact form there is
in `more` as JSON, its nearest form beside it, so that an order still finds it; `complex` names those keys.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ragkit.errors import ComponentError
from ragkit.filters import instant

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode, TextNode

    Payload = dict[str, Any]

DOCUMENT = "document"
METADATA = "metadata"
LISTS = "lists"
MORE = "more"
COMPLEX = "complex"
MOMENTS = "moments"
"""Of the texts that name a date or time, the microseconds since 1970 in UTC."""
TEXT = "text"

_LARGEST = 2**63 - 1


def payload(node: BaseNode, *, with_text: bool) -> Payload:
    """What is stored beside the node's vector. None is left out."""
    single: Payload = {}
    lists: Payload = {}
    more: Payload = {}
    moments: Payload = {}
    for key, given in node.metadata.items():
        item = given.isoformat() if isinstance(given, date) else given
        nearest = _list(item) if isinstance(item, list) else _single(item)
        if nearest is not None and filterable(key):
            (lists if isinstance(item, list) else single)[key] = nearest
        if item is not None and not (filterable(key) and _same(nearest, item)):
            more[key] = item
        moment = instant(item) if isinstance(nearest, str) else None
        if moment is not None and filterable(key):
            moments[key] = microseconds(moment)
    made: Payload = {}
    named = {
        DOCUMENT: node.ref_doc_id,
        METADATA: single,
        LISTS: lists,
        MOMENTS: moments,
        COMPLEX: [key for key in more if filterable(key)],
    }
    made |= {key: value for key, value in named.items() if value}
    if more:
        made[MORE] = json.dumps(more, default=str)
    if with_text:
        made[TEXT] = _plain(node)
    return made


def fields(record: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata that a payload was made of."""
    if not record:
        return {}
    own = {**record.get(METADATA, {}), **record.get(LISTS, {})}
    return {**own, **json.loads(record[MORE])} if MORE in record else own


def node_of(id_: str, record: Mapping[str, Any] | None) -> TextNode:
    """The chunk that a payload was made of, without its vector."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    node = TextNode(id_=id_, text=str((record or {}).get(TEXT, "")), metadata=fields(record))
    document = (record or {}).get(DOCUMENT)
    if document:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=str(document))
    return node


def filterable(key: str) -> bool:
    """Whether Qdrant's paths can name the key; the quotes of `path` have no escapes."""
    return bool(key) and '"' not in key and "\\" not in key and key.isprintable()


def path(part: str, key: str) -> str:
    """Qdrant's path of a key in a part of the payload."""
    return f'{part}."{key}"'


def microseconds(moment: timedelta) -> int:
    """The moment as the payload has it."""
    return moment // timedelta(microseconds=1)


def is_point(id_: str) -> bool:
    """Whether Qdrant gives the id back as it is: a UUID in lower case, with hyphens."""
    try:
        return str(UUID(id_)) == id_
    except ValueError:
        return False


def require_point(component: str, id_: str) -> str:
    """The id. Raises `ComponentError` where Qdrant has no such ids."""
    if not is_point(id_):
        raise ComponentError(
            f"{component}: the chunk id {id_[:80]!r} is no UUID, and Qdrant takes no other",
            component=component,
            cure="give nodes ids such as str(uuid4()); chunks that ragkit makes have them",
        )
    return id_


def require_numbers(component: str, vector: Sequence[float]) -> list[float]:
    """The vector. Raises `ComponentError` for NaN and infinity, which Qdrant stores and then ranks anyhow, or not at all."""
    values = list(map(float, vector))
    if not math.isfinite(sum(values)) and not all(map(math.isfinite, values)):
        raise ComponentError(
            f"{component}: a vector holds NaN or infinity", component=component, cure="look at the embedding model"
        )
    return values


def parcels(weights: Sequence[int], most: int, heaviest: int) -> Iterator[slice]:
    """Consecutive parts of at most `most` records and, as far as single ones allow, `heaviest` bytes."""
    start, weighs = 0, 0
    for i, weight in enumerate(weights):
        if i > start and (i - start == most or weighs + weight > heaviest):
            yield slice(start, i)
            start, weighs = i, 0
        weighs += weight
    if start < len(weights):
        yield slice(start, len(weights))


def weight(vector: Sequence[float], record: Mapping[str, Any]) -> int:
    """About how many bytes a point has as JSON."""
    return 22 * len(vector) + len(str(record).encode("utf-8", "replace"))


def _plain(node: BaseNode) -> str:
    from llama_index.core.schema import MetadataMode

    return node.get_content(metadata_mode=MetadataMode.NONE)


def _single(item: Any) -> Any:
    """The nearest value that Qdrant keeps, or None where there is none: of nested values, NaN and broken text."""
    if isinstance(item, bool):
        return item
    if isinstance(item, str):
        return item if _is_unicode(item) else None
    if isinstance(item, int) and abs(item) <= _LARGEST:
        return item
    if isinstance(item, int | float):
        return None if math.isnan(item) else float(max(-sys.float_info.max, min(sys.float_info.max, item)))
    return None


def _list(item: list[Any]) -> list[Any]:
    return [nearest for nearest in map(_single, item) if nearest is not None]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other and type(one) is type(other))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
