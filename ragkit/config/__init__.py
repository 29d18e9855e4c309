"""The configuration: a YAML file with its base files, variables and overrides, as one validated, frozen `Config`."""

from ragkit.config.loading import load, parse
from ragkit.config.rendering import render, shown_state, to_yaml
from ragkit.config.schema import json_schema
from ragkit.config.settings import Config

__all__ = ["Config", "json_schema", "load", "parse", "render", "shown_state", "to_yaml"]
