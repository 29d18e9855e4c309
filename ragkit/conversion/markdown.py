"""Markdown files: title and metadata from front matter and headings."""

from __future__ import annotations

import datetime
import logging
import re
from typing import Any

from ragkit.conversion.convert import Content
from ragkit.conversion.dates import iso_date
from ragkit.text import headings

_logger = logging.getLogger(__name__)

_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_MAX_CHARS = 50_000
_MAX_KEYS = 50
_MAX_VALUE_CHARS = 2_000
_RESERVED = frozenset(("uri", "title", "format", "file_type", "source", "heading", "page"))


def read_markdown(text: str) -> Content:
    """The text without its front matter. The title is that of the front matter, else the first heading of level 1."""
    metadata: dict[str, Any] = {}
    title = ""
    match = _FRONT_MATTER.match(text[:_MAX_CHARS])
    if match and (values := _front_matter(match[1])) is not None:
        text = text[match.end() :]
        title = str(_flat(values.get("title")) or "").strip()
        for key, value in list(values.items())[:_MAX_KEYS]:
            flat = _flat(value)
            if flat is not None and str(key).lower() not in _RESERVED:
                metadata[str(key)] = flat
        metadata = _usual(metadata)
    return Content(text, "markdown", title or first_title(text), metadata)


def _usual(metadata: dict[str, Any]) -> dict[str, Any]:
    """With `author`, `date` and `language` where the front matter says them in another way."""
    usual = dict(metadata)
    authors = usual.get("author") or usual.get("authors")
    if authors:
        usual["author"] = "; ".join(authors) if isinstance(authors, list) else str(authors)
    if date := iso_date(usual.get("date") or usual.get("published")):
        usual["date"] = date
    if isinstance(usual.get("lang"), str):
        usual.setdefault("language", usual["lang"])
    return usual


def first_title(markdown: str) -> str:
    """The first heading of level 1, or nothing."""
    return next((heading.title for heading in headings(markdown) if heading.level == 1), "")


def _front_matter(block: str) -> dict[Any, Any] | None:
    """The YAML of a front matter; None for what is not a mapping, which is then part of the text."""
    import yaml

    try:
        values = yaml.safe_load(block)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        _logger.info("front matter that is no YAML is taken as text: %s", error)
        return None
    return values if isinstance(values, dict) else {} if values is None else None


def _flat(value: Any) -> str | int | float | bool | list[str] | None:
    """What stores can filter by: a scalar, or a list of strings; None for anything deeper, and for what is very long."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str):
        return value if len(value) <= _MAX_VALUE_CHARS else None
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)[:_MAX_VALUE_CHARS]
    if isinstance(value, list) and value and len(value) <= _MAX_KEYS:
        items = [_flat(item) for item in value if not isinstance(item, list | dict)]
        return [str(item) for item in items if item is not None] or None
    return None
