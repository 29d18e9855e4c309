"""ragkit: a host for retrieval plugins, from a YAML file to cited answers.

Plugins import what they need from here. `Pipeline`, which pulls in LlamaIndex, is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.components import (
    BuildContext,
    CleanerOptions,
    Component,
    ConfigPath,
    Kind,
    Options,
    RerankerOptions,
    SourceOptions,
    Spec,
    identity,
    runtime,
    secret,
)
from ragkit.errors import ConfigError, DocumentError, DocumentGone, RagkitError
from ragkit.hookspecs import API_VERSION, hookimpl

if TYPE_CHECKING:
    from ragkit.pipeline import Pipeline

__version__ = "0.1.0"

__all__ = [
    "API_VERSION",
    "BuildContext",
    "CleanerOptions",
    "Component",
    "ConfigError",
    "ConfigPath",
    "DocumentError",
    "DocumentGone",
    "Kind",
    "Options",
    "Pipeline",
    "RagkitError",
    "RerankerOptions",
    "SourceOptions",
    "Spec",
    "__version__",
    "hookimpl",
    "identity",
    "runtime",
    "secret",
]


def __getattr__(name: str) -> Any:
    if name == "Pipeline":
        from ragkit.pipeline import Pipeline

        return Pipeline
    raise AttributeError(f"module 'ragkit' has no attribute {name!r}")
