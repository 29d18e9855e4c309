"""Ask a folder of documents from Python.

    python examples/python_quickstart.py

Makes a folder with two documents, ingests it, changes one of them, and shows what each step did.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ragkit import Pipeline

CONFIG = """
sources:
  - use: files
    path: handbook
top_k: 3
"""


def main() -> None:
    """Ingest, ask, change, ingest, ask again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "handbook").mkdir()
        (folder / "ragkit.yaml").write_text(CONFIG, encoding="utf-8")
        leave = folder / "handbook" / "leave.md"
        leave.write_text("# Leave\n\nEvery employee has 28 days of paid leave in a year. Ask your team lead.\n", encoding="utf-8")
        travel = folder / "handbook" / "travel.md"
        travel.write_text(
            "# Travel\n\nTrain tickets are booked in first class for trips of four hours or more.\n", encoding="utf-8"
        )

        with Pipeline.from_yaml(folder / "ragkit.yaml") as pipeline:
            print("ingested:", pipeline.ingest().documents)

            answer = pipeline.ask("How many days of paid leave do I have?")
            print("answer:", answer.text)
            for citation in answer.citations:
                print(f"  [{citation.n}] {citation.uri}, characters {citation.start} to {citation.end}: {citation.quote}")

            leave.write_text(leave.read_text(encoding="utf-8").replace("28", "30"), encoding="utf-8")
            print("ingested again:", pipeline.ingest().documents)
            print("answer:", pipeline.ask("How many days of paid leave do I have?").text)

            hits = pipeline.search("first class tickets")
            for node in hits.nodes:  # LlamaIndex's NodeWithScore
                print(f"hit: {node.score:.3f}", node.node.get_content().splitlines()[0])
            print("stages:", [stage.name for stage in hits.trace.stages], f"in {hits.trace.total_ms:.1f} ms")


if __name__ == "__main__":
    main()
