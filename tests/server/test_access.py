"""Keys, roles, rates, sizes, slow clients, other origins."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from api_server import QUESTION, Offering, SlowLLM, project, serving
from typer.testing import CliRunner

from ragkit.cli.app import app
from ragkit.config import load
from ragkit.errors import ConfigError
from ragkit.host import Host
from ragkit.server import patience
from ragkit.server.keys import Keys, hash_of, new_key
from ragkit.server.running import Start, run
from ragkit.testing import plugin

pytestmark = pytest.mark.service

READ, WRITE = "read-" + "r" * 30, "write-" + "w" * 30
TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    old = new_key("old", "write", TODAY - timedelta(days=1), Keys())
    keys = Keys.of(None, {"RAGKIT_API_KEYS": f"reader:read:{READ}, writer:write:{WRITE}"})
    keys = Keys([*keys._keys, old[1]])
    with serving(project(tmp_path_factory.mktemp("project"), serve={"max_body_mb": 0.1}), keys=keys) as (address, _):
        expired.append(old[0])
        yield address


expired: list[str] = []


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


ROUTES = [
    ("POST", "/search", "read"), ("POST", "/ask", "read"), ("GET", "/runs", "read"), ("GET", "/metrics", "read"),
    ("GET", "/v1/models", "read"), ("POST", "/v1/chat/completions", "read"), ("POST", "/v1/embeddings", "read"),
    ("GET", "/documents/x", "read"), ("POST", "/documents", "write"), ("DELETE", "/documents/x", "write"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "role"), ROUTES)
def test_every_route_needs_a_key_of_its_role(address, method, path, role):
    def status(**headers: str) -> int:
        return httpx.request(method, address + path, headers=headers).status_code

    assert status() == 401
    assert status(**bearer("x" * 40)) == 401
    assert status(**bearer(expired[0])) == 401
    assert status(Authorization=f"Basic {READ}") == 401
    assert status(**bearer(READ)) in ((403,) if role == "write" else (200, 404, 422))
    assert status(**bearer(WRITE)) in (200, 404, 422)


def test_every_route_of_the_document_is_guarded_or_tells_nothing(address):
    paths = httpx.get(f"{address}/openapi.json").json()["paths"]
    guarded = {path.replace("{document_id}", "x").replace("{number}", "1") for path in paths} - {"/healthz", "/readyz"}
    for path in guarded:
        assert httpx.get(address + path).status_code == 401, path
    for path in ("/healthz", "/readyz"):
        assert set(httpx.get(address + path).json()) <= {"status", "detail"}


def test_a_refusal_says_nothing_of_the_key(address):
    response = httpx.post(f"{address}/search", headers=bearer("guess-" + "x" * 40), json={"query": "x"})
    assert response.headers["www-authenticate"] == "Bearer"
    assert "guess" not in response.text


def test_bodies_that_are_too_large_are_refused_before_and_while_they_are_read(address):
    large = httpx.post(f"{address}/search", headers=bearer(READ), content=b"x" * 200_000)
    assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")

    sent = 0

    def endless():
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="large.md"\r\n\r\n'
        while sent < 1_000_000_000:
            sent += 10_000
            yield b"x" * 10_000

    try:
        headers = {**bearer(WRITE), "Content-Type": "multipart/form-data; boundary=x"}
        streamed = httpx.post(f"{address}/documents", headers=headers, content=endless()).status_code
    except httpx.HTTPError:  # the connection is closed while the client still sends
        streamed = 413
    assert streamed == 413
    assert sent < 50_000_000


def test_a_gigabyte_that_is_announced_is_never_read(address):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        head = f"POST /documents HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {WRITE}\r\nContent-Length: 1000000000\r\n\r\n"
        raw.sendall(head.encode())
        assert b" 413 " in raw.recv(1000)


def test_clients_that_send_slowly_are_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "HEADERS_S", 0.3)
    with serving(project(tmp_path, serve={"timeout": 0.5})) as (address, _):
        host, port = address.removeprefix("http://").split(":")
        for head, told in [
            (b"", b""),
            (b"POST /search HTTP/1.1\r\nHost: localhost\r\nX-Slow", b""),
            (
                b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
                b" 408 ",
            ),
        ]:
            with socket.create_connection((host, int(port)), timeout=10) as raw:
                raw.sendall(head)
                began, answer = time.monotonic(), b""
                while part := raw.recv(1000):
                    answer += part
                assert told in answer
                assert time.monotonic() - began < 8


def test_a_connection_that_is_silent_between_requests_is_kept_and_one_that_dribbles_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "HEADERS_S", 0.3)
    with serving(project(tmp_path)) as (address, _):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            for _ in range(2):
                raw.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert b" 200 " in raw.recv(1000)
                time.sleep(1)
            raw.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
            began = time.monotonic()
            with suppress(OSError):
                while time.monotonic() - began < 8:
                    raw.sendall(b"a")
                    raw.settimeout(0.1)
                    with suppress(TimeoutError):
                        if raw.recv(1000) == b"":
                            break
            assert time.monotonic() - began < 8


def test_a_client_that_does_not_read_its_answer_is_cut_off(tmp_path):
    model = SlowLLM(words=" ".join(["word" * 20_000] * 400))
    config = project(tmp_path, answer="llm", llm="slow", serve={"timeout": 1.0, "concurrency": 1, "waiting": 0})
    with serving(config, Offering(model)) as (address, _):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            body = f'{{"query": "{QUESTION}", "stream": true}}'
            head = f"POST /ask HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            raw.sendall(f"{head}\r\n\r\n{body}".encode())
            time.sleep(0.5)
            deadline = time.monotonic() + 15  # the one place is free again
            while (status := httpx.post(f"{address}/search", json={"query": QUESTION}).status_code) == 503:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert status == 200


def test_a_key_may_ask_only_so_often(tmp_path):
    keys = Keys.of(None, {"RAGKIT_API_KEYS": f"one:read:{READ} two:read:{WRITE}"})
    with serving(project(tmp_path, serve={"requests_per_minute": 3}), keys=keys) as (address, _):
        answers = [httpx.get(f"{address}/v1/models", headers=bearer(READ)) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 61
        assert httpx.get(f"{address}/v1/models", headers=bearer(WRITE)).status_code == 200
        assert httpx.get(f"{address}/healthz").status_code == 200


def test_without_keys_a_foreign_page_can_do_nothing(tmp_path):
    with serving(project(tmp_path)) as (address, pipeline):
        before = pipeline.status().documents
        foreign = httpx.post(
            f"{address}/documents", headers={"Origin": "https://evil.example"}, files={"file": ("x.md", b"# x\n")}
        )
        rebound = httpx.post(f"{address}/search", headers={"Host": "evil.example"}, json={"query": "x"})
        assert (foreign.status_code, rebound.status_code) == (403, 421)
        assert pipeline.status().documents == before
        own = httpx.post(f"{address}/search", headers={"Origin": address}, json={"query": "x"})
        assert own.status_code == 200


def test_cors_is_off_unless_an_origin_is_named(tmp_path):
    asks = {
        "Origin": "https://intranet.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    with serving(project(tmp_path / "off")) as (address, _):
        assert "access-control-allow-origin" not in httpx.options(f"{address}/search", headers=asks).headers
    with serving(project(tmp_path / "on", serve={"cors": ["https://intranet.example"]})) as (address, _):
        allowed = httpx.options(f"{address}/search", headers=asks)
        assert allowed.headers["access-control-allow-origin"] == "https://intranet.example"
        assert httpx.post(f"{address}/search", headers=asks, json={"query": QUESTION}).status_code == 200
        asks["Origin"] = "https://evil.example"
        assert "access-control-allow-origin" not in httpx.options(f"{address}/search", headers=asks).headers


def test_an_address_that_others_reach_needs_keys(tmp_path, monkeypatch):
    monkeypatch.delenv("RAGKIT_API_KEYS", raising=False)
    path = project(tmp_path, serve={"host": "0.0.0.0"})
    config = load(path, Host(plugins=[plugin]))
    with pytest.raises(ConfigError, match="there are no keys"):
        run(config, Start(path), ready=print)


def test_the_command_makes_keys_that_the_server_takes(tmp_path):
    file = tmp_path / "keys.txt"
    done = CliRunner().invoke(app, ["keys", "ann", "--role", "write", "--file", str(file), "--expires", "2999-01-01"])
    key = done.stdout.strip()
    assert key.startswith("rk_")
    assert key not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    caller = Keys.of(file, {}).caller(key)
    assert (caller.name, caller.role) == ("ann", "write")
    again = CliRunner().invoke(app, ["keys", "ann", "--file", str(file)])
    assert "there is a key called 'ann' already" in str(again.exception)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ann:admin:" + "0" * 64, "the role of 'ann'"),
        ("ann", "the role of 'ann'"),
        ("a b:read:" + "0" * 64, "the name must be"),
        ("ann:read:secret", "64 hexadecimal digits"),
        (f"ann:read:{hash_of('x')}:tomorrow", "is no date"),
    ],
)
def test_a_wrong_line_is_named_and_not_repeated(tmp_path, line, told):
    file = tmp_path / "keys.txt"
    file.write_text(f"# keys\n{line}\n")
    with pytest.raises(ConfigError, match=told) as error:
        Keys.of(file, {})
    assert f"{file}:2:1" in str(error.value)
    assert "secret" not in str(error.value)


def test_the_environment_is_checked_as_well():
    with pytest.raises(ConfigError, match="entry 2: a key has at least 24 characters") as error:
        Keys.of(None, {"RAGKIT_API_KEYS": f"a:read:{READ},b:write:short"})
    assert "short" not in str(error.value).replace("too short", "")
    with pytest.raises(ConfigError, match="several keys called 'a'"):
        Keys.of(None, {"RAGKIT_API_KEYS": f"a:read:{READ},a:write:{WRITE}"})


def test_a_keys_file_that_is_missing_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Keys.of(Path(tmp_path / "none"), {})
