"""The host finds plugins, keeps them to the rules, and says what is wrong with those that break one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ragkit import API_VERSION, Component, Kind, Options, hookimpl
from ragkit.errors import PluginError
from ragkit.host import Host, PluginInfo, nearest

Install = Callable[..., None]


def alone(*plugins: object) -> Host:
    return Host(plugins=plugins, entry_points=False, builtins=False)


def installed() -> Host:
    return Host(builtins=False)


def found(host: Host, name: str) -> PluginInfo:
    return next(info for info in host.plugins if info.name == name)


def component(name: str, options: Any = Options) -> Component:
    return Component(name, options, lambda options, context: None)


def module(hook: str = "ragkit_chunkers", name: str = "tiny", before: str = "") -> str:
    """The code of a plugin that offers one component."""
    return f"""{before}
from ragkit import Component, Options, hookimpl

@hookimpl
def {hook}():
    return [Component("{name}", Options, lambda options, context: None)]
"""


class Tiny:
    @hookimpl
    def ragkit_chunkers(self) -> list[Component]:
        return [component("tiny")]

    @hookimpl
    def ragkit_llms(self) -> tuple[Component, ...]:
        return (component("parrot"), component("echo"))


@pytest.mark.parametrize("plugin", [Tiny, Tiny(), SimpleNamespace(ragkit_chunkers=Tiny().ragkit_chunkers)])
def test_a_class_an_instance_or_a_namespace_is_a_plugin(plugin: object) -> None:
    host = alone(plugin)
    assert host.component(Kind.CHUNKER, "tiny").name == "tiny"
    assert host.plugins[0].state == "loaded"


def test_components_by_kind() -> None:
    host = alone(Tiny)
    assert list(host.components(Kind.LLM)) == ["parrot", "echo"]
    assert dict(host.components(Kind.SOURCE)) == {}
    assert host.plugins == (
        PluginInfo("Tiny", "", "", "loaded", "", tuple((kind, item) for kind in Kind for item in host.components(kind).values())),
    )


def test_hosts_share_nothing() -> None:
    assert "tiny" in alone(Tiny).components(Kind.CHUNKER)
    assert alone().components(Kind.CHUNKER) == {}


def test_entry_points_are_loaded(install: Install) -> None:
    install("ragkit-tiny", "1.2.3", tiny=module())
    info = found(installed(), "tiny")
    assert (info.distribution, info.version, info.state) == ("ragkit-tiny", "1.2.3", "loaded")
    assert [(kind, part.name) for kind, part in info.components] == [(Kind.CHUNKER, "tiny")]
    assert all(info.name != "tiny" for info in alone().plugins)


def test_the_built_in_plugins_come_through_the_same_hooks() -> None:
    host = Host(entry_points=False)
    assert [info.error for info in host.plugins] == [""] * len(host.plugins)
    assert {info.distribution for info in host.plugins} == {"ragkit"}
    assert {"files"} <= set(host.components(Kind.SOURCE))
    assert {"sentence", "token"} <= set(host.components(Kind.CHUNKER))


@pytest.mark.parametrize(
    ("before", "error"),
    [
        ("import no_such_sdk", "ModuleNotFoundError: No module named 'no_such_sdk'"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError: invalid syntax (ragkit_test_bad.py, line 1)"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_recorded_and_fails_when_it_is_named(
    before: str, error: str, install: Install
) -> None:
    install("ragkit-bad", "0.1", bad=module(name="bad", before=before))
    install("ragkit-good", "0.1", good=module(name="good"))
    host = installed()
    assert (found(host, "bad").state, found(host, "bad").error) == ("failed", error)
    assert host.component(Kind.CHUNKER, "good")
    with pytest.raises(PluginError) as caught:
        host.component(Kind.CHUNKER, "bad")
    assert caught.value.message == (
        f"the chunker 'bad' is not available: the plugin bad of ragkit-bad 0.1 failed to load: {error}"
    )
    assert caught.value.distributions == ("ragkit-bad",)


def test_a_hook_that_raises_is_as_bad_as_an_import(install: Install) -> None:
    install("ragkit-bad", "0.1", bad="from ragkit import hookimpl\n@hookimpl\ndef ragkit_llms():\n    return 1 / 0\n")
    info = found(installed(), "bad")
    assert (info.state, info.error) == ("failed", "ragkit_llms raised ZeroDivisionError: division by zero")


def test_a_plugin_for_a_newer_ragkit_is_refused(install: Install) -> None:
    install("ragkit-new", "9.0", new=module(name="new", before=f"RAGKIT_API = {API_VERSION + 1}"))
    install("ragkit-now", "1.0", now=module(name="now", before=f"RAGKIT_API = {API_VERSION}"))
    host = installed()
    told = f"it needs version {API_VERSION + 1} of the plugin contract, and this ragkit has version {API_VERSION}"
    assert (found(host, "new").state, found(host, "new").error) == ("refused", told)
    assert found(host, "now").state == "loaded"
    with pytest.raises(PluginError, match=r"the plugin new of ragkit-new 9.0 was refused: it needs version 2"):
        host.component(Kind.CHUNKER, "new")


def test_one_that_is_handed_over_must_load() -> None:
    with pytest.raises(PluginError, match="the plugin SimpleNamespace cannot be loaded: it needs version 99"):
        alone(SimpleNamespace(RAGKIT_API=99))

    class Broken:
        def __init__(self) -> None:
            raise RuntimeError("no")

    with pytest.raises(PluginError, match="the plugin Broken cannot be loaded: RuntimeError: no"):
        alone(Broken)


def test_a_misspelt_hook_names_the_distribution_and_the_nearest(install: Install) -> None:
    install("ragkit-typo", "0.1", typo=module(hook="ragkit_chunker"))
    with pytest.raises(PluginError) as caught:
        installed()
    assert caught.value.message == (
        "ragkit-typo 0.1 has a hook 'ragkit_chunker' that ragkit does not know; did you mean 'ragkit_chunkers'?"
    )
    assert caught.value.distributions == ("ragkit-typo",)
    assert caught.value.cure == "pip install --upgrade ragkit-typo, or uninstall it"


def test_a_hook_without_its_mark() -> None:
    def ragkit_llms() -> list[Component]:
        return []

    with pytest.raises(PluginError, match="has a function 'ragkit_llms' that is not marked as a hook; put @hookimpl above it"):
        alone(SimpleNamespace(ragkit_llms=ragkit_llms))


def test_a_hook_that_wants_arguments() -> None:
    @hookimpl
    def ragkit_llms(host: object) -> list[Component]:
        return []

    with pytest.raises(PluginError, match=r"cannot be registered: .*'host'"):
        alone(SimpleNamespace(ragkit_llms=ragkit_llms))


def test_a_name_taken_twice_names_both_distributions(install: Install) -> None:
    install("ragkit-one", "1.0", one=module(name="same"))
    install("ragkit-two", "2.0", two=module(name="same"))
    with pytest.raises(PluginError) as caught:
        installed()
    assert caught.value.message == "the chunker 'same' is offered by ragkit-one 1.0 and ragkit-two 2.0"
    assert caught.value.distributions == ("ragkit-one", "ragkit-two")
    assert caught.value.cure == "uninstall one of them"


def test_one_name_under_two_kinds_is_fine(install: Install) -> None:
    install("ragkit-one", "1.0", one=module(name="same"), two=module(hook="ragkit_llms", name="same"))
    host = installed()
    assert host.component(Kind.CHUNKER, "same") is not host.component(Kind.LLM, "same")


def test_one_object_twice() -> None:
    plugin = Tiny()
    with pytest.raises(PluginError, match="the plugin Tiny cannot be registered: Plugin already registered"):
        alone(plugin, plugin)


class NotOptions:
    pass


class TakesName(Options):
    name: str = ""


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (["tiny"], "returned 'tiny' from ragkit_sources, where only `Component`s may stand"),
        (None, "returned None from ragkit_sources"),
        (component("tiny"), "returned Component"),
        ([component("two words")], "offers the source 'two words'; a name is made of letters"),
        ([component("a.b")], "a name is made of letters, digits, '_' and '-', a letter first"),
        ([component("x", NotOptions)], "offers the source 'x' with options that are no subclass of `Options`"),
        ([component("x", TakesName)], "offers the source 'x' with an option 'name', which has a meaning of its own"),
    ],
)
def test_what_a_hook_may_not_return(returned: Any, told: str) -> None:
    @hookimpl
    def ragkit_sources() -> Any:
        return returned

    if isinstance(returned, Component):  # a single component is taken as a list of one
        assert alone(SimpleNamespace(ragkit_sources=ragkit_sources)).component(Kind.SOURCE, "tiny") is returned
        return
    with pytest.raises(PluginError) as caught:
        alone(SimpleNamespace(ragkit_sources=ragkit_sources))
    assert told in caught.value.message
    assert caught.value.message.startswith("the plugin SimpleNamespace ")


@pytest.mark.parametrize(
    ("kind", "name", "message", "cure"),
    [
        (Kind.CHUNKER, "tinny", "unknown chunker 'tinny'; did you mean 'tiny'?", ""),
        (Kind.CHUNKER, "Tiny", "unknown chunker 'Tiny'; did you mean 'tiny'?", ""),
        (Kind.CHUNKER, "zzz", "unknown chunker 'zzz'; there is: tiny", ""),
        (Kind.SOURCE, "zzz", "unknown source 'zzz'; no source is installed", ""),
        (Kind.VECTOR_STORE, "chroma", "the vector store 'chroma' is not installed", "pip install ragkit-chroma"),
        (Kind.RETRIEVER, "llamaindex_bm25", "the retriever 'llamaindex_bm25' is not installed", "pip install ragkit-bm25"),
        (Kind.VECTOR_STORE, "chorma", "unknown vector store 'chorma'; did you mean 'chroma'?", "pip install ragkit-chroma"),
        (Kind.RETRIEVER, "chroma", "'chroma' is a vector store, not a retriever; no retriever is installed", ""),
        (Kind.CHUNKER, "echo", "'echo' is an LLM, not a chunker; there is: tiny", ""),
    ],
)
def test_a_component_that_is_not_there(kind: Kind, name: str, message: str, cure: str) -> None:
    with pytest.raises(PluginError) as caught:
        alone(Tiny).component(kind, name)
    assert (caught.value.message, caught.value.cure) == (message, cure)


def test_a_failed_plugin_is_named_where_its_component_is_unknown(install: Install) -> None:
    install("ragkit-bm25", "0.1", words=module(name="bm25", before="import no_such_sdk"))
    host = installed()
    for kind, name in ((Kind.KEYWORD_STORE, "bm25"), (Kind.RETRIEVER, "llamaindex_bm25")):
        if name not in host.components(kind):
            with pytest.raises(PluginError, match=r"the plugin words of ragkit-bm25 0.1 failed to load: ModuleNotFoundError"):
                host.component(kind, name)


@pytest.mark.parametrize(
    ("name", "meant"), [("chunk_sizee", "size"), ("SIZE", "size"), ("overlpa", "overlap"), ("x", None), ("zebra", None)]
)
def test_the_nearest_name(name: str, meant: str | None) -> None:
    assert nearest(name, ["size", "overlap"]) == meant
