"""Which files of a folder are taken: the patterns of the options, and `.gitignore` files as Git reads them.

pathspec matches the options' patterns against whole paths. `.gitignore` files are matched level by level, as Git does (`git help
gitignore`), because a folder that is ignored is not entered, and pathspec gives `!*/` after `*` another meaning for folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragkit.errors import SourceError

_SUFFIX_PATTERN = re.compile(r"\*\*/\*(\.[\w.-]+)")
_MAX_BYTES = 1_000_000

_TOKEN = re.compile(r"\*+|\[[!^]?\]?(?:\\.|\[:\w+:\]|[^\]])*\]|\\.|.", re.DOTALL)
_MAX_JUMPS = 4
"""A pattern with more `**` is none that a person wrote, and matching it could take very long."""
_CLASSES = {
    "[:alnum:]": "a-zA-Z0-9", "[:alpha:]": "a-zA-Z", "[:digit:]": "0-9", "[:lower:]": "a-z", "[:space:]": r"\s",
    "[:upper:]": "A-Z", "[:xdigit:]": "0-9a-fA-F", "[:word:]": r"\w",
}  # fmt: skip


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path relative to the root, `/` at the end of a folder's, matches; without regard to case."""
    from pathspec import GitIgnoreSpec

    lowered = [pattern.lower() for pattern in patterns]
    negated = any(pattern.startswith("!") for pattern in lowered)
    # a hundred suffixes are one comparison; with negation the order of patterns counts
    suffixes = () if negated else tuple(match[1] for pattern in lowered if (match := _SUFFIX_PATTERN.fullmatch(pattern)))
    others = [pattern for pattern in lowered if negated or not _SUFFIX_PATTERN.fullmatch(pattern)]
    try:
        spec = GitIgnoreSpec.from_lines(others)
    except ValueError as error:
        raise SourceError(f"a pattern cannot be read: {error}", cure="correct the source's `include` or `exclude`") from error

    def matches(uri: str) -> bool:
        path = uri.lower()
        if path.endswith(suffixes):
            return True
        # a pattern that matches a folder matches all that is in it
        folder = path.rpartition("/")[0]
        if suffixes and "." in folder and any(part.endswith(suffixes) for part in folder.split("/")):
            return True
        return bool(others) and spec.match_file(path)

    return matches


@dataclass(frozen=True)
class _Pattern:
    """A line: what it says (`ignores`), and of what: of names, or of paths relative to its file's folder."""

    ignores: bool
    folders_only: bool
    of_names: bool
    matches: Callable[[str], object]


@dataclass(frozen=True)
class Ignoring:
    """What the `.gitignore` files from the repository's root down to a folder say.

    `files` has the innermost file first: the number of characters that paths lose to be relative to it, and its patterns,
    the last one first.
    """

    files: tuple[tuple[int, tuple[_Pattern, ...]], ...] = ()

    @classmethod
    def above(cls, root: Path) -> Ignoring:
        """What the repository that `root` lies in says of it. Nothing, if it says that `root` itself is ignored."""
        top = next((folder for folder in (root, *root.parents) if os.path.exists(folder / ".git")), None)  # noqa: PTH110
        if top is None:
            return cls()
        ignoring, folder = cls()._with(top, top / ".git" / "info" / "exclude"), top
        for name in root.relative_to(top).parts:
            ignoring = ignoring._with(folder, folder / ".gitignore")
            folder = folder / name
            if ignoring.ignores(str(folder), is_folder=True):
                return cls()
        return ignoring

    def below(self, folder: str) -> Ignoring:
        """With the `.gitignore` of `folder`, which is known to be there."""
        return self._with(Path(folder), Path(folder, ".gitignore"))

    def ignores(self, path: str, *, is_folder: bool) -> bool:
        """What the last pattern of the innermost file says that matches `path`. A folder that is ignored is not entered."""
        name = path.rpartition("/")[2]
        for cut, patterns in self.files:
            relative = path[cut:]
            for pattern in patterns:
                if (is_folder or not pattern.folders_only) and pattern.matches(name if pattern.of_names else relative):
                    return pattern.ignores
        return False

    def _with(self, folder: Path, file: Path) -> Ignoring:
        patterns = _read(file)
        cut = len(os.path.join(folder, ""))  # noqa: PTH118 - with a slash at the end
        return Ignoring(((cut, patterns), *self.files)) if patterns else self


def _read(file: Path) -> tuple[_Pattern, ...]:
    """The patterns of a file that is there, no link and not huge, the last one first."""
    try:
        if file.is_symlink() or not file.is_file():
            return ()
        with file.open("rb") as opened:
            lines = os.fsdecode(opened.read(_MAX_BYTES).removeprefix(b"\xef\xbb\xbf")).split("\n")
    except OSError as error:
        raise SourceError(
            f"{file} cannot be read: {error.strerror}", cure="give this user the permission, or set `gitignore: false`"
        ) from error
    return tuple(_patterns(lines))[::-1]


def _patterns(lines: Sequence[str]) -> Iterator[_Pattern]:
    """A line that is no pattern is passed over, as Git does."""
    for line in lines:
        text = re.sub(r"(?<!\\) +\Z", "", line.removesuffix("\r"))
        if not text or text.startswith("#"):
            continue
        glob = text.removeprefix("!")
        folders_only = glob.endswith("/")
        glob = glob.removesuffix("/")
        try:
            matches = re.compile("".join(_regex(glob.removeprefix("/"))), re.DOTALL).fullmatch
        except re.error:
            continue
        if glob:
            yield _Pattern(not text.startswith("!"), folders_only, "/" not in glob, matches)


def _regex(glob: str) -> Iterator[str]:
    """The pattern as a regular expression, one segment of the path after the other."""
    segments = re.sub(r"(?:(?<=/)|\A)\*\*/(?:\*\*/)+", "**/", glob).split("/")
    if segments.count("**") > _MAX_JUMPS:
        raise re.error("too many **")
    for number, segment in enumerate(segments, 1):
        last = number == len(segments)
        if segment == "**":
            yield ".+" if last else "(?:.*/)?"
        else:
            yield _segment(segment) + ("" if last else "/")


def _segment(glob: str) -> str:
    """Between stars the first match is as good as any later one: atomic groups keep a row of stars from taking very long."""
    parts = [""]
    for token in _TOKEN.findall(glob):
        if token.startswith("*"):
            parts.append("")
        else:
            parts[-1] += _character(token)
    if len(parts) == 1:
        return parts[0]
    return parts[0] + "".join(f"(?>[^/]*?{part})" for part in parts[1:-1]) + "[^/]*" + parts[-1]


def _character(token: str) -> str:
    if token == "?":
        return "[^/]"
    if len(token) > 1 and token.startswith("["):
        inner = re.sub(r"\A[!^]", "^", token[1:-1])
        inner = re.sub(r"\[:\w+:\]|\[", lambda match: _CLASSES.get(match[0], r"\["), inner)
        return f"(?!/)[{inner}]"
    return re.escape(token[1:] if len(token) > 1 else token)
