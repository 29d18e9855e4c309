"""YAML 1.2's core schema, not 1.1's, and nothing but problems for what is no configuration."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ragkit.config import load, to_yaml
from ragkit.config.reader import Reader
from ragkit.errors import ConfigError, Problem
from ragkit.host import Host


def read(text: str) -> Any:
    problems: list[Problem] = []
    values = Reader("x.yaml", Path(), {}, problems).read(text)
    assert problems == []
    return values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, word) for word in ("yes", "no", "on", "off", "y", "n", "Yes", "NO", "tRUE")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, None) for word in ("null", "~", "Null", "")),
        ("0o17", 15), ("017", 17), ("0x1F", 31), ("-12", -12), ("+7", 7), ("1_000", "1_000"), ("0b1", "0b1"), ("-0o7", "-0o7"),
        ("12:30:45", "12:30:45"), ("2024-01-31", "2024-01-31"), ("1e3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-1.5E-2", -0.015),
        ("1.2.3", "1.2.3"), (".inf", math.inf), ("-.INF", -math.inf), ("=", "="), ("<<", "<<"), ("inf", "inf"), ("nan", "nan"),
        ("'5'", "5"), ('"true"', "true"), ("!!str 5", "5"), ("!!float 5", 5.0), ("!!int '5'", 5),
    ],
)  # fmt: skip
def test_scalars_are_those_of_the_core_schema(text: str, value: Any) -> None:
    found = read(f"key: {text}")["key"]
    assert found == value
    assert (
        type(found) is type(value) if not isinstance(value, str) else isinstance(found, str)
    )  # strings remember where they stand


def test_not_a_number() -> None:
    assert math.isnan(read("key: .nan")["key"])


def test_keys_are_their_text() -> None:
    assert read("{on: 1, 5: 2, true: 3, null: 4}") == {"on": 1, "5": 2, "true": 3, "null": 4}


def test_anchors_and_a_byte_order_mark(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbfsources: [&docs {use: files, path: a}]\nchunker: &c {use: token, size: 64}\n")
    assert load(file, host).chunker.options.size == 64  # type: ignore[attr-defined]
    assert read("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}


TEXTS = st.text().filter(lambda text: "${" not in text)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS


@given(st.dictionaries(st.text(min_size=1).filter(lambda key: key != "<<"), SCALARS | st.lists(SCALARS, max_size=3), max_size=4))
@example({"a": "0o17", "b": "1e5", "c": "017", "d": "on", "e": "0x1F", "f": "~", "g": "12:30", "h": ".5"})
@settings(deadline=None, max_examples=150)
def test_what_is_written_is_read_back(data: dict[str, Any]) -> None:
    if data:
        assert read(to_yaml(data)) == data


@given(text=st.text() | st.text(alphabet="[]{}&*!:-,#|>%@`'\"?<~$ \n\tabsourcelt01"))
@example(text="sources: ${")
@example(text="!!binary x: 1")
@example(text="%YAML 1.2\n---\nsources: []")
@example(text="a: '\\x'")
@example(text='a: "\\UFFFFFFFF"')
@example(text="? - a")
@example(text=f"top_k: {'9' * 5000}")
@example(text="\ud800")
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_escapes_as_anything_but_a_config_error(text: str, host: Host, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError) as caught:
        load(file, host, environ={})
    assert caught.value.problems
    assert all(problem.file.endswith("x.yaml") for problem in caught.value.problems)


@given(
    value=st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    )
)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_under_a_known_key_escapes_either(value: Any, host: Host, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    for key in ("sources", "chunker", "retriever", "rerankers", "state", "extends"):
        file.write_text(yaml.safe_dump({key: value}), encoding="utf-8")
        with pytest.raises(ConfigError):
            load(file, host, environ={})
