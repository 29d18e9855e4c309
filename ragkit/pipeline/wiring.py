"""Builds the components that a configuration names, and knows the fingerprints of the index that they make."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.components import Kind, LinkedSource, Spec, Tokenizer, link_sources
from ragkit.config import Config
from ragkit.errors import ComponentError, PluginError, RagkitError
from ragkit.ingest.cutting import Cutter
from ragkit.ingest.elsewhere import Cutting
from ragkit.ingest.reading import Cleaning, CleaningStep, NamedSource
from ragkit.ingest.report import Clock
from ragkit.pipeline.context import Context, Offered
from ragkit.pipeline.events import unremembered
from ragkit.state.cached_embedding import CachedEmbedding
from ragkit.state.generations import Wanted, WantedView
from ragkit.state.hashing import fingerprint
from ragkit.state.layers import LayeredCache
from ragkit.state.ledger import Ledger
from ragkit.state.records import ViewRecord
from ragkit.state.scores import ScoreCache
from ragkit.state.stores import StoreAdapter
from ragkit.words import WordTokenizer, counting

if TYPE_CHECKING:
    from llama_index.core.llms import LLM


UPLOADS = "uploads"
"""The source of what people upload, which is there without being named."""
_PAGES = "web"
"""The source that takes any page."""


class Wiring:
    """The components of one configuration over one state. What is costly is built when it is first needed, once."""

    def __init__(self, config: Config, ledger: Ledger, cache: LayeredCache, scores: ScoreCache) -> None:
        self.config = config
        self._ledger = ledger
        self._cache = cache
        self.scores = scores
        self._embedding: CachedEmbedding | None = None
        self._tokenizer: Tokenizer | None = None
        self._llm: LLM | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """The embedding's tokenizer; a plain word counter for an embedding that offers none."""
        if self._tokenizer is None:
            spec = self.config.embedding
            make = spec.component.tokenizer
            limit = spec.capabilities.get("max_tokens")
            self._tokenizer = counting(make(spec.options, self.context(spec)) if make else WordTokenizer(limit, 0))
        return self._tokenizer

    @property
    def embedding(self) -> CachedEmbedding:
        """The embedding behind the cache; the model is loaded with the first text that is not in it."""
        if self._embedding is None:
            spec = self.config.embedding
            kept = self.config.cache.queries
            cached = CachedEmbedding(lambda: self.build(spec), self._cache, self._model(), spec.use, keeps_queries=kept)
            self._embedding = unremembered(cached)
        return self._embedding

    @property
    def llm(self) -> LLM | None:
        """The configured LLM, or None."""
        if self._llm is None and self.config.llm is not None:
            self._llm = self.build(self.config.llm)
        return self._llm

    def wanted(self) -> Wanted:
        """The generation that this configuration describes."""
        config, tokens = self.config, self.tokenizer
        return Wanted(
            chunking=fingerprint(
                [
                    *(config.chunker.identity(), tokens.fingerprint, tokens.max_tokens, tokens.special_tokens),
                    *([self._model()] if _embeds(config.chunker) else []),
                ]
            ),
            vector=_view("vector", config.vector_store, [self._model(), config.vector_store.identity()]),
            keyword=_view("keyword", config.keyword_store, [config.keyword_store.identity()]),
        )

    def cutting(self, clock: Clock) -> Cutting:
        """The chunker with what it needs."""
        spec = self.config.chunker
        return Cutting(Cutter(self.build(spec), self.tokenizer, self.wanted().chunking), clock, alone=not _embeds(spec))

    def cleaning(self) -> Cleaning:
        """The cleaners in order."""
        specs = self.config.clean
        steps = [CleaningStep(self.build(spec), getattr(spec.options, "categories", None)) for spec in specs]
        return Cleaning(steps, fingerprint([spec.identity() for spec in specs]))

    def sources(self, only: Sequence[str] = ()) -> list[NamedSource]:
        """The sources by name; with `only`, those."""
        specs = list(self.config.sources)
        uploads = self._uploads()
        if uploads is not None and uploads not in specs and self._folder_of(uploads).exists():
            specs.append(uploads)
        return [self._source(spec) for spec in specs if not only or spec.name in only]

    def uploads(self) -> NamedSource:
        """The source that keeps what is uploaded, with the configuration's options for it or its own."""
        spec = self._uploads()
        if spec is None:
            raise ComponentError("no source `uploads` is installed", component=UPLOADS, cure="use the built-in plugins")
        return self._source(spec)

    def link_sources(self, links: Sequence[str], options: Mapping[str, Any], folder: Path) -> Iterator[LinkedSource]:
        """See `BuildContext.link_sources`. What was installed later goes before what is built in."""
        components = [] if self.config.host is None else [*self.config.host.components(Kind.SOURCE).values()][::-1]
        return link_sources(
            components, links, options, lambda spec: self.build(spec, folder=folder / _slug(spec.use)), self._untaken
        )

    def plain(self, kind: Kind, names: Iterable[str]) -> list[Spec]:
        """Those of the components with these names that are installed, with the options that they have by themselves."""
        known = {} if self.config.host is None else self.config.host.components(kind)
        return [Spec(kind, known[name], known[name].options(), name) for name in names if name in known]

    def open_store(self, record: ViewRecord) -> StoreAdapter:
        """The store of a view. Raises `ComponentError` for a view that another configuration made in another kind of store."""
        spec = self.config.vector_store if record.kind == "vector" else self.config.keyword_store
        if spec.use != record.component:
            raise ComponentError(
                f"the collection {record.collection!r} lies in {record.component!r}, which this configuration does not name",
                component=record.component,
                cure=f"use a configuration with `{record.kind}_store: {record.component}` to reach it",
            )
        folder = self._ledger.folder / "views" / record.collection
        return StoreAdapter(self.build(spec, folder=folder, collection=record.collection), spec)

    def context(self, spec: Spec, *, folder: Path | None = None, collection: str = "", offered: Offered | None = None) -> Context:
        """What a component is given."""
        own = folder or self._ledger.folder / "components" / f"{spec.kind.value}-{_slug(spec.use)}"
        return Context(self, own, collection, offered)

    def build(self, spec: Spec, *, folder: Path | None = None, collection: str = "", offered: Offered | None = None) -> Any:
        """Build a component. Raises `ComponentError` naming it where that fails."""
        context = self.context(spec, folder=folder, collection=collection, offered=offered)
        try:
            return unremembered(spec.component.build(spec.options, context))
        except RagkitError:
            raise
        except ImportError as error:
            raise ComponentError(
                f"{spec.kind.yaml_key}: {spec.use!r} needs a package that is missing: {error}",
                component=spec.use,
                cure="install the plugin's requirements again",
            ) from error

    def _uploads(self) -> Spec | None:
        named = [spec for spec in self.config.sources if spec.name == UPLOADS]
        return next(iter(named or self.plain(Kind.SOURCE, [UPLOADS])), None)

    def _source(self, spec: Spec) -> NamedSource:
        source = self.build(spec, folder=self._folder_of(spec))
        return NamedSource(spec.name, source, getattr(spec.options, "category", None), prunes=spec.name != UPLOADS)

    def _folder_of(self, source: Spec) -> Path:
        """The folder of a source, of which there may be several of a kind."""
        return self._ledger.folder / "components" / f"source-{_slug(source.name)}-{fingerprint(source.name)[:8]}"

    def _untaken(self, link: str) -> RagkitError:
        """Why no source takes a link: often, that the one for pages is not installed."""
        try:
            if self.config.host is not None and link.lower().startswith(("http://", "https://")):
                self.config.host.component(Kind.SOURCE, _PAGES)
        except PluginError as error:
            return ComponentError(f"no other source takes it, and {error.message}", component=_PAGES, cure=error.cure)
        return ComponentError("no installed source takes such a link", cure="see `ragkit plugins`, or take it out of the list")

    def _model(self) -> str:
        """The fingerprint of the embedding model: what it computes, not what it is called or runs on."""
        spec = self.config.embedding
        if spec.component.identity is None:
            return fingerprint(spec.identity())
        return fingerprint([spec.use, spec.component.version, spec.component.identity(spec.options, self.context(spec))])


def _view(kind: str, store: Spec, identity: Sequence[Any]) -> WantedView:
    return WantedView(kind, store.use, str(store.capabilities.get("processes", "one")), fingerprint(list(identity)))


def _embeds(chunker: Spec) -> bool:
    """Whether a chunker, or one that is nested in it, cuts with the embedding."""
    values = [getattr(chunker.options, name) for name in type(chunker.options).model_fields]
    nested = [item for value in values for item in (value.values() if isinstance(value, dict) else [value])]
    return bool(chunker.capabilities.get("embeds")) or any(isinstance(item, Spec) and _embeds(item) for item in nested)


def _slug(name: str, length: int = 40) -> str:
    """Lower-case letters, digits and hyphens of a name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:length].strip("-") or "ragkit"


def collection_prefix(name: str) -> str:
    """The beginning of the collections' names of a project called `name`, at most 24 characters."""
    return _slug(name, 24)
