"""Where something becomes durable.

Each such place raises an audit event (`sys.audit`, PEP 578), `ragkit.boundary` with the boundary's name, just before it
crosses. Nothing listens in normal use; the crash tests do, and kill the process there.
"""

from __future__ import annotations

import sys


def boundary(name: str) -> None:
    """Announce that `name` (such as `ledger.commit`) is about to become durable."""
    sys.audit("ragkit.boundary", name)
