"""The texts that chunkers are tested on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PROSE = (
    "The river rises in the hills. It passes three towns, and in each of them stands a mill; the second is the oldest. "
    "Dr. Weber measured its depth in 1987. Nobody has done so since! Was it worth the effort? The water was 2.5 m deep. "
)
_PAGE = "# Rivers\n\n" + "".join(
    f"## Part {number}\n\n{_PROSE * (1 + number % 4)}\n\n### Details of {number}\n\n- one\n- two: see below\n- three\n\n"
    f"```python\ndef depth_{number}(place):\n    # metres\n    return {number} * place\n```\n\n"
    f"| a | b |\n|---|---|\n| 1 | {number} |\n\n"
    for number in range(6)
)
_MODULE = '"""A module."""\n\nimport os\n\n' + "".join(
    f"# what {number} does\n@decorated\ndef function_{number}(value):\n    if value:\n        return os.path.join('a', value)\n"
    f"    return {number}\n\n\nclass Thing{number}:\n    def method(self):\n        return self.value\n\n"
    for number in range(6)
)
_FAQ = "".join(f"How is thing {number} done?\nOpen the menu and choose thing {number}. Then wait.\n\n" for number in range(12))
_CONTRACT = "".join(
    f"{number}. The Licensee shall pay the fee of clause {number}.\n(a) Payment is due pursuant to this agreement.\n"
    f"(b) {_PROSE}\n\n"
    for number in range(1, 8)
)
_HTML = "<!DOCTYPE html><html><head><title>T</title></head><body>" + "".join(
    f"<h2 class='a > b'>Part {number}</h2>\n<p>{_PROSE}<b>Bold</b> &amp; more.</p><ul><li>one<li>two</ul><!-- a > comment -->\n"
    for number in range(5)
)

DOCUMENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "page.md": (_PAGE, {"format": "markdown", "category": "article"}),
    "plain.txt": (_PROSE * 12, {"format": "text", "category": "post"}),
    "module.py": (_MODULE, {"format": "text", "category": "repository", "programming_language": "python"}),
    "faq.txt": (_FAQ, {"format": "text"}),
    "contract.txt": (_CONTRACT, {"format": "text"}),
    "page.html": (_HTML, {"format": "html"}),
    "chinese.txt": ("这条河发源于山中。它流经三个城镇，每个城镇都有一座磨坊。" * 15, {"format": "text", "language": "zh"}),
    "short.txt": ("One line.", {"format": "text"}),
}
"""By name: text and metadata."""

REPEATED = "Same words here. " * 60

BLANK = {"nothing": "", "space": "  ", "lines": "\n\r\n\n", "odd space": "\u00a0\u2003\u3000\t", "page breaks": "\f\n\f"}

ODD = {
    "combining marks": "e\u0301a\u0308o\u0328 " * 80,
    "marks without end": "a" + "\u0301" * 500,
    "right to left": "שלום עולם. مرحبا بالعالم؟ " * 30,
    "mixed directions": "abc \u202eשלום\u202c def. " * 40,
    "families": "👩\u200d👩\u200d👧\u200d👦" * 120,
    "flags": "🇩🇪🇫🇷" * 120,
    "no spaces": "漢字仮名交じり文" * 60,
    "thai": "ภาษาไทยไม่มีช่องว่างระหว่างคำ" * 20,
    "a long word": "x" * 3_000,
    "long words": ("y" * 400 + " ") * 10,
    "windows lines": "A line.\r\nAnother one.\r\n\r\n" * 40,
    "old lines": "A line.\rAnother one.\r\r" * 40,
    "page breaks": "A page of words.\fThe next one.\f\f" * 40,
    "control characters": "a\x00b\x1c\x85c\u2028d\u200be\ufeff. " * 60,
    "fences": "```\n" * 101,
    "headings": "# a\n## b\n" * 60,
    "empty headings": "#\n\n##\n\n" * 40,
    "underlined": "a\n===\nb\n---\n" * 40,
    "tags": "<div><p>a</div>< b & c <a href='" * 30,
    "brackets": "([{" * 300 + "}])" * 300,
    "punctuation": "!?… — ___ … " * 80,
    "one character": "x",
    "space around": "\n\n   x y z.   \n\n",
}

PIECES = (
    "A sentence. ", "Another one! ", "\n\n", "\n", "\r\n", "# Heading\n\n", "## Part\n\n", "```\ncode = 1\n```\n", "```\n",
    "- item\n", "word ", "漢字。", "👩\u200d👩\u200d👧", "\u00a0", "\u200b", "\u0000", "\u001c", "\u0085", "\u2028", "\f",
    "e\u0301", "naïve ", "x" * 150, "-" * 80, "a|b|c\n", "http://example.org/a?b=c#d ", "  ", "Dr. Who said: ", "\t",
    "def f(x):\n    return x\n\n", "class A {\n  int b;\n}\n", "How? ", "Q: why\n", "1. The party shall ", "(a) so\n", "§ 5 ",
    "<p>", "</div>", "<!--", "-->", "שלום ",
)  # fmt: skip
"""What random texts are made of."""
