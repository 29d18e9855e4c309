"""Every error that ragkit raises on purpose.

    RagkitError                     shown without a traceback, exit status 1
    ├── ConfigError                 the YAML or the arguments are wrong, exit status 2
    │   └── DatasetError            the questions or judgments of an evaluation are wrong
    ├── PluginError                 a plugin is broken, misspelt, a duplicate or too new, exit status 2
    ├── ComponentError              a component cannot be built or failed while it worked
    ├── SourceError                 a source cannot list its documents
    ├── DocumentError               one document cannot be read, converted or cut; the others go on
    │   ├── DocumentGone            the document exists no more: the only error that removes something
    │   ├── UnknownDocumentError    there is no document with that id
    │   └── ForeignDocumentError    it belongs to another source, which alone may take it away
    ├── QueryError                  the question cannot be asked
    │   └── FilterError             a filter that was written by hand cannot be read
    └── StateError                  the state folder, the ledger or a view
        ├── StateVersionError       written by a newer ragkit
        ├── LockedError             another process holds it
        ├── MismatchError           the YAML does not describe the live index
        ├── DriftedError            a store's content disagrees with the ledger
        ├── ConversationError       there is no such conversation, or it cannot be changed so
        └── OwnershipError          a collection belongs to somebody else

A message says what is wrong, where, and what to do next; the attributes hold the same for programs.
Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class RagkitError(Exception):
    """The root. `cure` is what to do next; it ends the message."""

    exit_status = 1

    def __init__(self, message: str, *, cure: str = "") -> None:
        self.message = message
        self.cure = cure
        super().__init__(f"{message}\n  → {cure}" if cure else message)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a configuration.

    `line` and `column` count from 1; both are 0 where the value came from no file (`--set`, Python).
    """

    path: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class ConfigError(RagkitError):
    """The configuration is wrong. `problems` has every problem that was found, in file order."""

    exit_status = 2

    def __init__(self, problems: Sequence[Problem], *, cure: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), cure=cure)


class DatasetError(ConfigError):
    """The data of an evaluation cannot be used. `problems` has every problem that was found, with file and line."""


class PluginError(RagkitError):
    """A plugin breaks the rules. `distributions` names those involved."""

    exit_status = 2

    def __init__(self, message: str, *, distributions: Sequence[str] = (), cure: str = "") -> None:
        self.distributions = tuple(distributions)
        super().__init__(message, cure=cure)


class ComponentError(RagkitError):
    """A component failed. `component` is its name, such as `chroma`."""

    def __init__(self, message: str, *, component: str = "", cure: str = "") -> None:
        self.component = component
        super().__init__(message, cure=cure)


class SourceError(RagkitError):
    """A source cannot list its documents to the end; nothing of it is removed."""


class DocumentError(RagkitError):
    """One document cannot be taken; its last good version stays. `uri` names it where it is known."""

    def __init__(self, message: str, *, uri: str = "", cure: str = "") -> None:
        self.uri = uri
        super().__init__(message, cure=cure)


class DocumentGone(DocumentError):
    """The source says that the document exists no more (a deleted file, a 404, a 410): it is removed."""


class UnknownDocumentError(DocumentError):
    """There is no document with that id."""


class ForeignDocumentError(DocumentError):
    """The document is no upload: its source alone may take it away."""


class QueryError(RagkitError):
    """The question, a filter or a setting of this query is wrong."""

    exit_status = 2


class FilterError(QueryError):
    """A filter in ragkit's language cannot be read: `problem` says why, `position` where, in characters from 1."""

    def __init__(self, problem: str, position: int) -> None:
        self.problem = problem
        self.position = position
        super().__init__(
            f"filter, character {position}: {problem}",
            cure="write filters such as: year >= 2020 and category in [article, 'long read']",
        )


class StateError(RagkitError):
    """The state cannot be used."""


class StateVersionError(StateError):
    """The state was written by a newer ragkit than this one."""


class ConversationError(StateError):
    """A conversation that its asker has not, or a change that it does not take."""


class LockedError(StateError):
    """Another process holds what is needed. `holder` says which, as far as it is known."""

    def __init__(self, message: str, *, holder: str = "", cure: str = "") -> None:
        self.holder = holder
        super().__init__(message, cure=cure)


class MismatchError(StateError):
    """The configuration describes another index than the live one."""


class DriftedError(StateError):
    """A store does not hold what the ledger says it holds."""


class OwnershipError(StateError):
    """A collection carries no mark of this state; ragkit neither writes nor drops it."""
