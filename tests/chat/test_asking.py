"""Questions and answers on the page: streamed, with sources that can be looked at, stopped, broken off, not answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Person, owner
from chatting import TalkativeLLM, open_pipeline, serving
from fastapi import FastAPI
from playwright.sync_api import expect

from ragkit.chat import mount

pytestmark = [pytest.mark.service, pytest.mark.xdist_group("chat")]

QUESTION = "How many days of paid leave does an employee have in a year?"


def test_an_answer_and_its_source(person: Person, site) -> None:
    person.ask(QUESTION)
    assert "The documents say it plainly" in person.answer()
    person.click(".rk-cite")
    person.page.wait_for_selector("#rk-panel mark")
    (turn,) = site.pipeline.conversations.turns(owner(person), person.conversation)
    (citation,) = turn.answer["citations"]
    assert person.page.locator("#rk-panel mark").text_content() == citation["quote"]
    shown = person.page.locator("#rk-panel .rk-document").text_content()
    assert shown == (site.folder / "docs" / "leave.md").read_text()
    assert "leave.md" in person.text("#rk-panel .rk-facts")
    why = person.page.locator("#rk-panel .rk-why-table tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in why] == ["dense", "keyword", "fused", "mmr"]
    assert why[1].split("\t")[1] == "1"
    stages = person.page.locator("#rk-panel .rk-stages tbody th").all_inner_texts()
    assert [stage["name"] for stage in turn.answer["trace"]["stages"]] == [name.split()[0] for name in stages[:-1]]


def test_a_passage_far_down_is_scrolled_to(person: Person) -> None:
    person.ask("When is the office open from seven to nineteen?")
    person.click(".rk-cite")
    expect(person.page.locator("#rk-panel mark")).to_be_in_viewport()
    assert person.page.locator("#rk-panel .rk-document").evaluate("box => box.scrollTop") > 100


def test_every_passage_can_be_looked_at(person: Person) -> None:
    person.ask(QUESTION)
    person.click(".rk-why")
    person.page.wait_for_selector("#rk-panel mark")
    passages = person.page.locator("#rk-panel .rk-hits button")
    assert passages.count() == 3
    wanted = passages.nth(2).locator(".rk-uri").inner_text()
    passages.nth(2).click()
    expect(person.page.locator("#rk-panel .rk-hits [aria-current]")).to_contain_text(wanted)
    person.page.keyboard.press("Escape")
    expect(person.page.locator("#rk-panel")).to_be_hidden()


def test_an_answer_comes_piece_by_piece_and_can_be_stopped(person: Person, site) -> None:
    person.begin("How is paid leave requested, slowly?")
    site.llm.go.release(3)
    expect(person.page.locator("#rk-live .rk-text")).to_contain_text("The documents say")
    assert "plainly" not in person.text("#rk-live .rk-text")
    said = len(site.llm.said)
    person.click(".rk-stop")
    expect(person.page.locator("#rk-live")).to_contain_text("Stopped; the answer is incomplete.")
    expect(person.page.locator(".rk-send")).to_be_visible()
    site.llm.go.release(20)
    person.ask(QUESTION)
    # the word that the model was waiting with, and then no other of that answer
    assert len(site.llm.said) <= said + 1 + 9
    assert [turn.question for turn in site.pipeline.conversations.turns(owner(person), person.conversation)] == [QUESTION]


def test_a_question_while_another_is_answered_is_refused(person: Person, site) -> None:
    person.begin("How is paid leave requested, slowly?")
    person.page.wait_for_selector("body[data-busy]")
    person.page.fill("#rk-composer textarea", "And on Sundays?")
    person.page.press("#rk-composer textarea", "Enter")
    assert "still being answered" in person.toast()
    assert person.page.input_value("#rk-composer textarea") == "And on Sundays?"
    # past the page's script, the server refuses it too
    person.page.wait_for_function("document.querySelector('.rk-thread').dataset.conversation")
    person.send("submit", {"conversation": person.conversation, "question": "And on Mondays?"})
    expect(person.page.locator("#rk-live .rk-error")).to_contain_text("still being answered")
    person.send("stop", {"conversation": person.conversation})
    expect(person.page.locator("#rk-live")).to_contain_text("Stopped")


def test_a_model_that_fails_midway(person: Person, site) -> None:
    person.begin("How many days of paid leave are there, if you break off?")
    error = person.page.locator("#rk-live .rk-error")
    expect(error).to_contain_text("The answer broke off")
    expect(error).to_contain_text("the language model did not answer")
    assert person.text("#rk-live .rk-text").startswith("The documents say it")
    expect(person.page.locator(".rk-send")).to_be_visible()
    assert site.pipeline.conversations.turns(owner(person), person.conversation) == []
    person.click("[data-act=again]")
    expect(person.page.locator("#rk-live .rk-error")).to_have_count(1)


def test_no_answer_looks_different(person: Person) -> None:
    person.ask("Xylophone quarks perambulate zeppelins?")
    expect(person.page.locator(".rk-abstained")).to_contain_text("Not answered by the documents")
    assert person.page.locator(".rk-cite").count() == 0


def test_an_answer_without_a_source_is_marked(person: Person) -> None:
    person.ask("How many days of paid leave are there in a year, without source?")
    expect(person.page.locator(".rk-warn").first).to_contain_text("names no source")


def test_a_stage_that_failed_is_told(person: Person, site, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragkit.testing import MemoryKeywordStore

    def fails(*arguments: object, **more: object) -> None:
        raise RuntimeError("no disk")

    monkeypatch.setattr(MemoryKeywordStore, "search_ids", fails)
    monkeypatch.setattr(MemoryKeywordStore, "query", fails)
    person.ask(QUESTION)
    expect(person.page.locator(".rk-warn").first).to_contain_text("keyword")


def test_a_fault_of_ours_is_a_sentence(person: Person, site, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(site.pipeline, "astream", None)
    person.begin(QUESTION)
    expect(person.page.locator("#rk-live .rk-error")).to_contain_text("Something went wrong here")
    assert "NoneType" not in person.page.content()
    assert "NoneType" in caplog.text


def test_who_leaves_and_comes_back_can_ask_again(person: Person, site) -> None:
    person.begin("How is paid leave requested, slowly?")
    site.llm.go.release()
    expect(person.page.locator("#rk-live .rk-text")).to_contain_text("The")
    person.page.reload()
    person.problems.clear()  # Gradio writes of the connection that ends with the page
    person.ready()
    expect(person.page.locator(".rk-item")).to_have_count(1)
    person.click(".rk-item")
    person.ask(QUESTION)


def test_a_lost_connection_is_told_and_the_question_kept(people: Callable[..., Person], tmp_path: Path) -> None:
    with open_pipeline(tmp_path / "own", TalkativeLLM()) as pipeline:
        with serving(mount(FastAPI(), pipeline)) as address:
            person = people(address).open()
        person.page.fill("#rk-composer textarea", QUESTION)
        person.page.press("#rk-composer textarea", "Enter")
        assert "onnection" in person.toast()
        expect(person.page.locator("body:not([data-busy])")).to_have_count(1)
        assert person.page.input_value("#rk-composer textarea") == QUESTION
    person.problems.clear()  # the browser says that nobody listens there
