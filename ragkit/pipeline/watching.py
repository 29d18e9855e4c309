"""Which files a configuration's sources read, and being told when they change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ragkit.config import Config
from ragkit.errors import ComponentError, SourceError

_LOOK_MS = 500
_SETTLE_MS = 1_000
"""Changes that follow each other as quickly as this are one."""


def watched(config: Config, only: Sequence[str] = ()) -> list[Path]:
    """The folders and files that the sources are given as options; with `only`, those of the sources of these names."""
    found = [
        value
        for spec in config.sources
        if not only or spec.name in only
        for name in type(spec.options).model_fields
        if isinstance(value := getattr(spec.options, name), Path)
    ]
    return list(dict.fromkeys(path.absolute() for path in found))


def changes(paths: Sequence[Path], state: str) -> Iterator[None]:
    """Comes once when it has begun to look, and then whenever something changes in `paths`, until Ctrl-C.

    What ragkit writes into `state` is no change.
    Raises `SourceError` for a path that does not exist, and `ComponentError` without the package that watches.
    """
    try:
        from watchfiles import DefaultFilter, watch
    except ImportError as error:
        raise ComponentError(
            "--watch needs the package watchfiles", component="watch", cure="pip install 'ragkit[watch]'"
        ) from error
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise SourceError(f"{', '.join(missing)} cannot be watched: it does not exist", cure="correct the source's `path`")
    seen = DefaultFilter(ignore_paths=[state])
    begun = False
    for found in watch(
        *paths,
        watch_filter=seen,
        debounce=_SETTLE_MS,
        step=50,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        raise_interrupt=True,
    ):
        if found or not begun:
            begun = True
            yield None
