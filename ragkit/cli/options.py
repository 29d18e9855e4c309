"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_FILE = Path("ragkit.yaml")

ConfigFile = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration.", dir_okay=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a value of the configuration for this run; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else there.")]
Question = Annotated[str, typer.Argument(metavar="QUESTION", help="The question; - reads it from standard input.")]
TopK = Annotated[int | None, typer.Option("-k", metavar="N", min=1, help="How many hits, instead of top_k.", show_default=False)]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", metavar="FILTER", help="Keep only what satisfies, say, 'page >= 3 and lang in [en, de]'; repeatable."
    ),
]


def _alpha(text: str) -> float | str:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number from 0 to 1 nor auto") from None


Alpha = Annotated[
    Any,
    typer.Option(
        parser=_alpha,
        metavar="0…1|auto",
        help="The weight of dense in a hybrid retriever, for this question; auto reads it off the question.",
        show_default=False,
    ),
]
