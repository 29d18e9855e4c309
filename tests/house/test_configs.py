"""Every file of configs/ validates, by ragkit and by its JSON Schema, and builds an index that answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml
from backends import Servers
from website import Reply, Site, site

from ragkit import Pipeline
from ragkit.cli import main
from ragkit.config import json_schema, load
from ragkit.host import Host

ROOT = Path(__file__).parent.parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def host() -> Host:
    return Host()


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_it_is_valid(config: Path, host: Host) -> None:
    loaded = load(config, host)
    assert loaded.sources
    assert loaded.file == config


def test_its_schema_accepts_it(config: Path, host: Host) -> None:
    schema = json_schema(host)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(config.read_text(encoding="utf-8")))


def test_its_schema_refuses_what_is_wrong(host: Host) -> None:
    validator = jsonschema.Draft202012Validator(json_schema(host))
    good = {"sources": [{"use": "files", "path": "docs"}]}
    assert validator.is_valid(good)
    for change in (
        {"top_q": 3},
        {"top_k": "three"},
        {"chunker": {"use": "sentence", "sise": 3}},
        {"vector_store": "croma"},
        {"sources": []},
    ):
        assert not validator.is_valid({**good, **change}), change


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture(scope="module")
def www() -> Iterator[Site]:
    """A site with two pages of ragkit's documentation."""
    with site() as www:
        www.page("/docs/", "Documentation", links=["concepts.md", "getting-started.md"])
        for name in ("concepts.md", "getting-started.md"):
            www.pages[f"/docs/{name}"] = Reply((ROOT / "docs" / name).read_bytes(), headers={"Content-Type": "text/markdown"})
        yield www


def test_it_builds_an_index_that_answers(config: Path, host: Host, tmp_path: Path, servers: Servers, www: Site) -> None:
    """A store that needs a server gets the address of one of the tests', a site that of the one here."""
    (source,) = load(config, host).sources
    served = {"qdrant": "qdrant server", "pinecone": "pinecone", "pgvector": "pgvector"}.get(config.stem)
    addresses = (f"vector_store={json.dumps(servers.yaml(served))}",) if served else ()
    pages = ('sources.0.include=["concepts.md", "getting-started.md"]',) if source.use == "files" else ()
    if source.use == "web":
        pages = (f'sources.0.urls=["{www.url("/docs/")}"]', "sources.0.allow_private=true", "sources.0.delay=0")
    with Pipeline(load(config, host, overrides=(f"state={json.dumps(str(tmp_path))}", *pages, *addresses))) as pipeline:
        report = pipeline.ingest()
        assert (report.exit_status, report.documents["added"]) == (0, {"files": 2, "web": 3}.get(source.use, 8)), report
        found = pipeline.search("When is a document removed?")
        assert found.nodes
        assert "removed" in " ".join(node.node.get_content() for node in found.nodes)
        assert pipeline.ingest().embedded == 0


def test_every_first_plugin_has_one() -> None:
    plugins = {path.name.removeprefix("ragkit-") for path in (ROOT / "plugins").iterdir() if path.is_dir()}
    assert plugins <= {path.stem for path in CONFIGS}


def test_the_command_reads_them(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ragkit", "check", "-c", str(config), "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert json.loads(capsys.readouterr().out)["valid"] is True
