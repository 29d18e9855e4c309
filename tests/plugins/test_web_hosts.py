"""Which addresses the source `web` reaches, whatever names and redirects say, and who gets its secrets."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from webbing import take, web
from website import Site, redirect, site

from ragkit_web.connecting import is_public

PUBLIC = "93.184.216.34"


@pytest.fixture
def www() -> Iterator[Site]:
    with site() as running:
        running.page("/", "Home")
        yield running


@pytest.fixture
def other() -> Iterator[Site]:
    with site() as running:
        yield running


class Names:
    """A name server: the answers of each name, one after the other."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = self.answers[host]
        return (found.pop(0) if len(found) > 1 else found[0]).split()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::10.0.0.1", "2002:7f00:1::", "2002:a00:1::1",
        "::127.0.0.1", "2001:db8::1", "not an address",
    ],
)  # fmt: skip
def test_addresses_that_are_not_the_internets(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


class TestPrivate:
    def test_refused_by_default(self, www: Site, tmp_path: Path) -> None:
        taken = take(web(tmp_path, www.url(), allow_private=False))
        told = str(taken.errors[www.url()])
        assert "127.0.0.1, which is no address of the internet" in told
        assert "allow_private: true" in told
        assert www.seen == []

    @pytest.mark.parametrize("answer", ["127.0.0.1", "::1", f"{PUBLIC} 127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254"])
    def test_refused_behind_a_name(self, www: Site, tmp_path: Path, answer: str) -> None:
        url = f"http://rebound.test:{www.port}/"
        taken = take(web(tmp_path, url, allow_private=False, resolve=Names(rebound_test=[answer]), retries=0))
        assert "no address of the internet" in str(taken.errors[url])
        assert www.seen == []

    def test_the_address_that_was_checked_is_the_one_that_is_reached(
        self, www: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The name answers with a public address, then with this machine's. Nothing but the first is ever connected to."""
        import httpcore

        reached: list[str] = []

        def connect(self: object, host: str, *arguments: object, **more: object) -> None:
            reached.append(host)
            raise httpcore.ConnectError("not in a test")

        monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
        names = Names(rebound_test=[PUBLIC, "127.0.0.1"])
        url = f"http://rebound.test:{www.port}/"
        taken = take(web(tmp_path, url, allow_private=False, resolve=names, retries=3, robots=False))
        assert reached == [PUBLIC]
        assert names.asked == ["rebound.test"] * 2
        assert "127.0.0.1, which is no address of the internet" in str(taken.errors[url])

    def test_refused_behind_a_redirect(self, www: Site, other: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first host counts as one of the internet's; where it leads to does not."""
        monkeypatch.setattr("ragkit_web.connecting.is_public", lambda address: address == "127.0.0.2")
        www.pages["/"] = redirect(other.url("/secret"))
        other.page("/secret", "Secret")
        url = f"http://public.test:{www.port}/"
        source = web(tmp_path, url, allow_private=False, resolve=Names(public_test=["127.0.0.2"], **{"127_0_0_1": ["127.0.0.1"]}))
        # the site listens on 127.0.0.1 alone: reach it there, under the address that was checked
        real = socket.create_connection
        monkeypatch.setattr(socket, "create_connection", lambda to, *rest, **more: real(("127.0.0.1", to[1]), *rest, **more))
        taken = take(source)
        assert "127.0.0.1, which is no address of the internet" in str(taken.errors[url])
        assert www.paths() == ["/"]
        assert other.seen == []

    def test_allowed_where_it_is_said(self, www: Site, tmp_path: Path) -> None:
        url = f"http://inside.test:{www.port}/"
        names = Names(inside_test=["127.0.0.1"])
        assert set(take(web(tmp_path, url, resolve=names)).documents) == {url}
        assert www.seen[-1].headers["Host"] == f"inside.test:{www.port}"

    def test_a_name_that_nobody_knows(self, tmp_path: Path) -> None:
        names = Names()
        taken = take(web(tmp_path, "http://nowhere.test/", resolve=names, robots=False))
        assert "knows no such host" in str(taken.errors["http://nowhere.test/"])
        assert names.asked == ["nowhere.test"], "asking again would not help"


class TestSecrets:
    def test_headers_go_to_the_named_hosts_alone(self, www: Site, other: Site, tmp_path: Path) -> None:
        www.page("/", "Home", links=["/away", other.url("/b")])
        www.pages["/away"] = redirect(other.url("/a"))
        for path in ("/a", "/b"):
            other.page(path, path)
        headers = {"Authorization": "Bearer hunter2"}
        taken = take(web(tmp_path, www.url(), depth=1, same_host=False, headers=headers))
        assert len(taken.documents) == 3
        assert {one.headers.get("Authorization") for one in www.seen} == {"Bearer hunter2"}
        assert {one.headers.get("Authorization") for one in other.seen} == {None}

    def test_no_error_shows_them(self, www: Site, tmp_path: Path) -> None:
        from website import Reply

        www.pages["/"] = Reply(status=401)
        source = web(tmp_path, www.url(), "http://nowhere.test/", headers={"Authorization": "Bearer hunter2"}, retries=0)
        taken = take(source)
        assert len(taken.errors) == 2
        assert "hunter2" not in repr([*taken.errors.values(), source._options])
        assert not any(b"hunter2" in path.read_bytes() for path in tmp_path.rglob("*"))

    def test_no_cookies_are_sent_back(self, www: Site, tmp_path: Path) -> None:
        from website import HTML, Reply, article

        www.pages["/"] = Reply(article("Home", links=["/a"]), headers={"Content-Type": HTML, "Set-Cookie": "id=7"})
        www.page("/a", "A")
        take(web(tmp_path, www.url(), depth=1))
        assert not any("Cookie" in one.headers for one in www.seen)

    def test_proxies_of_the_environment_are_not_used(self, www: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert take(web(tmp_path, www.url())).documents


class TestCertificates:
    """The connection goes to an address, but the certificate has to be that of the name."""

    @pytest.fixture
    def secure(self, www: Site, tmp_path: Path) -> Path:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is missing: apt install openssl")
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=site.test", "-addext", "subjectAltName=DNS:site.test"],
            check=True, capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        www._server.socket = context.wrap_socket(www._server.socket, server_side=True)
        return certificate

    def test_the_right_name(self, www: Site, secure: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(secure))
        url = f"https://site.test:{www.port}/"
        assert set(take(web(tmp_path, url, resolve=Names(site_test=["127.0.0.1"]))).documents) == {url}

    @pytest.mark.parametrize("host", ["other.test", "site.test"])
    def test_another_name_or_an_unknown_issuer(
        self, www: Site, secure: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        if host == "other.test":
            monkeypatch.setenv("SSL_CERT_FILE", str(secure))
        url = f"https://{host}:{www.port}/"
        names = Names(site_test=["127.0.0.1"], other_test=["127.0.0.1"])
        taken = take(web(tmp_path, url, resolve=names, retries=3))
        assert "its certificate does not hold" in str(taken.errors[url])
        assert names.asked == [host], "asking again would not help"
