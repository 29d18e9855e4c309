"""Python in a process of its own that reaches no other machine."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap


def offline(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in which every attempt to reach another machine is counted and fails; prints the count at the end."""
    guard = """
        import socket
        attempts = []
        def refuse(*arguments, **_):
            attempts.append(arguments)
            raise OSError("no network in this test")
        socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
    """
    code = "\n".join([textwrap.dedent(guard), textwrap.dedent(script), "print('attempts', len(attempts))"])
    return subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env={**os.environ, **environment}
    )
