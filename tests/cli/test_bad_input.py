"""Bad input at the command line: each gets one clear message and the documented exit status, and nothing is lost."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pdfs import encrypted, pdf
from projects import Project

from ragkit.host import Host
from ragkit.state.filesystem import refuse_network
from ragkit.state.locks import FileLock
from ragkit.state.schema import SCHEMA_VERSION
from ragkit.testing import plugin

Ragkit = Callable[..., Any]

CONFIG = """\
name: handbook
sources: [{use: files, name: pages, path: docs}]
embedding: fake
top_k: 50
"""
PAGES = {
    "leave.md": "# Leave\n\nEvery employee has 28 days of paid leave in a year.",
    "travel.md": "# Travel\n\nTrain tickets are booked in first class.",
}
SOUP = "# Canteen\n\nThe soup of the canteen is always vegetarian."
DRINKS = "# Gebühr\n\nDie Gebühr für Getränke beträgt fünf Euro, heißt es in der Kantine."


@dataclass(frozen=True)
class Handbook:
    """A project that has been ingested, and what a case needs to spoil it."""

    folder: Path
    ragkit: Ragkit
    nobody: AbstractContextManager[None]
    other: Path
    """Another ingested project of the same name."""

    @property
    def docs(self) -> Path:
        return self.folder / "docs"

    @property
    def state(self) -> Path:
        return self.folder / ".ragkit"

    def configure(self, text: str | None) -> None:
        (self.folder / "ragkit.yaml").unlink(missing_ok=True)
        if text is not None:
            (self.folder / "ragkit.yaml").write_text(text, encoding="utf-8")

    def write(self, name: str, content: str | bytes) -> None:
        self.docs.mkdir(exist_ok=True)
        (self.docs / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def sql(self, statement: str) -> None:
        connection = sqlite3.connect(self.state / "ledger.db")
        with connection:
            connection.execute(statement)
        connection.close()

    def texts(self) -> set[str]:
        """Everything that can be found."""
        done = self.ragkit("search", "What does the handbook say?", "--json")
        assert done.status == 0, done.err
        return {hit["text"] for hit in done.json["hits"]}


Spoil = Callable[[Handbook], Iterator[None]]


@dataclass(frozen=True)
class Case:
    """`spoil` spoils the handbook until its `yield`, and mends it after; `told` is all that the command says.

    That is the failures that it lists, and standard error without the progress.
    """

    what: str
    spoil: Spoil
    status: int
    told: str
    command: tuple[str, ...] = ("ingest",)
    answers_meanwhile: bool = False
    gained: tuple[str, ...] = ()
    """Texts that can be found afterwards besides those of `PAGES`."""


def yaml(what: str, text: str | None, told: str) -> Case:
    """A configuration that is refused; with `text` None there is none."""

    def spoil(book: Handbook) -> Iterator[None]:
        book.configure(text)
        yield
        book.configure(CONFIG)

    return Case(f"YAML: {what}", spoil, 2, told)


def more(line: str) -> str:
    return f"{CONFIG}{line}\n"


YAML = [
    yaml("missing", None, "ragkit.yaml: there is no such file\n  → `ragkit init` writes one"),
    yaml("empty", "", "ragkit.yaml:1:1: is empty; a configuration is a mapping of keys such as 'sources:'"),
    yaml("a list", "- docs\n", "ragkit.yaml:1:1: is a list; a configuration is a mapping of keys such as 'sources:'"),
    yaml("tabs", "sources:\n\t- docs\n", "ragkit.yaml:2:1: not valid YAML: a tab; YAML is indented and spaced with blanks"),
    yaml("a key twice", more("top_k: 3"), "ragkit.yaml:5:1: top_k: stands here a second time; the first is in line 4"),
    yaml("unknown key", more("topk: 3"), "ragkit.yaml:5:1: topk: unknown key 'topk'; did you mean 'top_k'?"),
    yaml(
        "unknown keys below, two at once",
        CONFIG.replace("docs}", "docs, incldue: x}") + "chunker: {use: sentence, overlapp: 3}\n",
        "ragkit.yaml:2:49: sources.0.incldue: unknown option 'incldue' of files; did you mean 'include'?\n"
        "ragkit.yaml:5:26: chunker.overlapp: unknown option 'overlapp' of sentence; did you mean 'overlap'?",
    ),
    yaml(
        "unknown component",
        more("chunker: sentense"),
        "ragkit.yaml:5:10: chunker: unknown chunker 'sentense'; did you mean 'sentence'?",
    ),
    yaml(
        "unknown component below",
        more("retriever: {use: hybrid, legs: [dense, {use: keywrod}]}"),
        "ragkit.yaml:5:46: retriever.legs.1.use: unknown retriever 'keywrod'; did you mean 'keyword'?",
    ),
    yaml("wrong type", CONFIG.replace("50", "many"), "ragkit.yaml:4:8: top_k: must be a whole number, not 'many'"),
    yaml(
        "wrong type below",
        more("retriever: {use: hybrid, alpha: high}"),
        "ragkit.yaml:5:33: retriever.alpha: must be a number or 'auto', not 'high'",
    ),
    yaml(
        "unset variable",
        CONFIG.replace("docs", "'${HANDBOOK}'"),
        "ragkit.yaml:2:43: sources.0.path: the environment variable HANDBOOK is not set; set it, or write ${HANDBOOK:-default}",
    ),
]


def no_folder(book: Handbook) -> Iterator[None]:
    book.docs.rename(book.folder / "elsewhere")
    yield


def empty_folder(book: Handbook) -> Iterator[None]:
    for path in book.docs.iterdir():
        path.unlink()
    yield


def at_first(spoil: Spoil) -> Spoil:
    """Before anything has been ingested; afterwards the documents are there and an ingest takes them."""

    def anew(book: Handbook) -> Iterator[None]:
        shutil.rmtree(book.state)
        yield from spoil(book)
        for name, text in PAGES.items():
            book.write(name, text)
        assert book.ragkit("ingest").status == 0

    return anew


def nothing_usable(book: Handbook) -> Iterator[None]:
    yield from empty_folder(book)
    book.write("picture.png", b"\x89PNG\r\n\x1a\n\0")


NO_FOLDER = (
    "source 'pages' was not listed to the end, so nothing of it was removed: {folder}/docs does not exist "
    "→ correct the source's `path`, or mount the folder"
)

FOLDERS = [
    Case("a folder that does not exist", no_folder, 3, NO_FOLDER, answers_meanwhile=True),
    Case("a folder that does not exist, at first", at_first(no_folder), 1, NO_FOLDER),
    Case(
        "a folder that is empty",
        empty_folder,
        3,
        "the source 'pages' listed 0 documents, and 2 of the 2 known ones are missing; nothing was removed "
        "(if that is right, run `ragkit ingest --allow-removals`)",
        answers_meanwhile=True,
    ),
    Case(
        "a folder with nothing usable, at first",
        at_first(nothing_usable),
        1,
        "no documents in pages → check `path`, `include` and `exclude` of the source",
    ),
]


def page(what: str, name: str, make: Callable[[], bytes], told: str, config: str = CONFIG) -> Case:
    """A document that cannot be read: it keeps what it had, and the new page beside it is taken."""

    def spoil(book: Handbook) -> Iterator[None]:
        book.configure(config)
        book.write(name, make())
        book.write("canteen.md", SOUP)
        yield

    return Case(what, spoil, 3, f"failed: {name}: {told}", answers_meanwhile=True, gained=(SOUP,))


def unreadable(book: Handbook) -> Iterator[None]:
    book.write("canteen.md", SOUP)
    (book.docs / "leave.md").chmod(0)
    for path in (book.state, *book.state.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    with book.nobody:
        yield


def odd_encodings(book: Handbook) -> Iterator[None]:
    book.write("latin.md", DRINKS.encode("cp1252"))
    book.write("wide.md", SOUP.encode("utf-16"))
    yield


DOCUMENTS = [
    Case(
        "an unreadable file",
        unreadable,
        3,
        "failed: leave.md: no permission to read it → give this user the permission",
        answers_meanwhile=True,
        gained=(SOUP,),
    ),
    page(
        "a binary file",
        "picture.md",
        lambda: b"\x89PNG\r\n\x1a\n\0\0\0" * 20,
        "looks binary: it has zero bytes → leave it out with `exclude` of the source",
    ),
    page(
        "a page that became binary",
        "leave.md",
        lambda: bytes(range(256)),
        "looks binary: it has zero bytes → leave it out with `exclude` of the source",
    ),
    page(
        "a file in another encoding than the source says",
        "latin.md",
        lambda: DRINKS.encode("cp1252"),
        "is not in the encoding utf-8: 'utf-8' codec can't decode byte 0xfc in position 5: invalid start byte "
        "→ leave `encoding` of the source out to have it found out",
        config=CONFIG.replace("docs", "docs, encoding: utf-8"),
    ),
    Case("files in two encodings", odd_encodings, 0, "", answers_meanwhile=True, gained=(SOUP, DRINKS)),
    page(
        "a PDF that is encrypted",
        "locked.pdf",
        lambda: encrypted(pdf("Secret."), "password"),
        "the PDF is encrypted and needs a password → save it without a password",
    ),
    page(
        "a PDF that is cut short",
        "short.pdf",
        lambda: pdf(*(f"Page {n}." for n in range(9)))[:2000],
        "the PDF is cut short: its end is missing → copy it again",
    ),
]


def not_writable(book: Handbook) -> Iterator[None]:
    book.write("canteen.md", SOUP)
    with book.nobody:
        yield


def no_state(book: Handbook) -> Iterator[None]:
    book.state.rename(book.folder / "state")
    with book.nobody:
        yield
    (book.folder / "state").rename(book.state)


def network(book: Handbook) -> Iterator[None]:
    mounts = book.folder / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/home {book.folder.resolve()} nfs4 rw 0 0\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ragkit.state.sqlite.refuse_network", partial(refuse_network, mounts=mounts))
        yield


def newer(book: Handbook) -> Iterator[None]:
    book.sql("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    yield
    book.sql(f"UPDATE meta SET value = '{SCHEMA_VERSION}' WHERE key = 'schema_version'")


def full_ledger(book: Handbook) -> Iterator[None]:
    """SQLite says the same where a disk is full and where a database may not grow. Afterwards the ingest goes on."""
    from sqlalchemy import event

    from ragkit.state import sqlite

    def small(path: Path, **options: Any) -> Any:
        engine = open_sqlite(path, **options)
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
        return engine

    open_sqlite = sqlite.open_sqlite
    book.write("canteen.md", SOUP)
    book.write("long.md", f"{DRINKS}\n\n" * 500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "open_sqlite", small)
        yield
    assert book.ragkit("ingest").status == 0


def full_store(book: Handbook) -> Iterator[None]:
    """NumPy hides a full disk in words of its own."""

    def save(*arguments: Any, **options: Any) -> None:
        patch.setattr("ragkit.state.filesystem._LEAST_FREE_BYTES", 1 << 60)
        raise OSError("560340 requested and 106368 written")

    book.write("canteen.md", SOUP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ragkit_bm25.files.np.save", save)
        yield
    assert book.ragkit("ingest").status == 0
    assert book.ragkit("views", "verify").status == 0


def views(folder: Path, kind: str) -> Path:
    (found,) = (folder / ".ragkit" / "views").glob(f"handbook-{kind}-*")
    return found


def foreign(book: Handbook) -> Iterator[None]:
    place, theirs = views(book.folder, "keyword"), views(book.other, "keyword")
    shutil.rmtree(place)
    shutil.copytree(theirs, place)
    yield
    assert contents(place) == contents(theirs), "neither written nor removed"
    place.rename(book.folder / "theirs")
    assert book.ragkit("views", "repair").status == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def old_backup(book: Handbook) -> Iterator[None]:
    own = views(book.folder, "vector")
    shutil.copytree(own, book.folder / "backup")
    book.write("canteen.md", SOUP)
    assert book.ragkit("ingest").status == 0
    shutil.rmtree(own)
    (book.folder / "backup").rename(own)
    yield
    assert book.ragkit("views", "repair").status == 0


def second_ingest(book: Handbook) -> Iterator[None]:
    with FileLock(book.state / "locks" / "ingest.lock", "it").hold():
        yield


def both(what: str, spoil: Spoil, told: str, gained: tuple[str, ...] = ()) -> list[Case]:
    """An ingest and a search, which are told the same."""
    commands = (("ingest",), ("search", "leave"))
    return [Case(f"{what}, {command[0]}", spoil, 1, f"error: {told}", command, gained=gained) for command in commands]


STATES = [
    *both(
        "a state without write permission",
        not_writable,
        "the ledger in {folder}/.ragkit/ledger.db cannot be used: attempt to write a readonly database\n"
        "  → give yourself write permission on the state folder, or point `state` at another one",
    ),
    Case(
        "a state that cannot be made",
        no_state,
        1,
        "error: the state folder {folder}/.ragkit cannot be made: Permission denied\n"
        "  → point `state` at a folder that you may write to",
        ("ingest",),
    ),
    Case(
        "no state, and a question",
        no_state,
        1,
        "error: nothing has been ingested yet into {folder}/.ragkit\n  → run `ragkit ingest -c {folder}/ragkit.yaml`",
        ("search", "leave"),
    ),
    *both(
        "a state on a network file system",
        network,
        "the state folder {folder}/.ragkit lies on a network file system (nfs4, mounted at {folder}), "
        "where SQLite loses data\n"
        "  → set `state` to a folder on a local disk",
    ),
    *both(
        "a state from a newer version",
        newer,
        f"{{folder}}/.ragkit/ledger.db has schema version 999; this ragkit knows versions up to {SCHEMA_VERSION}\n"
        "  → upgrade ragkit (`pip install -U ragkit`), or point `state` at another folder",
    ),
    Case(
        "a full disk while the ledger is written",
        full_ledger,
        1,
        "error: the ledger in {folder}/.ragkit/ledger.db cannot be used: database or disk is full\n"
        "  → free some disk space and run the command again; nothing that was reported done is lost",
        gained=(SOUP,),
    ),
    Case(
        "a full disk while a store is written",
        full_store,
        1,
        "error: the bm25 store could not write: the disk of {folder}/.ragkit is full\n"
        "  → free some disk space and run `ragkit ingest` again; nothing is lost",
        answers_meanwhile=True,
    ),
    *both(
        "a collection of another project",
        foreign,
        "the keyword store bm25 (collection handbook-keyword-2-{state}) is not this state's: "
        "the collection belongs to another state\n"
        "  → move {folder}/.ragkit/views/handbook-keyword-2-{state} away, which ragkit never does, "
        "and run `ragkit views repair`",
    ),
    *both(
        "a store restored from an old backup",
        old_backup,
        "the vector store faiss (collection handbook-vector-1-{state}) has drifted: "
        "it stands at 2, the ledger at 3: one of them was restored from a backup\n"
        "  → run `ragkit views repair`",
        gained=(SOUP,),
    ),
    Case(
        "a second ingest",
        second_ingest,
        1,
        "error: the ingest of this state is in use by process {pid}\n  → wait until it has ended, or stop it",
        answers_meanwhile=True,
    ),
]


def question(what: str, text: str, told: str) -> list[Case]:
    return [Case(f"{what}, {name}", lambda book: iter([None]), 2, f"error: {told}", (name, text)) for name in ("search", "ask")]


QUESTIONS = [
    *question(
        "a question that is empty", " ", "the question is empty\n  → ask something, such as: ragkit ask 'How do I install it?'"
    ),
    *question(
        "a question of 100 kB",
        "why " * 25_000,
        "the question has 100,000 characters; at most 32,768 are read\n  → ask a shorter one, and ingest long texts as documents",
    ),
]


CASES = [*YAML, *FOLDERS, *DOCUMENTS, *STATES, *QUESTIONS]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ingested project, to copy."""
    return build(tmp_path_factory.mktemp("template"), PAGES)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("other"), {"secret.md": "# Other\n\nThis belongs to somebody else."})


def build(folder: Path, pages: dict[str, str]) -> Path:
    project = Project(folder)
    project.config.write_text(CONFIG, encoding="utf-8")
    for name, text in pages.items():
        project.write(name, text)
    assert project.ingest().exit_status == 0
    return folder


@pytest.fixture
def handbook(
    template: Path,
    other: Path,
    open_folder: Path,
    nobody: AbstractContextManager[None],
    ragkit: Ragkit,
    monkeypatch: pytest.MonkeyPatch,
) -> Handbook:
    folder = shutil.copytree(template, open_folder / "handbook")
    folder.chmod(0o755)
    monkeypatch.setattr("ragkit.cli.opening.open_host", lambda: Host(plugins=[plugin]))
    monkeypatch.chdir(folder)
    return Handbook(folder, ragkit, nobody, other)


PROGRESS = ("reading documents: ", "vector view: ", "keyword view: ")


def told(done: Any, folder: Path) -> str:
    failed = [line for line in done.out.splitlines() if line.startswith("failed: ")]
    said = [line for line in done.err.splitlines() if not line.startswith(PROGRESS)]
    text = "\n".join([*failed, *said]).replace(str(folder), "{folder}")
    return re.sub(r"(-\d)-[0-9a-f]{8}\b", r"\1-{state}", re.sub(r"process \d+ \([^)]*\)", "process {pid}", text))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.what) for case in CASES])
def test_bad_input(case: Case, handbook: Handbook) -> None:
    with contextmanager(case.spoil)(handbook):
        done = handbook.ragkit(*case.command)
        found = handbook.texts() if case.answers_meanwhile else set()
    assert told(done, handbook.folder) == case.told
    assert done.status == case.status
    assert {*PAGES.values(), *case.gained} <= (found or handbook.texts())
