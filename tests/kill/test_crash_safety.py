"""Crash safety: SIGKILL at every durable boundary and at random progress; running again repairs it, exactly."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import crash
import pytest

pytest_plugins = ["postgres"]
pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]

CONFIG = """\
name: crash
sources:
  - {{use: files, path: docs, include: ["**/*.md"]}}
chunker: {{use: sentence, size: {size}, overlap: 8}}
embedding: {{use: fake}}
"""
TOPICS = ["harbour", "glacier", "violin", "orchard", "telescope", "bakery", "canal", "meadow", "engine", "library"]


def page(number: int, edition: str) -> str:
    """A page whose sentences are all different, so that no two chunks are equal."""
    sections = []
    for section in range(4):
        topic = TOPICS[(number + section) % len(TOPICS)]
        lines = [f"The {topic} of page {number} has part {section}, line {line}, in the {edition} edition." for line in range(9)]
        sections.append(f"## {topic.title()} {section}\n\n" + " ".join(lines))
    return f"# Page {number}\n\n" + "\n\n".join(sections) + "\n"


def first_edition(folder: Path) -> None:
    (folder / "docs").mkdir(parents=True)
    for number in range(30):
        (folder / "docs" / f"page{number:02}.md").write_text(page(number, "first"))
    (folder / "ragkit.yaml").write_text(CONFIG.format(size=60))


def second_edition(folder: Path, size: int) -> None:
    """Edit some pages, delete some, add some, and perhaps cut another way."""
    for number in range(0, 30, 5):
        path = folder / "docs" / f"page{number:02}.md"
        path.write_text(page(number, "first").replace("line 3,", "line three, revised,"))
    for number in range(1, 30, 10):
        (folder / "docs" / f"page{number:02}.md").unlink()
    for number in range(30, 34):
        (folder / "docs" / f"page{number:02}.md").write_text(page(number, "second"))
    (folder / "ragkit.yaml").write_text(CONFIG.format(size=size))


class Scene:
    """A folder before an ingest, what that ingest crosses undisturbed, and what it leaves."""

    def __init__(self, folder: Path, crosses: set[str]) -> None:
        self.folder = folder
        self.crosses = crosses
        undisturbed = self.copy(folder.with_name(folder.name + "-undisturbed"))
        self.events, self.report = crash.ingest(undisturbed / "ragkit.yaml")
        self.content = crash.content(undisturbed / "ragkit.yaml")

    def copy(self, target: Path) -> Path:
        return Path(shutil.copytree(self.folder, target))

    def crossings(self) -> list[crash.Event]:
        """For each boundary an early crossing but the first, where there are more, that nearly every ingest of the scene has."""
        found = Counter(event.name for event in self.events)
        return [crash.Event(name, count // 4 if count >= 8 else min(1, count - 1)) for name, count in found.items()]


class SharedScene(Scene):
    """A scene whose state is in a real PostgreSQL, which is copied with its folder."""

    def __init__(self, folder: Path, crosses: set[str], server: Any) -> None:
        self.server = server
        super().__init__(folder, crosses)

    def copy(self, target: Path) -> Path:
        copied = super().copy(target)
        config = copied / "ragkit.yaml"
        text, _, database = config.read_text().rpartition("/")
        self.server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", database.strip())
        config.write_text(f"{text}/{self.server.create_database(f'TEMPLATE {database.strip()}')}\n")
        return copied


EVERY_TIME = {"ledger.commit", "cache.write", "store.delete", "store.upsert", "store.flush", "view.applied", "os.rename"}
SCENES = {
    "from nothing": EVERY_TIME | {"generation.create", "generation.switch"},
    "update": EVERY_TIME | {"ledger.purge"},
    "other chunks": EVERY_TIME | {"generation.create", "generation.switch", "generation.forget"},
    "other chunks in PostgreSQL": EVERY_TIME | {"generation.create", "generation.switch", "generation.forget"},
}
"""What is ingested, and the boundaries that it has to cross."""


def each(*names: str) -> Any:
    return pytest.mark.parametrize(
        "scene", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names], indirect=True, scope="module"
    )


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene") / "work"
    first_edition(folder)
    server = request.getfixturevalue("postgres") if "PostgreSQL" in request.param else None
    state = f"state: {server.url(server.create_database())}\n" if server is not None else ""
    with (folder / "ragkit.yaml").open("a") as file:
        file.write(state)
    if request.param != "from nothing":
        crash.ingest(folder / "ragkit.yaml")
        second_edition(folder, 60 if request.param == "update" else 40)
        with (folder / "ragkit.yaml").open("a") as file:
            file.write(state)
    crosses = SCENES[request.param]
    return Scene(folder, crosses) if server is None else SharedScene(folder, crosses, server)


@each(*SCENES)
def test_every_boundary(scene: Scene, tmp_path: Path) -> None:
    """One kill at each boundary; then the state equals an undisturbed one."""
    crossings = scene.crossings()
    for event in crossings:
        config = scene.copy(tmp_path / f"{event.name}-{event.occurrence}") / "ragkit.yaml"
        if crash.kill_at(config, event) is None:  # how often some are crossed depends on which of two threads is quicker
            config = scene.copy(tmp_path / event.name) / "ragkit.yaml"
            assert crash.kill_at(config, crash.Event(event.name, 0)) == event.name
        _, report = crash.ingest(config)
        assert report["failures"] == ()
        assert crash.content(config) == scene.content, f"after a kill at {event}"
        shutil.rmtree(config.parent)
    assert {event.name for event in crossings} >= scene.crosses


@each("from nothing", "update", "other chunks")
def test_twenty_kills_at_random_progress(scene: Scene, tmp_path: Path) -> None:
    """Kill after kill, each where the one before left off; when a run gets to its end, its state is compared."""
    chance = random.Random(2026)
    work = scene.copy(tmp_path / "work")
    config = work / "ragkit.yaml"
    kills, ended = 0, 0
    while kills < 20:
        if crash.kill_at(config, chance.randrange(len(scene.events))) is not None:
            kills += 1
            continue
        ended += 1
        assert crash.content(config) == scene.content
        shutil.rmtree(work)
        scene.copy(work)
    crash.ingest(config)
    assert crash.content(config) == scene.content
    questions = [f"Where is the {topic} of page {number}?" for number, topic in enumerate(TOPICS)]
    assert crash.recall(config, questions) >= 0.95
