"""The facade: from a YAML file to ingesting, searching, answering, and LlamaIndex query engines."""

from ragkit.pipeline.facade import Pipeline
from ragkit.query.followup import Exchange

__all__ = ["Exchange", "Pipeline"]
