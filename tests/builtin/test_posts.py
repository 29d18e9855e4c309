"""The source `posts`: exports in every form to documents, piece by piece, bad records by themselves."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from pydantic import ValidationError

from ragkit.builtin.sources import ragkit_sources
from ragkit.builtin.sources.posts import PostsSource
from ragkit.builtin.sources.posts_options import PostsOptions
from ragkit.components import Entry, ListsEntries
from ragkit.conversion.dates import moment
from ragkit.errors import DocumentError, SourceError

POST = {
    "id": "7", "text": "Rivers run.", "author": "Ada", "date": "2024-05-01T10:00:00Z", "link": "https://a.example/7",
    "platform": "mastodon", "title": "On rivers",
}  # fmt: skip


def source(path: Path, **options: Any) -> PostsSource:
    (component,) = [offered for offered in ragkit_sources() if offered.name == "posts"]
    built = component.build(PostsOptions(path=path, **options), None)  # type: ignore[arg-type]
    assert isinstance(built, ListsEntries)
    assert isinstance(built, PostsSource)
    return built


def write(path: Path, posts: list[Any]) -> Path:
    """`posts` in the form that the suffix says."""
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "json":
        text = json.dumps(posts, indent=1)
    elif kind == "jsonl":
        text = "".join(json.dumps(post) + "\n" for post in posts)
    else:
        out = io.StringIO()
        writer = csv.DictWriter(out, list(posts[0]), delimiter="\t" if kind == "tsv" else ",")
        writer.writeheader()
        writer.writerows(posts)
        text = out.getvalue()
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())
    return path


def listed(found: PostsSource) -> tuple[list[Entry], str]:
    """The entries, and what the listing ended with."""
    entries = []
    try:
        for entry in found.entries():
            entries.append(entry)
    except SourceError as error:
        return entries, str(error)
    return entries, ""


def failure(entry: Entry) -> str:
    with pytest.raises(DocumentError) as raised:
        entry.convert(entry.read())
    return str(raised.value)


@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "p.csv", "p.tsv", "p.json.gz", "p.jsonl.gz", "p.csv.gz"])
def test_a_record_is_a_post(tmp_path: Path, name: str) -> None:
    (entry,) = source(write(tmp_path / name, [POST])).entries()
    document = entry.convert(entry.read())
    assert document.text == "Rivers run."
    assert document.metadata == {
        "author": "Ada", "date": "2024-05-01T10:00:00+00:00", "link": "https://a.example/7", "platform": "mastodon",
        "category": "post", "_id": "7", "uri": f"{name}#7", "title": "On rivers", "format": "text",
    }  # fmt: skip
    assert entry.uri == f"{name}#7"


def test_the_same_posts_in_every_form(tmp_path: Path) -> None:
    posts = [{**POST, "id": str(number), "text": f'Post {number}, "quoted",\nwith a second line; ü 文'} for number in range(50)]
    texts = [
        [document.text for document in source(write(tmp_path / f"p.{kind}", posts))] for kind in ("json", "jsonl", "csv", "tsv")
    ]
    assert texts == [[post["text"] for post in posts]] * 4


def test_nested_fields(tmp_path: Path) -> None:
    post = {
        "status": {"id_str": 12, "full_text": "Hello", "tags": ["a", "b"], "place": None},
        "users": [{"name": "Ada"}, {"name": "Bob"}],
        "a.b": "literal",
        "likes": 3,
    }
    options = {
        "id": "status.id_str", "text": ["status.full_text", "a.b"], "author": "users.1.name", "platform": None,
        "platform_name": "birds", "metadata": ["likes", "status.tags", "status.place", "users.9.name"],
    }  # fmt: skip
    (document,) = source(write(tmp_path / "a.jsonl", [post]), **options)
    assert document.text == "Hello\n\nliteral"
    assert document.metadata == {
        "likes": 3, "status.tags": ["a", "b"], "author": "Bob", "platform": "birds", "category": "post", "_id": "12",
        "uri": "a.jsonl#12", "title": "", "format": "text",
    }  # fmt: skip


def test_a_platform_by_field_or_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": 1, "text": "x", "platform": "own"}, {"id": 2, "text": "x"}])
    assert [one.metadata["platform"] for one in source(path, platform_name="other")] == ["own", "other"]
    assert [one.metadata.get("platform") for one in source(path)] == ["own", None]


def test_texts_in_pieces_several_authors_and_html(tmp_path: Path) -> None:
    post = {
        "id": 1, "text": ["See ", {"type": "link", "text": "https://b.example"}, " now"], "author": ["Ada", None, "Bob"],
        "html": "<p>One <b>two</b></p><script>no()</script><ul><li>three</li></ul>",
    }  # fmt: skip
    path = write(tmp_path / "a.json", [post])
    (document,) = source(path)
    assert (document.text, document.metadata["author"]) == ("See https://b.example now", "Ada, Bob")
    (document,) = source(path, text="html", text_format="html")
    assert document.text.split() == ["One", "**two**", "-", "three"]
    assert document.metadata["format"] == "markdown"


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("2024-05-01", "2024-05-01"),
        ("2024-05-01T10:00:00.5+02:00", "2024-05-01T10:00:00.500000+02:00"),
        ("2024-05-01 10:00:00 UTC", "2024-05-01T10:00:00+00:00"),
        (1714557600, "2024-05-01T10:00:00+00:00"),
        ("1714557600", "2024-05-01T10:00:00+00:00"),
        (1714557600123, "2024-05-01T10:00:00.123000+00:00"),
        ("1714557600000000", "2024-05-01T10:00:00+00:00"),
        (1714557600.5, "2024-05-01T10:00:00.500000+00:00"),
        ("Wed, 01 May 2024 10:00:00 +0000", "2024-05-01T10:00:00+00:00"),
        ("Wed May 01 10:00:00 +0000 2024", "2024-05-01T10:00:00+00:00"),
        ("1 May 2024", "2024-05-01"),
        ("20240501", "2024-05-01"),
        ("2024", "2024"),
        ("2024-05", "2024-05"),
        ("03/04/2024", ""),
        ("yesterday", ""),
        (10**25, ""),
        ("9" * 400, ""),
    ],
)
def test_dates(written: Any, iso: str) -> None:
    assert moment(written) == iso


def test_dates_in_a_form_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": 1, "text": "x", "date": "03/04/2024 17:05"}, {"id": 2, "text": "x", "date": ""}])
    assert "'date' is no date that can be read: '03/04/2024 17:05'" in failure(next(source(path).entries()))
    assert [one.metadata.get("date") for one in source(path, date_format="%d/%m/%Y %H:%M")] == ["2024-04-03T17:05:00", None]
    assert [one.metadata.get("date") for one in source(path, date=None)] == [None, None]


@pytest.mark.parametrize(
    ("post", "told"),
    [
        ({"id": "9"}, "has no text in 'text'"),
        ({"id": "9", "text": "  "}, "has no text in 'text'"),
        ({"id": "9", "text": 3}, "'text' is a number, and no text"),
        ({"id": "9", "text": {"text": "x"}}, "'text' is an object, and no text"),
        ({"id": "9", "text": "x", "author": {"name": "A"}}, "'author' is an object, and no author"),
        ({"id": "9", "text": "x", "date": "soon"}, "'date' is no date"),
        ({"id": "9", "text": "x", "date": True}, "'date' is no date"),
        ({"id": "9", "text": "x", "n": float("nan")}, "NaN is no number"),
    ],
)
@pytest.mark.parametrize("name", ["p.json", "p.jsonl"])
def test_a_bad_post_fails_under_its_own_uri(tmp_path: Path, name: str, post: Any, told: str) -> None:
    entries, end = listed(source(write(tmp_path / name, [POST, post, {**POST, "id": "10"}])))
    assert [entry.uri for entry in entries] == [f"{name}#7", f"{name}#9", f"{name}#10"]
    place = "p.json[1]: " if name == "p.json" else "p.jsonl:2: "
    assert failure(entries[1]).startswith(place)
    assert told in failure(entries[1])
    assert entries[2].convert(entries[2].read()).text == "Rivers run."
    assert end == ""


@pytest.mark.parametrize("bad", [{"text": "x"}, {"id": " ", "text": "x"}, {"id": {"a": 1}, "text": "x"}, [1], 3, None])
@pytest.mark.parametrize("name", ["p.json", "p.jsonl"])
def test_a_post_without_an_id_fails_and_lets_nothing_be_removed(tmp_path: Path, name: str, bad: Any) -> None:
    entries, end = listed(source(write(tmp_path / name, [POST, bad, {**POST, "id": "10"}])))
    assert len(entries) == 3
    assert entries[1].uri in ("p.json[1]", "p.jsonl:2")
    assert "1 records have no id that can be read" in end
    failure(entries[1])
    assert entries[2].convert(entries[2].read()).text == "Rivers run."


def test_rows_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'id,text\r\n1,good\r\n2,"a,\nb"\r\n\r\n3\r\n4,x,y\r\n5,caf\xe9\r\n,z\r\n6,good\r\n')
    entries, end = listed(source(path))
    assert [entry.uri for entry in entries] == ["a.csv#1", "a.csv#2", "a.csv#3", "a.csv#4", "a.csv#5", "a.csv:9", "a.csv#6"]
    assert "a.csv:6: has 1 cells, and the header has 2" in failure(entries[2])
    assert "has 3 cells" in failure(entries[3])
    assert "is not UTF-8" in failure(entries[4])
    assert "has no id: 'id' is empty" in failure(entries[5])
    assert [entries[place].convert(entries[place].read()).text for place in (0, 1, 6)] == ["good", "a,\nb", "good"]
    assert "a.csv:9" in end


def test_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,good\n2,"open\n' + "".join(f"{number},text {number}\n" for number in range(3, 40_000)))
    entries, end = listed(source(path, max_bytes=10_000))
    assert [entry.uri for entry in (entries[0], entries[1], entries[-1])] == ["a.csv#1", "a.csv:3", "a.csv#39999"]
    assert len(entries) > 39_000
    assert "a.csv:3: is no row of CSV: it has more than max_bytes (10,000)" in failure(entries[1])
    assert "a.csv:3" in end


def test_columns_encodings_and_delimiters(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffid;text\n1;größer, weiter\n".encode())
    assert [one.text for one in source(path)] == ["größer, weiter"]
    path.write_bytes("id;text\n1;größer\n".encode("utf-16"))
    assert [one.text for one in source(path)] == ["größer"]
    path.write_bytes("id|text\n1|größer\n".encode("cp1252"))
    assert [one.text for one in source(path, encoding="cp1252")] == ["größer"]
    assert [one.text for one in source(path, encoding="cp1252", delimiter="|")] == ["größer"]
    with pytest.raises(SourceError, match=r"a\.csv: has no column 'key', but: id, text"):
        list(source(path, id="key").entries())
    with pytest.raises(SourceError, match="has no column 'body' or 'head'"):
        list(source(path, text=["body", "head"]).entries())
    path.write_bytes(b"")
    with pytest.raises(SourceError, match="none"):
        list(source(path).entries())


def test_where_the_list_is(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"meta": {"n": [1]}, "name": "x", "data": {"posts": [POST]}, "other": [POST, POST]}))
    assert [entry.uri for entry in source(path, records="data.posts").entries()] == ["a.json#7"]
    assert len(list(source(path, records="other").entries())) == 2
    assert len(list(source(path).entries())) == 2
    path.write_text("[]")
    assert list(source(path).entries()) == []
    for keys, text, told in (
        (None, '{"a": 1, "b": {}}', "has no list among its keys"),
        (None, "3", "is neither a list nor an object"),
        (None, "", "is neither a list nor an object"),
        (None, '{"a" 1}', "in place of ':'"),
        (None, '{"a": 1 "b": []}', "in place of ','"),
        ("posts", '{"a": []}', "has no key 'posts'"),
        ("a", '{"a": {}}', "'a' is no list"),
        ("a.b", '{"a": []}', "has no object with 'b'"),
    ):
        path.write_text(text)
        with pytest.raises(SourceError) as raised:
            list(source(path, records=keys).entries())
        assert told in str(raised.value)


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ("", "ends after [0]"),
        (", {", "is no JSON at [1]"),
        (', {"id": "8", "text": "x}]', "is no JSON at [1]"),
        (' {"id": "8"}]', "has '{' in place of ',' after [0]"),
        (", 1 2]", "has '2' in place of ',' after [1]"),
        (", " + "[" * 100_000, "is nested too deeply at [1]"),
        (', {"id": "8", "text": "' + "x" * 2_000_000, "has at [1] more than max_bytes (1,000,000)"),
    ],
)
def test_a_list_that_breaks_off(tmp_path: Path, rest: str, told: str) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" + json.dumps(POST) + rest)
    entries, end = listed(source(path, max_bytes=1_000_000))
    assert entries[0].uri == "a.json#7"
    assert told in end
    assert "nothing was removed" in end


@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "p.csv"])
def test_a_record_that_is_too_long(tmp_path: Path, name: str) -> None:
    entries, end = listed(
        source(write(tmp_path / name, [POST, {**POST, "text": "x" * 3_000}, {**POST, "id": 8}]), max_bytes=2_000)
    )
    assert [entry.uri.rpartition("#")[2] for entry in (entries[0], entries[-1])] == ["7", "8"]
    assert "max_bytes (2,000)" in failure(entries[1])
    assert "no id that can be read" in end


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv"])
def test_a_large_export_is_read_in_pieces(tmp_path: Path, kind: str) -> None:
    posts = [{**POST, "id": str(number), "text": "word " * 400} for number in range(5_000)]
    found = source(write(tmp_path / f"p.{kind}", posts))
    assert (tmp_path / f"p.{kind}").stat().st_size > 10_000_000
    del posts
    next(found.entries())
    tracemalloc.start()
    try:
        assert sum(len(entry.read()) > 0 for entry in found.entries()) == 5_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_a_folder_of_exports(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "a.json", [POST])
    write(tmp_path / "sub" / "b.csv", [POST])
    (tmp_path / "c.txt").write_text("not an export")
    assert [entry.uri for entry in source(tmp_path).entries()] == ["a.json#7", "sub/b.csv#7"]
    assert [entry.uri for entry in source(tmp_path, include=["sub/"]).entries()] == ["sub/b.csv#7"]
    with pytest.raises(SourceError, match=r"c\.txt: its name says nothing of its format"):
        list(source(tmp_path / "c.txt").entries())
    (tmp_path / "c.txt").write_text(json.dumps(POST))
    assert [entry.uri for entry in source(tmp_path / "c.txt", format="jsonl").entries()] == ["c.txt#7"]
    with pytest.raises(SourceError, match="does not exist"):
        list(source(tmp_path / "none.json").entries())


def test_another_option_converts_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [POST])
    options: list[dict[str, Any]] = [{}, {"title": None}, {"text": ["text"]}, {"date": None}, {"platform_name": "x"}]
    assert len({next(source(path, **chosen).entries()).version for chosen in options}) == len(options)
    assert next(source(path, max_bytes=2_000).entries()).version == next(source(path).entries()).version


def test_options_that_are_wrong(tmp_path: Path) -> None:
    for wrong in ({"text": []}, {"format": "xml"}, {"encoding": "klingon"}, {"delimiter": ";;"}, {"text_format": "rtf"}):
        with pytest.raises(ValidationError):
            PostsOptions(path=tmp_path, **wrong)


def test_an_ingest_follows_the_posts(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.config.write_text(
        "sources: [{use: posts, name: posts, path: posts.csv, platform_name: birds}]\n"
        "embedding: fake\nvector_store: memory\nkeyword_store: memory\n"
    )
    posts = [{"id": str(number), "text": f"The river number {number}.", "date": 1714557600 + number} for number in range(6)]
    write(tmp_path / "posts.csv", posts)
    assert project.ingest().documents["added"] == 6
    assert project.ingest().documents["unchanged"] == 6

    posts[1]["text"] = "A lake."
    posts[2]["date"] = "soon"
    write(tmp_path / "posts.csv", posts[:5])
    report = project.ingest()
    assert (report.documents["updated"], report.documents["removed"], report.exit_status) == (1, 1, 3)
    assert [failed.uri for failed in report.failures] == ["posts.csv#2"]
    with project.open() as pipeline:
        hit = pipeline.search("the lake", filters="category == post and platform == birds").hits[0]
    assert (hit.uri, hit.metadata["date"]) == ("posts.csv#1", "2024-05-01T10:00:01+00:00")
