"""Stores that do not hold what the ledger says: noticed on opening, never answered from, repaired on request."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project, texts

from ragkit.errors import DriftedError, LockedError, OwnershipError


@pytest.fixture
def filled(project: Project) -> Project:
    for number, text in enumerate(texts(8)):
        project.write(f"river{number}.md", text)
    project.ingest()
    return project


def folder(project: Project, kind: str) -> Path:
    (found,) = (project.folder / ".ragkit" / "views").glob(f"*-{kind}-*")
    return found


def repair(project: Project) -> None:
    with project.open() as pipeline:
        assert all(result.sound for result in pipeline.repair_views())
        assert pipeline._index.wiring.embedding.embedded == 0, "every vector was in the cache"
        assert all(result.sound for result in pipeline.verify_views())
    ledger, vector, keyword = project.ids()
    assert ledger == vector == keyword
    assert len(project.hits("How many bridges has the river number 4?")) == 5


@pytest.mark.parametrize("kind", ["vector", "keyword"])
def test_a_store_restored_from_an_old_backup(filled: Project, kind: str, tmp_path: Path) -> None:
    backup = shutil.copytree(folder(filled, kind), tmp_path / "backup")
    filled.write("river9.md", "# River 9\n\nThe river number 9 is new.\n")
    (filled.docs / "river1.md").unlink()
    filled.ingest()
    place = folder(filled, kind)
    shutil.rmtree(place)
    shutil.copytree(backup, place)
    for attempt in (lambda: filled.hits("river"), filled.ingest):
        with pytest.raises(DriftedError, match="restored from a backup") as caught:
            attempt()
        assert caught.value.cure == "run `ragkit views repair`"
    with filled.open() as pipeline:
        states = {view.kind: view.state for view in pipeline.status().views}
    assert states.pop(kind) == "drifted"
    assert set(states.values()) == {"complete"}
    repair(filled)


def folder_name(project: Project, kind: str) -> str:
    with project.open() as pipeline:
        (name,) = (view.collection for view in pipeline.status().views if view.kind == kind)
    return name


@pytest.mark.parametrize("kind", ["vector", "keyword"])
def test_a_store_that_was_deleted(filled: Project, kind: str) -> None:
    shutil.rmtree(folder(filled, kind))
    with pytest.raises(DriftedError, match="no mark of this state"):
        filled.hits("river")
    repair(filled)


def test_ids_that_were_swapped_behind_ragkits_back_are_found_by_verify(filled: Project) -> None:
    from llama_index.core.schema import TextNode

    with filled.open() as pipeline:
        index = pipeline._index
        live = index.live()
        with index.pool.using(live.vector) as (view,):
            victim = next(iter(view.store.ids() or ()))
            view.store.delete([victim])
            view.store.upsert([TextNode(id_="11111111-1111-1111-1111-111111111111", text="", embedding=[1.0] * 64)])
            view.store.flush()
        vector, keyword = pipeline.verify_views()
        assert (vector.state, vector.missing, vector.extra) == ("drifted", 1, 1)
        assert keyword.sound
        assert "11111111-1111-1111-1111-111111111111" not in {hit.chunk_id for hit in pipeline.search("river", k=50).hits}
    repair(filled)


@pytest.mark.parametrize("kind", ["vector", "keyword"])
def test_a_collection_of_another_state_is_neither_read_nor_written(filled: Project, kind: str, tmp_path: Path) -> None:
    other = Project(tmp_path / "other")
    other.write("secret.md", "# Other\n\nThis belongs to somebody else.\n")
    other.ingest()
    name = folder_name(filled, kind)
    shutil.rmtree(folder(filled, kind))
    foreign = folder(other, kind)
    shutil.copytree(foreign, filled.folder / ".ragkit" / "views" / name)
    for attempt in (lambda: filled.hits("river"), filled.ingest, lambda: repair(filled)):
        with pytest.raises(OwnershipError, match=r"another state|another ragkit state|does not carry the mark"):
            attempt()


HOLDER = """
import sys
from projects import Project
project = Project.__new__(Project)
from pathlib import Path
project.config = Path(sys.argv[1])
with project.open() as pipeline:
    pipeline.search("river")
    print("reading", flush=True)
    sys.stdin.read()
"""


def test_a_store_for_one_process_is_refused_with_its_holder_named(filled: Project) -> None:
    filled.configure(more="vector_store: chroma")
    filled.ingest(views_only=True)
    support = str(Path(__file__).parent.parent / "support")
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {support!r})\n{HOLDER}", str(filled.config)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "reading\n"
        assert filled.hits("river"), "readers share it"
        assert filled.ingest().exit_status == 0, "an ingest that has nothing to write does not need it alone"
        filled.write("new.md", "# New\n\nA new page.\n")
        with pytest.raises(LockedError, match=rf"the chroma store of this state, .* is in use by process {holder.pid} "):
            filled.ingest()
        holder.stdin.close()
        holder.wait(30)
    assert filled.ingest().exit_status == 0
    ledger, vector, keyword = filled.ids()
    assert ledger == vector == keyword
