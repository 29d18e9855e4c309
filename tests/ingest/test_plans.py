"""How SQLite finds what an ingest asks for: by an index for every group of documents, never by reading a whole table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from projects import Project
from sqlalchemy import event

WHOLE = re.compile(
    r"^SCAN (chunks|documents|cuts)\b|\bchunks_seq \(chunking=\?\)$|\bdocuments_source \(source=\?( AND current=\?)?\)$"
)
ONCE = re.compile(
    r"^SELECT (count\(|documents\.id \nFROM|DISTINCT documents\.source)|^DELETE FROM documents WHERE documents\.current = 0"
)
"""Asked once in an ingest, not for every group: how much there is, what a source had, and what nothing needs any more."""


def asked(project: Project) -> list[tuple[str, str]]:
    """The statements on the ledger during an ingest, and how each is answered, a step a line."""
    found: dict[str, str] = {}
    with project.open() as pipeline:
        engine = pipeline._index.ledger._engine

        @event.listens_for(engine, "before_cursor_execute")
        def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            if statement.startswith(("SELECT", "UPDATE", "DELETE")) and statement not in found:
                given = parameters[0] if many else parameters
                steps = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()
                found[statement] = "\n".join(step[3] for step in steps)

        pipeline.ingest()
    return list(found.items())


def test_no_table_is_read_as_a_whole_for_a_group(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for number in range(40):
        project.write(f"page{number}.md", f"# Page {number}\n\n" + f"Page {number} says a lot. " * 40)
    statements = asked(project)
    project.write("page3.md", "# Page 3\n\nIt says something else now.")
    project.write("page4.md", "# Page 4\n\n" + "It says something else now. " * 60)
    (project.docs / "page5.md").unlink()
    statements += asked(project)
    assert len(statements) > 20, "the ledger was asked"
    wrong = [
        f"{statement}\n{plan}"
        for statement, plan in statements
        if any(WHOLE.search(step) for step in plan.splitlines()) and not ONCE.search(statement)
    ]
    assert not wrong, "\n\n".join(wrong)
