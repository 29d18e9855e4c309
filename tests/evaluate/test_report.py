"""The report: one page that asks for nothing, and shows what documents say without believing it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ragkit.evaluate import Change, Estimate, Evaluation, Example, Latency, QueryResult, compare
from ragkit.evaluate.report import render
from ragkit.query.search import SearchResult
from ragkit.query.trace import StageRecord, Trace

EVIL = "<script src='https://evil.example/x.js'></script>\"><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Collects the tags and attributes of a page, and checks that they nest."""

    VOID = ("meta", "rect", "line", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def evaluation(shift: float = 0.0, queries: int = 30) -> Evaluation:
    results = tuple(
        QueryResult(
            id=f"q{number}{EVIL}",
            text=f"{EVIL} {number}",
            metrics={"ndcg@10": min(1.0, (number % 7) / 10 + shift), "span_iou@5": None},
            latency_ms=float(number),
            ranking=((EVIL, 1.0),),
            grades={EVIL: 1, "gone": 1},
        )
        for number in range(queries)
    )
    stages = (StageRecord("dense", 1.0, 0, 5, "degraded", EVIL),)
    found = SearchResult(EVIL, (), Trace(2.0, 1, stages))
    return Evaluation(
        name=EVIL,
        dataset=EVIL,
        metrics={"ndcg@10": Estimate(0.3 + shift, (0.2, 0.4), queries), "span_iou@5": None},
        latency_ms=Latency(15.0, 28.0),
        per_query=results,
        worst=tuple(Example(result, found) for result in results[:3]),
        notes=(EVIL,),
    )


@pytest.mark.parametrize("compared", [False, True])
def test_it_asks_for_nothing_and_escapes_everything(compared: bool) -> None:
    one = evaluation()
    text = render(one, compare(one, evaluation(0.1)) if compared else None, (Change("ndcg@10", 0.5, 0.3, True),))
    page = Page(text)
    assert not {"script", "img", "link", "iframe", "object", "a", "base", "form"} & set(page.tags)
    assert not {"src", "href", "xlink:href", "action", "style"} & {name for name, _ in page.attributes}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import", text)
    assert "<script" not in text
    assert "&lt;script" in text
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_it_shows_what_was_measured() -> None:
    one = evaluation()
    text = render(one, compare(one, evaluation(0.1)), (Change("ndcg@10", 0.5, 0.3, True),))
    for part in ("0.300 [0.200, 0.400]", "not measured", "-0.1000", "fell", "lost most", "not found", "degraded", "15.0 ms"):
        assert part in text, part
    assert text.count("<details>") == 3
    assert text.count("<svg") == 4


def test_it_is_drawn_within_its_bounds() -> None:
    one = evaluation(queries=2_000)
    text = render(one, compare(one, evaluation(0.1, queries=2_000)))
    numbers = [float(value) for value in re.findall(r'(?<= )(?:x|x1|x2|width)="([-\d.]+)"', text)]
    assert min(numbers) >= 0
    assert max(numbers) <= 760.01
    assert len(text) < 400_000


def test_a_single_question_and_none_that_is_bad() -> None:
    one = replace(evaluation(queries=1), worst=(), metrics={"ndcg@10": Estimate(1.0, None, 1)})
    text = render(one, compare(one, one))
    Page(text)
    assert "ndcg@10" in text.lower()
    assert ">nan" not in text.lower()
