"""Crash safety with every source that there is: SIGKILL at random progress, then a run that ends as an undisturbed one."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import crash
import pdfs
import pytest
from git_server import Repository
from website import Reply, Site, site

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300), pytest.mark.xdist_group("every source")]

CONFIG = """\
name: every
sources:
  - {{use: files, path: docs}}
  - {{use: jsonl, path: records.jsonl}}
  - {{use: posts, path: export.json}}
  - {{use: git, name: code, path: repository}}
  - {{use: web, name: pages, urls: ["{url}/"], depth: 1, delay: 0, retries: 0, allow_private: true}}
  - {{use: feed, name: news, url: "{url}/feed", retries: 0, allow_private: true}}
  - {{use: urls, name: links, links: ["{url}/alone"], allow_private: true}}
clean: [whitespace, unicode]
chunker: {{use: sentence, size: 40, overlap: 0}}
embedding: {{use: fake}}
"""
KILLS = 10


@pytest.fixture(scope="module")
def www() -> Iterator[Site]:
    with site() as running:
        rivers = ["Rhine", "Tiber", "Seine", "Oder", "Ebro"]
        running.page("/", "Home", links=[f"/{name.lower()}" for name in rivers])
        for name in [*rivers, "Alone"]:
            running.page(f"/{name.lower()}", name)
        items = "".join(
            f"<item><title>{name}</title><guid>{name}</guid><description>About {name}.</description></item>" for name in rivers
        )
        feed = f'<?xml version="1.0"?><rss version="2.0"><channel><title>Rivers</title>{items}</channel></rss>'
        running.pages["/feed"] = Reply(feed.encode(), headers={"Content-Type": "application/rss+xml"})
        yield running


def write(folder: Path, url: str) -> None:
    """Something for each source, and the configuration that takes it."""
    (folder / "docs").mkdir(parents=True)
    for number in range(12):
        (folder / "docs" / f"page{number:02}.md").write_text(
            f"# Page {number}\n\n" + f"Page {number} says something. " * (5 + number)
        )
    (folder / "docs" / "paper.pdf").write_bytes(pdfs.pdf("The first page of a paper.", "The second page of a paper."))
    records = [{"_id": str(number), "title": f"Record {number}", "text": f"What record {number} holds."} for number in range(30)]
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    posts = [{"id": number, "text": f"Post {number} was written.", "date": "2024-05-01", "author": "Ada"} for number in range(30)]
    (folder / "export.json").write_text(json.dumps(posts))
    repository = Repository(folder / "repository")
    repository.commit({f"src/part{number}.py": f"def part{number}() -> int:\n    return {number}\n" for number in range(10)})
    (folder / "ragkit.yaml").write_text(CONFIG.format(url=url.rstrip("/")))


def test_kills_at_random_progress(www: Site, tmp_path: Path) -> None:
    """Kill after kill, each where the one before left off; whenever a run gets to its end, its state is an undisturbed one."""
    before, work = tmp_path / "before", tmp_path / "work"
    write(before, www.url())
    shutil.copytree(before, work)
    config = work / "ragkit.yaml"
    events, report = crash.ingest(config)
    undisturbed = crash.content(config)
    assert (report["failures"], report["notes"]) == ((), ())
    assert Counter(row[1] for row in undisturbed.documents) == {
        "files:docs": 13, "jsonl:records.jsonl": 30, "posts:export.json": 30, "code": 10, "pages": 6, "news": 5, "links": 1,
    }  # fmt: skip
    chance, kills, ended = random.Random(5), 0, 1
    while kills < KILLS:
        if ended:
            shutil.rmtree(work)
            shutil.copytree(before, work)
        stopped = crash.kill_at(config, chance.randrange(len(events)))
        kills, ended = kills + (stopped is not None), stopped is None
        if ended:
            assert crash.content(config) == undisturbed
    _, report = crash.ingest(config)
    assert report["failures"] == ()
    assert crash.content(config) == undisturbed
