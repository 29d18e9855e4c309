"""What a component can be told in the YAML: its options, and what each means for the index.

Every option has a *role*. `identity` options change what the index holds, so they are part of its fingerprint:
changing one builds a new index beside the old. `runtime` options (a timeout, an address) change nothing that is
stored. `secret` options never appear in any output. A field without a role is `runtime`; a `SecretStr` is `secret`.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

_ROLE = "x-ragkit-role"


class Role(StrEnum):
    """What changing an option means: a new index, nothing stored, or nothing shown."""

    IDENTITY = "identity"
    RUNTIME = "runtime"
    SECRET = "secret"


def identity(default: Any = ..., **constraints: Any) -> Any:
    """Declare an option that changes what the index holds. `constraints` are those of `pydantic.Field`."""
    return Field(default, json_schema_extra={_ROLE: Role.IDENTITY.value}, **constraints)


def runtime(default: Any = ..., **constraints: Any) -> Any:
    """Declare an option that changes nothing stored. `constraints` are those of `pydantic.Field`."""
    return Field(default, json_schema_extra={_ROLE: Role.RUNTIME.value}, **constraints)


def secret(default: Any = ..., **constraints: Any) -> Any:
    """Declare an option that is never shown; annotate it with `SecretStr`."""
    return Field(default, json_schema_extra={_ROLE: Role.SECRET.value}, **constraints)


class Options(BaseModel):
    """The options of a component: subclass it, and its fields are the YAML keys.

    Frozen; unknown keys are errors; defaults are checked too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, arbitrary_types_allowed=True)

    @classmethod
    def role(cls, field: str) -> Role:
        """The role of `field`."""
        info = cls.model_fields[field]
        if isinstance(info.json_schema_extra, dict) and _ROLE in info.json_schema_extra:
            return Role(str(info.json_schema_extra[_ROLE]))
        return Role.SECRET if "SecretStr" in str(info.annotation) else Role.RUNTIME

    def identity_values(self) -> dict[str, Any]:
        """The identity options as plain values that JSON can hold, nested components included."""
        return {name: _plain(getattr(self, name)) for name in type(self).model_fields if self.role(name) is Role.IDENTITY}


class SourceOptions(Options):
    """The options that every source should have; the host applies them, so that a source need not."""

    category: str | None = runtime(
        None,
        min_length=1,
        max_length=100,
        description="what all its documents are: `article`, `post`, `repository` or a word of your own, by which cleaners and "
        "chunkers can be chosen; by default what each document says of itself",
    )


class CleanerOptions(Options):
    """The options that every cleaner should have; the host applies them, so that a cleaner need not."""

    categories: tuple[str, ...] | None = identity(
        None, min_length=1, description="clean documents of these categories alone; by default all documents"
    )


class RerankerOptions(Options):
    """The options that every reranker should have; the host applies them, so that a reranker need not.

    A subclass whose cost grows with what it reads adds `candidates`, how many of the best hits it looks at; the host hands
    it no more, and lets the others follow in their order.
    """

    top_n: int | None = runtime(None, ge=1, le=1_000, description="how many hits are left after this stage; none means all")
    budget_ms: int | None = runtime(
        None, ge=1, le=600_000, description="skip the stage for a question if it would take longer; none means no limit"
    )


def _plain(value: Any) -> Any:
    if hasattr(value, "identity"):
        return value.identity()
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, SecretStr):
        return "secret"
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _from_file(value: Any, info: ValidationInfo) -> Any:
    """Resolve a path against the folder of the file that it stands in."""
    if not isinstance(value, str | Path):
        return value
    folder = getattr(value, "folder", None) or (info.context or {}).get("folder")
    path = Path(os.path.expanduser(value))  # noqa: PTH111 - pathlib's raises for an unknown user
    return Path(folder) / path if folder is not None else path


ConfigPath = Annotated[Path, BeforeValidator(_from_file)]
"""A path option. A relative one is relative to the YAML file that it stands in."""
