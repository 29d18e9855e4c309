"""`chat`, `serve`, `keys`: what other people reach."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import DEFAULT_FILE, ConfigFile, Overrides

if TYPE_CHECKING:
    pass

_PACKAGES = {
    "serve": ("fastapi", "limits", "multipart", "prometheus_client", "uvicorn"),
    "chat": ("fastapi", "gradio", "limits", "multipart", "prometheus_client", "uvicorn"),
}
"""What the extras of the distribution bring."""

Host = Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Listen there, instead of `serve.host`.")]
Port = Annotated[
    int | None, typer.Option("--port", min=0, max=65_535, help="Listen there, instead of `serve.port`; 0 takes a free one.")
]


def chat(
    file: ConfigFile = DEFAULT_FILE,
    overrides: Overrides = None,
    host: Host = None,
    port: Port = None,
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """The chat page."""
    _run(file, overrides, host, port, api=False, opens=opens)


def serve(
    file: ConfigFile = DEFAULT_FILE,
    overrides: Overrides = None,
    host: Host = None,
    port: Port = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes that answer; several have no page.")] = 1,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Mount the chat page.")] = True,
) -> None:
    """The HTTP API, with the chat page mounted."""
    _run(file, overrides, host, port, page=page and workers == 1, workers=workers)


def keys(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    role: Annotated[str, typer.Option("--role", metavar="read|write", help="`write` may upload and delete, too.")] = "read",
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Add its hash to this file, which `serve.keys` names.", dir_okay=False),
    ] = None,
    expires: Annotated[
        datetime | None, typer.Option("--expires", formats=["%Y-%m-%d"], help="The last day on which it is taken.")
    ] = None,
) -> None:
    """Make an API key: the key on standard output, once; only its hash is kept."""
    from ragkit.cli.render import Output
    from ragkit.server.keys import Keys, new_key

    known = Keys.of(file, {}) if file is not None and file.exists() else Keys()
    secret, kept = new_key(name, role, _day(expires), known)
    if file is None:
        typer.echo(f"keep this line in the file that `serve.keys` names:\n{kept.line}\n\nthe key, shown this once:", err=True)
    else:
        _append(file, kept.line)
        typer.echo(f"added to {file}; the key, shown this once:", err=True)
    Output().line(secret)


def _run(
    file: Path, overrides: list[str] | None, host: str | None, port: int | None, *, api: bool = True, page: bool = True,
    workers: int = 1, opens: bool = False,
) -> None:  # fmt: skip
    from ragkit.cli.opening import open_config
    from ragkit.cli.render import Output

    given = {"serve.host": host, "serve.port": port}
    chosen = [*(overrides or ()), *(f"{key}={value}" for key, value in given.items() if value is not None)]
    config = open_config(file, chosen)
    output = Output(sys.stderr)
    _require("chat" if page else "serve")
    from ragkit.server.running import Start, run

    def ready(address: str) -> None:
        places = [f"the page: {address}"] if page else []
        places += [f"the API: {address}/docs"] if api else []
        output.line("\n".join(["ragkit is ready; Ctrl-C stops it", *places]))
        if opens and sys.stdout.isatty():
            import webbrowser

            webbrowser.open(address)

    run(config, Start(file.absolute(), tuple(chosen), api, page, workers), ready=ready)


def _require(extra: str) -> None:
    """Raise `RagkitError` where the packages of `ragkit chat` or `ragkit serve` are missing."""
    from importlib.util import find_spec

    from ragkit.errors import RagkitError

    missing = [name for name in _PACKAGES[extra] if find_spec(name) is None]
    if missing:
        raise RagkitError(f"`ragkit {extra}` needs {', '.join(missing)}", cure=f"pip install 'ragkit[{extra}]'")


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _append(file: Path, line: str) -> None:
    """Add a line to a file that its owner alone may read."""
    import os

    with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8") as opened:
        opened.write(line + "\n")
