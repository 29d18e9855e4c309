"""`load` and `parse`: from a file, or from values, to a `Config`, or to one error with every problem."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ragkit.config.merging import OverrideError, merged, overridden
from ragkit.config.nodes import Mark, Node, from_plain
from ragkit.config.reader import Reader, Unreadable, read_text
from ragkit.config.settings import Config
from ragkit.config.validation import validate
from ragkit.errors import ConfigError, Problem
from ragkit.host import Host

MAX_EXTENDS = 10
_SET = "--set"
_EXAMPLE = "a configuration is a mapping of keys such as 'sources:'"


def load(path: Path, host: Host, *, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Config:
    """Read the YAML file at `path` with what it extends, apply `overrides` (`key.path=value`), and validate it.

    `environ` stands in for the process's environment. `ConfigError` lists every problem, in file order.
    """
    files = _Files(os.environ if environ is None else environ)
    root = files.read(path, str(path), None)
    if root is None:
        raise ConfigError(files.problems, cure="" if path.exists() else "`ragkit init` writes one")
    for override in overrides:
        root = files.override(root, override, path.absolute().parent)
    config, found = validate(root, host, path.absolute().parent)
    problems = [*files.problems, *found]
    if problems or config is None:
        raise ConfigError(sorted(problems, key=files.order))
    return config.model_copy(update={"file": path.absolute()})


def parse(data: Mapping[str, Any], host: Host, *, folder: Path) -> Config:
    """The configuration that `data` describes; relative paths are relative to `folder`. Variables are left alone."""
    config, problems = validate(from_plain(data), host, folder)
    if problems or config is None:
        raise ConfigError(problems)
    return config


class _Files:
    """Reads a file with its base files, collecting the problems of all of them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._environ = environ
        self._chain: dict[str, str] = {}
        self._order: dict[str, int] = {}

    def order(self, problem: Problem) -> tuple[int, int, int]:
        """For sorting: files as they were read, overrides last."""
        return self._order.get(problem.file, len(self._order)), problem.line, problem.column

    def read(self, path: Path, shown: str, named: Mark | None) -> Node | None:
        """The merged tree of the file at `path`; None where there is nothing to go on with. `named` is the `extends` of it."""
        self._order.setdefault(shown, len(self._order))
        self._chain[os.path.realpath(path)] = shown
        reader = Reader(shown, path.absolute().parent, self._environ)
        try:
            root = reader.read(read_text(path, shown))
        except Unreadable as error:
            found = error.problem
            if named and not found.line:
                found = Problem("extends", f"{shown}: {found.message}", named.file, named.line, named.column)
            self.problems += [*reader.problems, found]
            return None
        self.problems += reader.problems
        if root is None or not isinstance(root.value, dict):
            held = None if root is None else root.value
            told = "is empty" if held is None else "is a list" if isinstance(held, tuple) else "is a single value"
            mark = Mark(shown, 1, 1) if root is None else root.mark
            self.problems.append(Problem("", f"{told}; {_EXAMPLE}", mark.file, mark.line, mark.column))
            return None
        return self._extended(root, path, shown)

    def _extended(self, root: Node, path: Path, shown: str) -> Node:
        entries = dict(root.value)
        named = entries.pop("extends", None)
        own = Node(entries, root.mark)
        if named is None or named.broken:
            return own
        if not isinstance(named.value, str) or not named.value or "\0" in named.value:
            return self._refused(own, named.mark, "must be the path of a YAML file")
        target = os.path.expanduser(named.value)  # noqa: PTH111 - pathlib's raises for an unknown user
        if os.path.realpath(path.parent / target) in self._chain:
            chain = " → ".join([*self._chain.values(), str(named.value)])
            return self._refused(own, named.mark, f"goes round in a circle: {chain}")
        if len(self._chain) > MAX_EXTENDS:
            return self._refused(own, named.mark, f"is more than {MAX_EXTENDS} files deep")
        below = self.read(path.parent / target, str(Path(shown).parent / target), named.mark)
        return replace(own, broken=True) if below is None else merged(below, own)

    def _refused(self, own: Node, mark: Mark, told: str) -> Node:
        self.problems.append(Problem("extends", told, mark.file, mark.line, mark.column))
        return replace(own, broken=True)  # what the base would have said is not missed on top

    def override(self, root: Node, override: str, folder: Path) -> Node:
        """`root` with one `key.path=value` applied."""
        key, separator, text = override.partition("=")
        path = key.strip().split(".")
        if not separator or not all(path):
            self.problems.append(Problem("", f"{override!r} is not key.path=value", file=_SET))
            return root
        if path[0] == "extends":
            self.problems.append(Problem("extends", "can only be set in the file", file=_SET))
            return root
        reader = Reader(_SET, folder, self._environ, positions=False)
        try:
            value = reader.read(text)
            found = [Problem(".".join(filter(None, (key, one.path))), one.message, _SET) for one in reader.problems]
            changed = overridden(root, path, value or Node(None, Mark(_SET)))
        except Unreadable as error:
            found, changed = [Problem(key, error.problem.message, file=_SET)], root
        except OverrideError as error:
            found, changed = [Problem(key, str(error), file=_SET)], root
        self.problems += found
        return changed
