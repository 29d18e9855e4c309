"""What a conversation may set: from the page's form to keywords of a question, and to the YAML that they amount to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.config import Config
from ragkit.config.rendering import render, to_yaml
from ragkit.errors import QueryError, RagkitError
from ragkit.pipeline import Pipeline

LEGS = ("dense", "keyword")
MOST = 1_000
NOTHING = "# as the configuration says\n"


@dataclass(frozen=True)
class Choices:
    """What there is to choose, with what the configuration says. `alpha` is None where its retriever takes none.

    Settings are keywords of `Pipeline.ask`: `k`, `alpha`, `retriever` and `rerankers`, of which only those are kept that differ
    from the configuration.
    """

    k: int
    alpha: float | str | None
    rerankers: tuple[str, ...]
    plain: Mapping[str, Any]

    @classmethod
    def of(cls, pipeline: Pipeline) -> Choices:
        """What a pipeline's configuration offers."""
        config = pipeline.config
        plain = render(config)
        names = tuple(spec.name or spec.use for spec in config.rerankers)
        return cls(config.top_k, _alpha(pipeline, plain["retriever"]), names, plain)

    def chosen(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that a form asks for. Raises `QueryError` for what cannot be chosen."""
        settings: dict[str, Any] = {}
        k, alpha = form.get("k", self.k), form.get("alpha")
        if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST:
            raise QueryError(f"passages must be a whole number from 1 to {MOST:,}")
        if k != self.k:
            settings["k"] = k
        legs = [leg for leg in LEGS if form.get(leg, True)]
        if not legs:
            raise QueryError("nothing would be searched", cure="search by meaning, by words, or both")
        if len(legs) < len(LEGS):
            settings["retriever"] = legs[0]
        if alpha is not None and self.alpha is not None and alpha != self.alpha:
            if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha <= 1:
                raise QueryError("alpha must be a number from 0 to 1")
            settings["alpha"] = round(float(alpha), 2)
        wanted = form.get("rerankers", self.rerankers)
        kept = [name for name in self.rerankers if isinstance(wanted, list | tuple) and name in wanted]
        if kept != [*self.rerankers]:
            settings["rerankers"] = kept
        return settings

    def wanted(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords of a question under `settings`; what the configuration no longer offers is left out."""
        wanted = {name: settings[name] for name in ("k", "retriever") if name in settings}
        if "alpha" in settings and self.alpha is not None and "retriever" not in settings:
            wanted["alpha"] = settings["alpha"]
        if "rerankers" in settings:
            wanted["rerankers"] = [name for name in self.rerankers if name in settings["rerankers"]]
        return wanted

    def yaml(self, settings: Mapping[str, Any]) -> str:
        """What would have to stand in the YAML for every question to be asked so."""
        wanted, told = self.wanted(settings), dict[str, Any]()
        if "k" in wanted:
            told["top_k"] = wanted["k"]
        if "retriever" in wanted:
            told["retriever"] = wanted["retriever"]
        elif "alpha" in wanted:
            told["retriever"] = _with_alpha(self.plain["retriever"], wanted["alpha"])
        if "rerankers" in wanted:
            specs = zip(self.rerankers, self.plain["rerankers"], strict=True)
            told["rerankers"] = [spec for name, spec in specs if name in wanted["rerankers"]]
        return to_yaml(told) if told else NOTHING


def _alpha(pipeline: Pipeline, retriever: Mapping[str, Any]) -> float | str | None:
    """The configured alpha, where the retriever lets a question have another."""
    try:
        takes = "alpha" in pipeline.query_settings
    except RagkitError:
        return None
    found = _find(retriever) if takes else None
    return found if isinstance(found, int | float | str) else None


def _find(value: Any) -> Any:
    """The first alpha of a retriever, or of one that is nested in it."""
    if isinstance(value, Mapping):
        if "alpha" in value:
            return value["alpha"]
        value = list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return next((found for item in value if (found := _find(item)) is not None), None)
    return None


def _with_alpha(value: Any, alpha: float) -> Any:
    if isinstance(value, Mapping):
        return {key: alpha if key == "alpha" else _with_alpha(item, alpha) for key, item in value.items()}
    return [_with_alpha(item, alpha) for item in value] if isinstance(value, list) else value


def title(config: Config) -> str:
    """What stands above the page."""
    return config.chat.title or config.name
