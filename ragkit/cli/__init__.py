"""The `ragkit` command. Everything beyond argument parsing is imported by the command that needs it."""

from __future__ import annotations

_INTERRUPTED = 130
"""The exit status after Ctrl-C, which is Typer's too: 128 and the signal's number, as shells have it."""


def main() -> None:
    """Run the command line and exit with its status: 0 done, 1 failed, 2 wrong config or arguments, 3 done in part.

    A `RagkitError` is what a user can mend, so it is shown without a traceback; anything else keeps its own.
    """
    import sys

    from ragkit.errors import RagkitError

    try:
        from ragkit.cli.app import app

        app(prog_name="ragkit")
    except RagkitError as error:
        from ragkit.cli.render import show_error

        show_error(error)
        sys.exit(error.exit_status)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != _INTERRUPTED:
            raise
        sys.stderr.write("interrupted; nothing is lost: run the command again, and it goes on from there\n")
        sys.exit(_INTERRUPTED)
