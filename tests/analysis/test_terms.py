"""How `bm25` reads a text: identifiers, scripts without spaces, stems and stop words."""

from __future__ import annotations

import pytest

from ragkit_bm25.analysis import Analyzer


def terms(text: str, language: str = "en") -> list[str]:
    return Analyzer(language).terms(text)


def test_words_are_folded_stemmed_and_stop_words_left_out() -> None:
    assert terms("The Connections of the CONNECTED") == ["connect", "connect"]
    assert terms("ﬁles, Ｆｉｌｅ and don't the user's") == ["file", "file", "don", "user"]
    assert terms("Die Häuser und das Haus", "de") == ["haus", "haus"]
    assert terms("The connections", "none") == ["the", "connections"]


@pytest.mark.parametrize(
    ("name", "questions"),
    [
        ("validate_email", ["validate_email", "validate email", "validate", "email"]),
        ("user.validateEmails(x)", ["validateEmail", "validate emails", "user", "user.validateemails"]),
        ("HTTPServer2", ["httpserver2", "http", "server2"]),
        ("release v1.2.3", ["v1.2.3"]),
        ("see RFC 2616", ["RFC 2616", "rfc", "2616"]),
        ("__init__", ["init", "__init__"]),
        ("pi is 3.14", ["3.14"]),
    ],
)
def test_identifiers_are_found_whole_and_by_their_parts(name: str, questions: list[str]) -> None:
    indexed = set(terms(name))
    for question in questions:
        assert set(terms(question)) & indexed, question
    assert not set(terms("v1.2.4 2617")) & indexed


@pytest.mark.parametrize(
    ("text", "found", "missed"),
    [
        ("我喜欢机器学习", "学习", "历史"),
        ("データベースを使う", "データ", "カメラ"),
        ("ฉันชอบภาษาไทย", "ภาษา", "แมว"),
        ("黑猫", "猫", "狗"),
    ],
)
def test_scripts_without_spaces_are_found_by_their_words(text: str, found: str, missed: str) -> None:
    assert set(terms(found, "none")) <= set(terms(text, "none"))
    assert not set(terms(missed, "none")) & set(terms(text, "none"))


def test_marks_stay_with_their_letters() -> None:
    assert terms("हिन्दी भाषा", "none") == ["हिन्दी", "भाषा"]


def test_a_text_without_words_has_no_terms() -> None:
    assert terms("") == terms("… — !! 😀 ___") == []


def test_a_very_long_word_is_cut() -> None:
    (term,) = terms("x" * 100_000, "none")
    assert len(term) == 64
