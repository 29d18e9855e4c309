"""A configuration as plain data and as YAML: in full, secrets masked, and readable again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr
from pydantic_core import to_jsonable_python

from ragkit.components import Options, Role, Spec
from ragkit.config.messages import MASK
from ragkit.config.reader import Loader
from ragkit.config.settings import Config, Settings
from ragkit.filters import Filter
from ragkit.host import NAMED_KINDS


def render(config: Config) -> dict[str, Any]:
    """Everything that `config` says, defaults included, as data for YAML or JSON.

    Written as YAML and loaded again it gives the same configuration, but for secrets, which are masked.
    """
    return {key: _plain(getattr(config, key)) for key in Settings.model_fields} | {"state": _plain(shown_state(config))}


def shown_state(config: Config) -> str:
    """Where the state is, without a password."""
    if "://" not in config.state:
        return config.state
    return re.sub(r"(?<=[?&])(\w*password)=[^&]*", rf"\1={MASK}", re.sub(r"(?<=://)([^/@:]*):.*@", rf"\1:{MASK}@", config.state))


def to_yaml(data: Mapping[str, Any]) -> str:
    """`data` as YAML that YAML 1.1 and 1.2 read alike."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        named = {"name": _plain(value.name)} if value.kind in NAMED_KINDS else {}
        return {"use": value.use, **named, **_plain(value.options)}
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, Filter):
        return _plain(str(value))
    if isinstance(value, BaseModel):
        fields = {key: getattr(value, key) for key in type(value).model_fields}
        if isinstance(value, Options):
            fields |= {key: MASK for key in fields if value.role(key) is Role.SECRET and fields[key] is not None}
        return _plain(fields)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    plain = to_jsonable_python(value, fallback=str)
    return plain.replace("${", "$${") if isinstance(plain, str) else plain  # as the reader takes it for a literal


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something other than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # YAML 1.1 folds these line ends wherever they are not escaped
        style = '"' if any(mark in data for mark in "\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)

for _first, _rules in Loader.yaml_implicit_resolvers.items():
    for _tag, _expression in _rules:
        _Dumper.add_implicit_resolver(_tag, _expression, [_first])
