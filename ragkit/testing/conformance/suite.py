"""What every suite is made of: the component, how its stores are opened, and which tests are collected."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest

from ragkit.components import Component
from ragkit.testing.conformance.claims import Claims, prepare
from ragkit.testing.conformance.stores import Opened
from ragkit.testing.context import build_context

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

_PACKAGE = "ragkit.testing.conformance."


@dataclass
class Opener:
    """Opens the stores of one test and closes them at its end. The same `name` is the same store, opened again."""

    suite: type[StoreSuite]
    root: Path
    options: Mapping[str, Any]
    run: str = field(default_factory=lambda: uuid4().hex[:12])
    opened: list[Opened] = field(default_factory=list)

    def __call__(self, name: str = "store", **options: Any) -> Opened:
        store = self.suite.opened(self.folder(name), self.collection(name), {**self.options, **options})
        self.opened.append(store)
        return store

    def again(self, store: Opened, name: str = "store", **options: Any) -> Opened:
        """Close `store` and open it anew, as another run of the program does."""
        store.close()
        self.opened.remove(store)
        again = self(name, **options)
        again.dimension = store.dimension
        return again

    def folder(self, name: str = "store") -> Path:
        return self.root / name

    def collection(self, name: str = "store") -> str:
        return f"ragkit-{self.run}-{name}"

    def job(self, task: str, name: str = "store") -> dict[str, Any]:
        """What another process needs in order to open the same store."""
        return {
            "task": task,
            "file": inspect.getfile(self.suite),
            "suite": self.suite.__qualname__,
            "folder": str(self.folder(name)),
            "collection": self.collection(name),
            "options": dict(self.options),
        }


class StoreSuite:
    """The part that the suites of both kinds of store share. Subclass `VectorStoreSuite` or `KeywordStoreSuite`.

    A subclass names `component`. It may give the YAML options of its stores with a fixture `options` (a server's address),
    and replace `open_store` if building the component is not all that it takes. Where `component.adapt` makes the capabilities
    depend on options, `sample_options` has those that decide. The class has to stand at the top level of its file: other
    processes import it from there.
    """

    component: ClassVar[Component]
    sample_options: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not f"{cls.__module__}.".startswith(_PACKAGE):
            prepare(cls, _PACKAGE)

    # What an author may replace

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        """The YAML options that every store of this suite is opened with; plain data, as it travels to other processes."""
        return self.sample_options

    @classmethod
    def open_store(cls, folder: Path, collection: str, options: Mapping[str, Any]) -> BasePydanticVectorStore:
        """Open the store of that folder and collection, or make an empty one."""
        context = build_context(folder, collection=collection)
        store: BasePydanticVectorStore = cls.component.build(cls.component.options.model_validate(dict(options)), context)
        return store

    # What the tests use

    @pytest.fixture
    def opener(self, options: Mapping[str, Any], tmp_path: Path) -> Iterator[Opener]:
        """Opens stores; the first call of a test gives an empty one."""
        opener = Opener(type(self), tmp_path, options)
        yield opener
        with ExitStack() as ends:
            for store in opener.opened:
                ends.callback(store.close)
                if self.claims().processes == "server":  # an embedded store goes with its folder
                    ends.callback(store.drop)

    @classmethod
    def claims(cls) -> Claims:
        """What the component claims with `sample_options`."""
        return Claims.of(cls.component, cls.sample_options)

    @classmethod
    def opened(cls, folder: Path, collection: str, options: Mapping[str, Any]) -> Opened:
        """Open a store for a test."""
        metrics = cls.claims().metrics
        metric = str(options.get("metric") or metrics[0]) if metrics else None
        given = {key: value for key, value in options.items() if key != "metric"}
        if metric is not None and "metric" in cls.component.options.model_fields:
            given["metric"] = metric
        return Opened(cls.open_store(folder, collection, given), metric)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat a test for each metric or operator, claimed or not, where it asks for one."""
        claims = self.claims()
        values = {
            "metric": claims.metrics,
            "other_metric": claims.other_metrics,
            "operator": tuple(operator for operator in claims.operators if operator not in ("and", "or", "not")),
            "other_operator": claims.other_operators,
        }
        for name, listed in values.items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, listed)
