"""The facade: from a YAML file to ingesting, searching, answering, and LlamaIndex query engines."""

from ragkit.pipeline.facade import Pipeline

__all__ = ["Pipeline"]
