"""`ingest`, `status`, `views`: reports, JSON, exit statuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ragkit = Callable[..., Any]
BOXES = set("│┃━─╭\x1b")


def test_ingest_prints_its_report(ragkit: Ragkit, project: Path) -> None:
    done = ragkit("ingest")
    assert done.status == 0
    assert "4 added, 0 updated, 0 unchanged, 0 removed, 0 failed" in done.out
    assert "reading documents: 4" in done.err
    assert not set(done.out) & BOXES


def test_ingest_as_json_has_the_documented_keys(ragkit: Ragkit, project: Path) -> None:
    done = ragkit("ingest", "--json")
    assert done.status == 0
    report = done.json
    assert report["documents"] == {"added": 4, "updated": 0, "unchanged": 0, "removed": 0, "failed": 0}
    assert report["chunks"]["added"] == report["chunks"]["total"] == report["embedded"] == 4
    assert report["chunks"]["truncated"] == report["cache_hits"] == 0
    assert {(view["name"], view["kind"], view["count"]) for view in report["views"]} == {
        ("memory", "vector", 4), ("memory", "keyword", 4),
    }  # fmt: skip
    assert all("applied" in view for view in report["views"])
    assert report["failures"] == []
    assert report["seconds"] > 0
    again = ragkit("ingest", "--json").json
    assert (again["documents"]["unchanged"], again["embedded"], again["chunks"]["added"]) == (4, 0, 0)


def test_a_dry_run_writes_nothing(ragkit: Ragkit, project: Path) -> None:
    done = ragkit("ingest", "--dry-run")
    assert "dry run" in done.out
    assert "4 added" in done.out
    assert ragkit("status", "--json").json["documents"] == 0


def test_a_document_that_fails_is_listed_and_the_rest_goes_on(ragkit: Ragkit, project: Path) -> None:
    (project / "pages" / "broken.md").write_bytes(b"\x00\x01\x02\x00" * 100)
    done = ragkit("ingest")
    assert done.status == 3
    assert "failed: broken.md: " in done.out
    assert "4 added" in done.out
    report = ragkit("ingest", "--json")
    assert report.status == 3
    assert [failure["uri"] for failure in report.json["failures"]] == ["broken.md"]


def test_a_listing_that_lost_most_removes_nothing_unless_told(ragkit: Ragkit, project: Path) -> None:
    ragkit("ingest")
    for name in ("leave.md", "travel.md", "office.md"):
        (project / "pages" / name).unlink()
    kept = ragkit("ingest")
    assert kept.status == 3
    assert "0 removed" in kept.out
    assert "--allow-removals" in kept.err
    done = ragkit("ingest", "--allow-removals", "--json")
    assert (done.status, done.json["documents"]["removed"], done.json["chunks"]["total"]) == (0, 3, 1)


def test_only_and_limit_remove_nothing(ragkit: Ragkit, project: Path) -> None:
    ragkit("ingest")
    (project / "pages" / "leave.md").unlink()
    assert ragkit("ingest", "--only", "pages", "--limit", "1", "--json").json["documents"]["removed"] == 0
    unknown = ragkit("ingest", "--only", "nowhere")
    assert (unknown.status, unknown.out) == (2, "")
    assert "pages" in unknown.err


def test_status_tells_how_the_views_stand(ragkit: Ragkit, project: Path) -> None:
    before = ragkit("status")
    assert "none yet" in before.out
    assert "nothing has been ingested yet; run `ragkit ingest`" in before.out
    assert ragkit("status", "--json").json["matches"] is False
    ragkit("ingest")
    status = ragkit("status", "--json").json
    assert (status["name"], status["documents"], status["chunks"], status["truncated"]) == ("handbook", 4, 4, 0)
    assert {(view["kind"], view["count"], view["lag"], view["state"]) for view in status["views"]} == {
        ("vector", 4, 0, "complete"), ("keyword", 4, 0, "complete"),
    }  # fmt: skip
    assert all(view["fingerprint"] and view["size_bytes"] > 0 for view in status["views"])
    text = ragkit("status").out
    assert "complete" in text
    assert not set(text) & BOXES


def test_status_says_what_no_longer_matches(ragkit: Ragkit, project: Path) -> None:
    ragkit("ingest")
    done = ragkit("status", "--set", "chunker={use: sentence, size: 20, overlap: 0}")
    assert "ragkit ingest" in done.out
    refused = ragkit("search", "leave", "--set", "chunker={use: sentence, size: 20, overlap: 0}")
    assert (refused.status, refused.out) == (1, "")
    assert "ragkit ingest" in refused.err


def test_a_damaged_embedding_cache_may_be_deleted(ragkit: Ragkit, project: Path) -> None:
    ragkit("ingest")
    for path in (project / ".ragkit").glob("embeddings.db*"):
        path.write_bytes(b"no database, although it is called one" * 40)
    refused = ragkit("status")
    assert (refused.status, refused.out) == (1, "")
    assert "embeddings.db cannot be used: file is not a database\n  → free disk space, or delete the file" in refused.err
    for path in (project / ".ragkit").glob("embeddings.db*"):
        path.unlink()
    assert ragkit("ingest").status == ragkit("search", "leave").status == 0


@pytest.mark.parametrize("command", [["views"], ["views", "list"]])
def test_views_are_listed(ragkit: Ragkit, project: Path, command: list[str]) -> None:
    assert "no views yet" in ragkit(*command).out
    ragkit("ingest")
    assert [view["kind"] for view in ragkit(*command, "--json").json["views"]] == ["vector", "keyword"]
    assert "keyword" in ragkit(*command).out


def test_a_view_that_lost_its_content_is_found_and_repaired(ragkit: Ragkit, project: Path) -> None:
    ragkit("ingest")
    assert ragkit("views", "verify").status == 0
    (vector,) = [view for view in ragkit("views", "--json").json["views"] if view["kind"] == "vector"]
    shutil.rmtree(project / ".ragkit" / "views" / vector["collection"])
    found = ragkit("views", "verify", "--json")
    assert found.status == 1
    assert [view["missing"] for view in found.json["views"]] == [4, 0]
    repaired = ragkit("views", "repair", "--json")
    assert repaired.status == 0
    assert all((view["missing"], view["extra"]) == (0, 0) for view in repaired.json["views"])
    assert ragkit("views", "verify").status == 0


def test_dropping_leaves_what_answers(ragkit: Ragkit, project: Path) -> None:
    ragkit("ingest")
    assert len(ragkit("views", "drop", "--json").json["views"]) == 2
    assert ragkit("search", "leave", "--json").json["hits"]
