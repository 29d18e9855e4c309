"""Options may change what a component can do: the host and the conformance suites go by what is true with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from projects import Project

from ragkit import hookimpl
from ragkit.components import Component, Kind, Options, Spec
from ragkit.config import parse
from ragkit.errors import ConfigError
from ragkit.host import Host
from ragkit.state.stores import StoreAdapter
from ragkit.testing import plugin
from ragkit.testing.conformance import VectorStoreSuite

(SOUND,) = plugin.ragkit_vector_stores()


class Placed(Options):
    url: str | None = None
    metric: str = "cosine"


def adapt(options: Placed) -> dict[str, Any]:
    return {"processes": "server", "needs": ["llm"]} if options.url == "llm" else {"processes": "server"} if options.url else {}


PLACED = dataclasses.replace(SOUND, name="placed", options=Placed, adapt=adapt)


@hookimpl
def ragkit_vector_stores() -> list[Component]:
    return [PLACED]


OFFERS = SimpleNamespace(ragkit_vector_stores=ragkit_vector_stores)


def spec(component: Component, **options: Any) -> Spec:
    return Spec(Kind.VECTOR_STORE, component, component.options.model_validate(options))


def test_a_spec_tells_what_is_true_with_its_options() -> None:
    assert spec(PLACED).capabilities == SOUND.capabilities
    assert spec(PLACED, url="http://x").capabilities == {**SOUND.capabilities, "processes": "server"}
    assert spec(SOUND).capabilities == SOUND.capabilities


def test_a_store_has_the_capabilities_of_its_options() -> None:
    store: Any = None
    assert StoreAdapter(store, spec(PLACED)).capabilities["processes"] == SOUND.capabilities["processes"] != "server"
    adapter = StoreAdapter(store, spec(PLACED, url="http://x"))
    assert (adapter.name, adapter.capabilities["processes"]) == ("placed", "server")


@pytest.mark.parametrize(("url", "processes"), [("http://x", "server"), ("", SOUND.capabilities["processes"])])
def test_a_view_is_opened_as_its_options_say(tmp_path: Path, url: str, processes: str) -> None:
    project = Project(tmp_path, more=f"vector_store: {{use: placed, url: '{url}'}}")
    with project.open(OFFERS) as pipeline:
        assert pipeline._index.wiring.wanted().vector.processes == processes


def test_the_check_asks_what_is_needed_with_the_options(tmp_path: Path) -> None:
    def check(url: str) -> None:
        sources = [{"use": "files", "path": "docs"}]
        data = {"sources": sources, "embedding": "fake", "vector_store": {"use": "placed", "url": url}}
        parse(data, Host(plugins=[plugin, OFFERS]), folder=tmp_path)

    check("http://x")
    with pytest.raises(ConfigError, match="placed needs a language model"):
        check("llm")


def test_a_suite_asks_for_what_is_claimed_with_its_options() -> None:
    class Embedded(VectorStoreSuite):
        component = PLACED

    class Served(Embedded):
        sample_options = {"url": "http://x"}  # noqa: RUF012 - as an author writes it

    assert Embedded.claims().processes == SOUND.capabilities["processes"]
    assert Served.claims().processes == "server"
    assert Embedded.test_processes_may_write_beside_each_other is None
    assert Served.test_processes_may_write_beside_each_other is not None
