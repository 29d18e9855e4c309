"""HTML pages as Markdown."""

from __future__ import annotations

import re
from typing import Any

from bs4 import BeautifulSoup, Comment, ParserRejectedMarkup, Tag
from bs4.dammit import EncodingDetector
from markdownify import MarkdownConverter

from ragkit.conversion.convert import Content
from ragkit.conversion.dates import iso_date
from ragkit.conversion.markdown import first_title
from ragkit.errors import DocumentError

_NOISE = (
    "script", "style", "noscript", "template", "nav", "footer", "form", "button", "iframe", "object", "svg", "canvas", "head",
)  # fmt: skip
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_DEAD_LINK = re.compile(r"\s*(?:#|javascript:|data:)", re.IGNORECASE)
_DATES = re.compile(r"article:published_time|date|dc(?:terms)?\.(?:date|created|issued)|datepublished", re.IGNORECASE)
_LANGUAGE = re.compile(r"(?:language|lang|highlight-source)-([\w+#-]+)")
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*>")
_BLANK_LINES = re.compile(r"\n{3,}")


def declared_encoding(raw: bytes) -> str | None:
    """The encoding that a page says it has."""
    return EncodingDetector.find_declared_encoding(raw, is_html=True)


def read_html(uri: str, html: str) -> Content:
    """The page's main part as Markdown, without scripts, navigation and what is hidden.

    The title is that of `<title>`, else the first heading of level 1.
    """
    if "<" not in html:
        return Content(html.strip(), "markdown")
    try:
        soup = BeautifulSoup(_XML_DECLARATION.sub("", html), "html.parser")
    except ParserRejectedMarkup as error:
        raise DocumentError(f"{uri}: the HTML cannot be parsed: {error}", uri=uri) from error
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    metadata = _metadata(soup)
    _strip(soup)
    main = soup.find("main") or soup.find(None, {"role": "main"}) or soup.body or soup
    try:
        text = _converter().convert_soup(main)
    except RecursionError:  # thousands of nested elements: their text is all there is to save
        text = main.get_text("\n", strip=True)
    text = _BLANK_LINES.sub("\n\n", text).strip()
    return Content(text, "markdown", title or first_title(text), metadata)


def _strip(soup: BeautifulSoup) -> None:
    for comment in soup.find_all(string=lambda string: isinstance(string, Comment)):
        comment.extract()
    for tag in soup.find_all(_is_noise):
        if not tag.decomposed:
            tag.decompose()
    for link in soup.find_all("a"):
        if "headerlink" in (link.get("class") or []):
            link.decompose()
        elif _DEAD_LINK.match(str(link.get("href") or "#")):
            link.unwrap()
    for image in soup.find_all("img"):
        image.replace_with(str(image.get("alt") or ""))


def _is_noise(tag: Tag) -> bool:
    return (
        tag.name in _NOISE
        or tag.has_attr("hidden")
        or tag.get("aria-hidden") == "true"
        or bool(tag.has_attr("style") and _HIDDEN.search(str(tag["style"])))
    )


def _metadata(soup: BeautifulSoup) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("author", "description"):
        tag = soup.find("meta", attrs={"name": name})
        content = " ".join(str(tag.get("content") or "").split()) if isinstance(tag, Tag) else ""
        if 0 < len(content) <= 500:
            found[name] = content
    for tag in soup.find_all("meta"):
        named = str(tag.get("property") or tag.get("name") or tag.get("itemprop") or "")
        if _DATES.fullmatch(named) and (date := iso_date(tag.get("content"))):
            found["date"] = date
            break
    language = str(soup.html.get("lang") or "") if soup.html else ""
    if language:
        found["language"] = language
    return found


def _code_language(element: Tag) -> str:
    for tag in (element, *element.find_all("code", limit=1)):
        if match := _LANGUAGE.search(" ".join(tag.get("class") or [])):
            return match[1]
    return ""


def _converter() -> MarkdownConverter:
    # escapes would stand in every quotation
    return MarkdownConverter(
        heading_style="ATX",
        bullets="-",
        escape_asterisks=False,
        escape_underscores=False,
        escape_misc=False,
        table_infer_header=True,
        code_language_callback=_code_language,
    )
