"""A secret is in no output and in no message."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ragkit.config import Config, render, to_yaml
from ragkit.errors import ConfigError

Load = Callable[..., Config]
SECRET = "hunter2-but-longer"
START = "sources: [{use: files, path: docs}]\n"


def test_rendering_masks_secrets(read: Load) -> None:
    config = read(
        f"{START}state: postgresql://me:{SECRET}@host/db\nvector_store: {{use: faiss, api_key: '${{KEY}}'}}",
        environ={"KEY": SECRET},
    )
    for shown in (to_yaml(render(config)), json.dumps(render(config)), repr(config), str(config.vector_store)):
        assert SECRET not in shown
    assert render(config)["vector_store"]["api_key"] == "********"
    assert render(config)["state"] == "postgresql://me:********@host/db"


@pytest.mark.parametrize(
    "text",
    [
        f"{START}vector_store: {{use: faiss, api_key: '${{KEY}}', store_text: '${{KEY}}'}}",
        f"{START}vector_store: {{use: faiss, api_key: [{SECRET}]}}",
        f"{START}top_k: ${{KEY}}",
        f"{START}chunker: ${{KEY}}",
        f"{START}chunker: {{use: token, lead: '${{KEY}}'}}",
        f"{START}state: mysql://me:{SECRET}@host/db",
        f"{START}state: [{SECRET}]",
        "sources: ['${KEY}']\n",
        f"{START}filter: year = ${{KEY}} ${{KEY}}",
    ],
)
def test_no_message_repeats_one(text: str, read: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, environ={"KEY": SECRET})
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.problems)


def test_a_plugins_own_message_is_masked(read: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        read(f"{START}vector_store: {{use: faiss, api_key: 'secret'}}")
    assert str(caught.value) == "ragkit.yaml:2:37: vector_store.api_key: the key '********' is too short"
