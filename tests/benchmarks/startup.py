"""What the command line costs to start, against the imports that it cannot do without.

    python tests/benchmarks/startup.py [--runs 15]

Prints the best of the runs for the imports, for `ragkit --help` and for `ragkit check`, with their budgets: 1.5 and 2 times
the imports, plus 0.05 s. Exit status 1 if one is above its budget.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORTS = "import typer, rich.console, pydantic, yaml, pluggy"
RAGKIT = [sys.executable, "-c", "from ragkit.cli import main; main()"]
GRACE_SECONDS = 0.05


def seconds(command: list[str], folder: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "guide.md").write_text("# Guide\n", encoding="utf-8")
        Path(folder, "ragkit.yaml").write_text("sources: [{use: files, path: .}]\n", encoding="utf-8")
        commands = {
            "imports": [sys.executable, "-c", IMPORTS],
            "ragkit --help": [*RAGKIT, "--help"],
            "ragkit check": [*RAGKIT, "check"],
        }
        # taken in turns, so that another load on the machine meets all of them
        taken = [{name: seconds(command, folder) for name, command in commands.items()} for _ in range(runs)]
    best = {name: min(run[name] for run in taken) for name in commands}
    budgets = {"ragkit --help": 1.5 * best["imports"] + GRACE_SECONDS, "ragkit check": 2 * best["imports"] + GRACE_SECONDS}
    for name, took in best.items():
        budget = f", {took / best['imports']:.2f} times the imports, budget {budgets[name]:.3f} s" if name in budgets else ""
        print(f"{name}: {took:.3f} s{budget}")
    return int(any(best[name] > budget for name, budget in budgets.items()))


if __name__ == "__main__":
    sys.exit(main())
