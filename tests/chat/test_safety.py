"""Nothing that anybody writes runs on the page, nobody reaches what the page does not need, and the page reaches nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from browser import Person, owner
from chatting import BAD, TalkativeLLM, open_pipeline, serving
from fastapi import FastAPI
from offline import offline
from playwright.sync_api import expect

from ragkit.chat import mount
from ragkit.chat.markdown import Markdown
from ragkit.chat.visitors import COOKIE

pytestmark = [pytest.mark.service, pytest.mark.xdist_group("chat")]

QUESTION = "How many days of paid leave does an employee have in a year?"


def nothing_ran(person: Person) -> None:
    page = person.page
    assert page.evaluate("window.hacked") is None
    assert page.locator("#rk-app script, #rk-app img, #rk-app iframe, #rk-app b, #rk-toasts img, dialog img").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0


def test_a_hostile_document_question_and_file_do_nothing(person: Person, site) -> None:
    person.ask(f"What says the gremlin every night? {BAD} [press](javascript:window.hacked=1)")
    nothing_ran(person)
    person.click(".rk-cite")
    expect(person.page.locator("#rk-panel .rk-document")).to_contain_text(BAD)
    nothing_ran(person)
    person.click("[data-act=close]")
    # Chromium takes no slashes in the names of files
    name = f"{BAD.replace('/', '')}2.md"
    person.page.set_input_files(".rk-files", files=[{"name": name, "mimeType": "text/plain", "buffer": b"Hostile by name."}])
    expect(person.page.locator("#rk-uploads [data-state=done]")).to_contain_text("<script>window.hacked = 1<script>")
    person.click(".rk-menu summary")
    person.page.locator(".rk-menu li", has_text="Delete").click()
    expect(person.page.locator("dialog")).to_contain_text("<script>")
    nothing_ran(person)
    person.page.keyboard.press("Escape")
    person.page.reload()
    person.ready()
    nothing_ran(person)


def test_a_hostile_model_does_nothing(person: Person) -> None:
    person.ask("How many days of paid leave are there in a year, evil?")
    nothing_ran(person)
    said = person.answer()
    assert BAD in said
    assert "${window.hacked=1}" in said
    assert "{{value}}" in said
    assert person.page.locator(".rk-text a").evaluate_all("links => links.map((a) => [a.href, a.rel, a.target])") == [
        ["https://example.org/a", "noopener noreferrer nofollow", "_blank"]
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<b onclick=x()>b</b>", "[a](javascript:x())", "[a](JaVaScRiPt:x())", "[a](data:text/html,x)", "<javascript:x()>",
        "![a](https://evil.example/x.png)", "[a](//evil.example)", "[a](file:///etc/passwd)", "`<b>`", "[1]: javascript:x()",
        "[a](vbscript:x)", "[a]( java\tscript:x())", "<https://a.example/\"onclick=x()>", "[![a](x)](javascript:x())",
    ],
)  # fmt: skip
def test_markdown_makes_no_html_of_what_it_is_given(text: str) -> None:
    import re

    made = Markdown().render(text)
    tags = re.findall(r"<[^>]*>", made)
    allowed = re.compile(
        r'</?(p|code|a|span)>|<span class="rk-mark">|<a href="https://a\.example/%22onclick=x\(\)" rel="[a-z ]+" target="_blank">'
    )
    assert [tag for tag in tags if not allowed.fullmatch(tag)] == []


def test_marks_become_buttons_where_something_is_cited() -> None:
    made = Markdown().render("yes [1] no [2] `[1]` [1](https://evil.example)", {1}, turn=7)
    assert made.count('data-turn="7" data-n="1"') == 2
    assert made.count("<button") == 2
    assert '<span class="rk-mark">[2]</span>' in made
    assert "<code>[1]</code>" in made
    assert "<a " not in made


CLOSED = [
    "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/runs", "/gradio_api/token", "/gradio_api/deep_link",
    "/gradio_api/file={state}/ledger.db", "/gradio_api/file/{state}/ledger.db", "/gradio_api/file=/etc/passwd", "/file=/x",
    "/gradio_api/proxy=https://huggingface.co/x", "/monitoring", "/monitoring/summary", "/gradio_api/vibe-code",
    "/gradio_api/component_server", "/gradio_api/custom_component/x/y/z/f", "/docs", "/openapi.json", "/gradio_api/call/ask",
    "/assets/../../../../../../../../etc/passwd", "/static/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd", "/svelte/../../blocks.py",
]  # fmt: skip


@pytest.mark.parametrize("path", CLOSED)
def test_routes_that_the_page_does_not_need_are_closed(site, path: str) -> None:
    state = site.pipeline.config.state
    answer = httpx.get(site.address.rstrip("/") + path.format(state=state))
    assert answer.status_code in (403, 404), answer.text
    assert "root:" not in answer.text


def test_every_answer_has_the_headers(site) -> None:
    for path in ("", "config", "theme.css", "gradio_api/info", "assets/none.js"):
        headers = httpx.get(site.address + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
    policy = httpx.get(site.address).headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_a_visitor_is_known_by_a_cookie_that_no_script_reads(site) -> None:
    first = httpx.get(site.address, headers={"sec-fetch-site": "none"})
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    value = first.cookies[COOKIE]
    assert len(bytes.fromhex(value)) == 16
    assert "set-cookie" not in httpx.get(site.address, cookies={COOKIE: value}).headers
    # an id that nobody gave is none
    assert COOKIE in httpx.get(site.address, cookies={COOKIE: "admin"}).cookies


def test_a_link_from_elsewhere_does_not_make_a_visitor_another_one(site) -> None:
    answer = httpx.get(site.address, headers={"sec-fetch-site": "cross-site"})
    assert "set-cookie" not in answer.headers
    assert 'http-equiv="refresh"' in answer.text


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.example"}]
)
def test_another_site_sends_nothing(site, headers: dict[str, str]) -> None:
    body = {"data": [], "fn_index": 0, "session_hash": "abcdefghijk"}
    assert httpx.post(f"{site.address}gradio_api/queue/join", json=body, headers=headers).status_code == 403


def test_without_a_cookie_nobody_asks(site) -> None:
    """Gradio's API, called past the page: an owner is nothing that can be sent along."""
    with httpx.Client(base_url=site.address) as client:
        config = client.get("config").json()
        for event in config["dependencies"]:
            if event["backend_fn"]:
                sent = {"data": [None] * len(event["inputs"]), "fn_index": event["id"], "session_hash": "abcdefghijk",
                        "event_data": {"owner": "x", "question": QUESTION}}  # fmt: skip
                assert client.post("gradio_api/queue/join", json=sent).status_code in (200, 503)
        with client.stream("GET", "gradio_api/queue/data?session_hash=abcdefghijk", timeout=20) as stream:
            said = "".join(stream.iter_text())
    assert said.count("did not send the cookie") >= 10
    assert "28 days" not in said


@pytest.fixture
def signed_in(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A page where people sign in."""
    llm = TalkativeLLM()
    asked: list[str] = []

    def sign_in(name: str, key: str) -> bool:
        asked.append(name)
        return key == f"{name}-key"

    with (
        open_pipeline(tmp_path / "own", llm) as pipeline,
        serving(mount(FastAPI(), pipeline, path="/chat", sign_in=sign_in)) as address,
    ):
        yield f"{address}chat/", asked


def test_people_sign_in(people: Callable[..., Person], signed_in: tuple[str, list[str]]) -> None:
    address, asked = signed_in

    def come(name: str) -> Person:
        person = people(address)
        person.page.goto(address)
        person.page.get_by_label("username").fill(name)
        assert person.page.title() == "Handbook"
        person.page.get_by_label("password").fill(f"{name}-key")
        person.page.get_by_role("button", name="Login").click()
        person.ready()
        return person

    ada, ben = come("ada"), come("ben")
    ada.ask(QUESTION)
    ben.page.goto(f"{address}#{ada.conversation}")
    ben.page.reload()
    ben.ready()
    assert "no such conversation" in ben.toast()
    assert asked == ["ada", "ben"]
    ben.begin("How many days of paid leave are there, if you break off?")
    error = ben.page.locator("#rk-live .rk-error")
    expect(error).to_contain_text("ask whoever runs this page")
    assert "secret" not in error.inner_text()
    assert httpx.get(f"{address}config").status_code == 401
    ada.page.get_by_text("Sign out").click()
    ada.page.get_by_label("username").wait_for()
    assert all(cookie["name"] != COOKIE for cookie in ada.page.context.cookies())


def test_the_page_contacts_nobody(tmp_path: Path) -> None:
    """In a process of its own, in which every attempt to reach out is counted: mount the page, open it, ask nothing of Gradio."""
    script = f"""
        import asyncio, sys
        sys.path[:0] = {[str(Path(__file__).parent.parent / "support")]!r}
        from pathlib import Path
        from chatting import TalkativeLLM, open_pipeline
        from fastapi import FastAPI
        from ragkit.chat import mount
        assert "gradio" not in sys.modules
        with open_pipeline(Path({str(tmp_path / "own")!r}), TalkativeLLM()) as pipeline:
            app = mount(FastAPI(), pipeline)
            async def main():
                sent = []
                async def receive():
                    return {{"type": "http.request", "body": b"", "more_body": False}}
                async def send(message):
                    sent.append(message)
                scope = {{"type": "http", "method": "GET", "path": "/", "root_path": "", "scheme": "http", "query_string": b"",
                         "headers": [(b"host", b"here")], "http_version": "1.1", "server": ("here", 80), "client": ("here", 1)}}
                async with app.router.lifespan_context(app):
                    await app(scope, receive, send)
                    await asyncio.sleep(0.5)
                print(sent[0]["status"])
            asyncio.run(main())
    """
    done = offline(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["200", "attempts", "0"]


def test_the_visitor_of_a_test_is_who_the_page_thinks(person: Person, site) -> None:
    person.ask(QUESTION)
    assert [found.title for found in site.pipeline.conversations.of(owner(person))] == [QUESTION]
