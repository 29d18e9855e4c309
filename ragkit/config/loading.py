"""`load` and `parse`: from a file, or from values, to a `Config`, or to one error with every problem.

A file is laid over the one that it `extends`, and `--set` over both. Mappings merge key by key; anything else replaces. A
component that is given another `use` replaces the base's as a whole, so that no option of one reaches another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ragkit.config.reader import Mark, Parts, Place, Reader, read_text
from ragkit.config.settings import DEFAULTS, Config, opened
from ragkit.config.validation import validate
from ragkit.errors import ConfigError, Problem
from ragkit.host import Host

MAX_EXTENDS = 10
_SET = "--set"


def load(path: Path, host: Host, *, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Config:
    """Read the YAML file at `path` with what it extends, apply `overrides` (`key.path=value`), and validate it.

    `environ` stands in for the process's environment. `ConfigError` lists every problem, in file order.
    """
    files = _Files(os.environ if environ is None else environ)
    try:
        data = files.read(path)
    except ConfigError as error:
        cure = "" if path.exists() else "`ragkit init` writes one"
        raise ConfigError([*files.problems, *error.problems], cure=cure) from None
    for override in overrides:
        data = files.override(data, override)
    config, found = validate(data, files.places, host, path.absolute().parent)
    problems = [*files.problems, *found]
    if problems or config is None:
        raise ConfigError(sorted(problems, key=files.order))
    return config.model_copy(update={"file": path.absolute()})


def parse(data: Mapping[str, Any], host: Host, *, folder: Path) -> Config:
    """The configuration that `data` describes; relative paths are relative to `folder`. Variables are left alone."""
    config, problems = validate(data, {}, host, folder)
    if problems or config is None:
        raise ConfigError(problems)
    return config


class _Files:
    """Reads a file, its base files and overrides; `places` and `problems` are those of all of them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.places: dict[Parts, Place] = {}
        self.problems: list[Problem] = []
        self._environ = environ
        self._chain: dict[str, str] = {}

    def order(self, problem: Problem) -> tuple[int, int, int]:
        """For sorting: files as they were read, overrides last."""
        return [*self._chain.values(), problem.file].index(problem.file), problem.line, problem.column

    def read(self, path: Path) -> dict[str, Any]:
        """The file at `path` over its base files; `ConfigError` where there is nothing to go on with."""
        self._chain[os.path.realpath(path)] = str(path)
        reader = Reader(str(path), path.absolute().parent, self._environ, self.problems)
        data = reader.read(read_text(path))
        if not isinstance(data, dict):
            place = reader.places.get((), Place(Mark(str(path), 1, 1)))
            told = "is empty" if data is None else "is a list" if isinstance(data, list) else "is a single value"
            message = f"{told}; a configuration is a mapping of keys such as 'sources:'"
            raise ConfigError([Problem("", message, *place.value)])
        for key in DEFAULTS:
            if isinstance(data.get(key), str):  # merging opens a bare name, whose `use` stands where it does
                reader.places[key, "use"] = reader.places[key,]
        self.places = reader.places | self.places  # what was read before lies over this
        if "extends" in data:
            named, place = data.pop("extends"), reader.places["extends",]
            try:
                return merged(self.read(self._base(path, named, place)), data)
            except ConfigError as error:
                for one in error.problems:
                    here = Problem("extends", f"{one.file}: {one.message}", *place.value)
                    self.problems.append(one if one.line else here)
                self.places[()] = self.places[()]._replace(broken=True)  # what the base would have said is not missed on top
        return data

    def _base(self, path: Path, named: Any, place: Place) -> Path:
        """The file that the one at `path` extends, which is `named` there."""
        told = "must be the path of a YAML file"
        if isinstance(named, str) and named and "\0" not in named:
            target = path.parent / os.path.expanduser(named)  # noqa: PTH111 - pathlib's raises for an unknown user
            if os.path.realpath(target) in self._chain:
                told = f"goes round in a circle: {' → '.join([*self._chain.values(), str(named)])}"
            elif len(self._chain) > MAX_EXTENDS:
                told = f"is more than {MAX_EXTENDS} files deep"
            else:
                return target
        raise ConfigError([] if place.broken else [Problem("extends", told, *place.value)])

    def override(self, data: dict[str, Any], override: str) -> dict[str, Any]:
        """`data` with one `key.path=value` applied."""
        key, separator, text = override.partition("=")
        path = tuple(key.strip().split("."))
        try:
            if not separator or not all(path):
                raise ConfigError([Problem("", f"{override!r} is not key.path=value", _SET)])
            if path[0] == "extends":
                raise ConfigError([Problem("extends", "can only be set in the file", _SET)])
            reader = Reader(_SET, None, self._environ, self.problems)
            changed: dict[str, Any] = overridden(data, path, reader.read(text, path))
        except ConfigError as error:
            self.problems += error.problems
            return data
        here = Place(Mark(_SET), Mark(_SET))
        above = {path[:depth]: here for depth in range(1, len(path))}
        self.places = above | self.places | {path: here} | reader.places
        return changed


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A whole configuration laid over another."""
    both = [key for key in DEFAULTS if key in base and key in over]
    base = {**base, **{key: opened(base[key], DEFAULTS[key]) for key in both}}
    return dict(_laid(base, {**over, **{key: opened(over[key]) for key in both}}))


def _laid(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict) or over.get("use", base.get("use")) != base.get("use"):
        return over
    return base | {key: _laid(base.get(key), value) for key, value in over.items()}


def overridden(data: Any, path: Parts, value: Any, depth: int = 0) -> Any:
    """`data`, which stands at `path[:depth]`, with `value` at `path`; a bare name is opened, a missing mapping made."""
    if depth == len(path):
        return value
    key = path[depth]
    if isinstance(data, list):
        if not key.isdecimal() or int(key) >= len(data):
            told = f"there is no entry {key!r}; the list has {len(data)}, counted from 0"
            raise ConfigError([Problem(".".join(path), told, _SET)])
        return [overridden(item, path, value, depth + 1) if at == int(key) else item for at, item in enumerate(data)]
    entries = opened(data) if isinstance(data, dict | str) else {}
    if path[depth:] == ("use",) and entries.get("use") != value:
        entries = {}
    return {**entries, key: overridden(entries.get(key), path, value, depth + 1)}
