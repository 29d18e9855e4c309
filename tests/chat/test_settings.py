"""Settings of a conversation: kept with it, shown as YAML, and what its questions are asked with."""

from __future__ import annotations

import pytest
import yaml
from browser import Person, owner
from playwright.sync_api import expect

from ragkit.chat.settings import NOTHING, Choices
from ragkit.errors import QueryError

pytestmark = [pytest.mark.service, pytest.mark.xdist_group("chat")]

QUESTION = "How many days of paid leave does an employee have in a year?"


def shown(person: Person) -> object:
    return yaml.safe_load(str(person.page.locator(".rk-yaml").text_content()))


def test_settings_are_kept_and_change_the_answer(person: Person, site) -> None:
    person.ask(QUESTION)
    assert "3 passages" in person.text(".rk-why")
    person.click("[data-act=tune]")
    assert shown(person) is None
    person.page.fill("[name=k]", "1")
    person.page.press("[name=k]", "Tab")
    expect(person.page.locator(".rk-yaml")).to_contain_text("top_k: 1")
    person.page.uncheck("[name=dense]")
    expect(person.page.locator(".rk-yaml")).to_contain_text("retriever: keyword")
    person.page.uncheck("[name=rerankers]")
    expect(person.page.locator(".rk-yaml")).to_contain_text("rerankers")
    assert shown(person) == {"top_k": 1, "retriever": "keyword", "rerankers": []}
    person.ask(QUESTION)
    assert "1 passage ·" in person.page.locator(".rk-why").last.inner_text()
    turn = site.pipeline.conversations.turns(owner(person), person.conversation)[-1]
    names = {stage["name"] for stage in turn.answer["trace"]["stages"]}
    assert "keyword" in names
    assert not names & {"dense", "fused", "mmr"}
    person.page.reload()
    person.ready()
    assert shown(person) == {"top_k": 1, "retriever": "keyword", "rerankers": []}
    person.click("[data-act=tune]")
    person.click("[data-act=reset]")
    expect(person.page.locator(".rk-yaml")).to_have_text(NOTHING)
    assert person.page.is_checked("[name=dense]")
    assert person.page.input_value("[name=k]") == "3"


def test_alpha_moves(person: Person, site) -> None:
    person.click("[data-act=tune]")
    person.page.locator("[name=alpha]").press("ArrowLeft")
    expect(person.page.locator(".rk-yaml")).to_contain_text("alpha: 0.55")
    person.ask(QUESTION)
    # settings that were chosen first began the conversation
    (kept,) = site.pipeline.conversations.of(owner(person))
    assert kept.settings == {"alpha": 0.55}
    person.page.uncheck("[name=keyword]")
    expect(person.page.locator("[name=alpha]")).to_be_disabled()
    person.ask(QUESTION)


def test_nothing_to_search_is_refused(person: Person) -> None:
    person.click("[data-act=tune]")
    person.page.uncheck("[name=dense]")
    expect(person.page.locator(".rk-yaml")).to_contain_text("keyword")
    person.page.uncheck("[name=keyword]")
    assert "nothing would be searched" in person.toast()


def test_choices_of_a_configuration(site) -> None:
    choices = Choices.of(site.pipeline)
    assert (choices.k, choices.alpha, choices.rerankers) == (3, 0.6, ("mmr",))
    assert choices.chosen({"k": 3, "alpha": 0.6, "rerankers": ["mmr"]}) == {}
    assert choices.chosen({"alpha": 0.2, "rerankers": ["unknown"]}) == {"alpha": 0.2, "rerankers": []}
    assert choices.wanted({"retriever": "dense", "alpha": 0.2, "rerankers": ["mmr", "gone"]}) == {
        "retriever": "dense", "rerankers": ["mmr"],
    }  # fmt: skip
    for form in ({"k": 0}, {"k": True}, {"k": "5"}, {"alpha": 2}, {"alpha": "x"}, {"dense": False, "keyword": False}):
        with pytest.raises(QueryError):
            choices.chosen(form)
