"""How keyword stores read a text: identifiers, scripts without spaces, stems and stop words."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import get_args

import pytest

from ragkit.analysis import SNOWBALL, Analyzer, Language, snowball, stop_words


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


@pytest.mark.parametrize("language", get_args(Language))
def test_every_language_reads(language: str) -> None:
    assert terms("word2vec v1.2.3", language)
    assert (snowball(language) is not None) == (language in SNOWBALL)


def test_languages_are_those_of_the_option() -> None:
    assert {*SNOWBALL} <= {*get_args(Language)}


@pytest.mark.parametrize(
    ("language", "word", "other"),
    [("en", "the", "fish"), ("de", "über", "haus"), ("ru", "когда", "рыба"), ("tr", "ancak", "balık"), ("da", "hvordan", "fisk")],
)
def test_stop_words_are_those_of_the_language(language: str, word: str, other: str) -> None:
    words = stop_words(language)
    assert word in words
    assert other not in words
    assert not [line for line in words if not line or line.startswith("#") or line != line.lower().strip()]
    assert terms(word, language) == []
    assert terms(other, language)


def test_languages_without_a_list_have_no_stop_words() -> None:
    assert stop_words("zh") == stop_words("none") == frozenset()


def test_the_lists_are_those_that_bm25s_has() -> None:
    from bm25s import stopwords

    names = {"de": "GERMAN", "en": "EN", "es": "SPANISH", "fr": "FRENCH", "it": "ITALIAN", "nl": "DUTCH", "no": "NORWEGIAN"}
    for language, name in {**names, "pt": "PORTUGUESE", "ru": "RUSSIAN", "sv": "SWEDISH"}.items():
        assert stop_words(language) == frozenset(getattr(stopwords, f"STOPWORDS_{name}")), language


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import sys; import ragkit.analysis; print({'regex', 'Stemmer', 'bm25s'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_threads_share_an_analyzer() -> None:
    analyzer, text = Analyzer("en"), " ".join(f"running{i} tested.validate_email{i}" for i in range(3_000))
    expected, found = terms(text), [list[str]() for _ in range(4)]

    def read(number: int) -> None:
        found[number] = analyzer.terms(text)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
