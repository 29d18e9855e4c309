"""Environment variables in scalars: `${NAME}`, `${NAME:-default}`; `$${` stands for a literal `${`."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PIECE = re.compile(r"\$\$\{|\$\{(?P<body>[^{}]*)\}|\$\{")
_BODY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:-.*)?", re.DOTALL)


class VariableError(ValueError):
    """A variable that cannot be replaced; its text is the message."""


def expand(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with its variables replaced, and their names. As in a shell, `:-` covers the empty value too."""
    used: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        body = _BODY.fullmatch(match["body"] or "")
        if body is None:
            raise VariableError(
                f"'{match[0]}' is not a variable; write ${{NAME}} or ${{NAME:-default}}, and $${{ for a literal ${{"
            )
        name, default = body[1], body[2]
        value = environ.get(name)
        if default is not None and not value:
            return default[2:]
        if value is None:
            raise VariableError(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        used.append(name)
        return value

    return _PIECE.sub(replaced, text), used


def escape(text: str) -> str:
    """The text such that `expand` gives it back."""
    return text.replace("${", "$${")
