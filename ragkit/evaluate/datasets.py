"""Questions with judgments: BEIR folders, JSONL files, and folders of questions with the passages that answer them.

Everything that is wrong with a file is told at once, with its line, in a `DatasetError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ragkit.errors import DatasetError, Problem, QueryError
from ragkit.query.run import check_question

_PROBLEMS_TOLD = 20
_QREL_COLUMNS = 3


@dataclass(frozen=True)
class Relevant:
    """One judgment of a question.

    `item` names a document (its record `_id`, else its URI), a chunk (its id), or, for `any`, what of these it turns
    out to be in the index. A `passage` is a `quote`, or the characters from `start` to `end`, of the document `item`; a
    quote without a document may stand anywhere. `grade` is the gain; 0 means judged and not relevant.
    """

    kind: Literal["any", "document", "chunk", "passage"]
    item: str = ""
    grade: int = 1
    quote: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Query:
    """A question with its judgments; `answers` are texts that would be right."""

    id: str
    text: str
    relevant: tuple[Relevant, ...]
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """The judged questions in the order of their file. `notes` say what was left out."""

    name: str
    queries: tuple[Query, ...]
    notes: tuple[str, ...] = ()

    def head(self, count: int | None) -> Dataset:
        """The first `count` questions."""
        return self if count is None else replace(self, queries=self.queries[:count])

    @property
    def has_passages(self) -> bool:
        """Whether some question is judged by passages."""
        return any(item.kind == "passage" for query in self.queries for item in query.relevant)


def load(path: Path, *, split: str = "test", queries: Path | None = None) -> Dataset:
    """Read a dataset.

    A BEIR folder has `queries.jsonl` (or `queries`, given apart) and `qrels/SPLIT.tsv`; a JSONL file has a question
    per line; a folder with `questions.jsonl` is read as that file. Raises `DatasetError`.
    """
    problems = _Problems()
    if path.is_file():
        return _load_questions(path, path.stem, problems)
    if not path.is_dir():
        raise _wrong(path, "does not exist", "give a BEIR folder, or a JSONL file with a question per line")
    questions = path / "questions.jsonl"
    if questions.is_file() and not (path / "qrels").is_dir():
        return _load_questions(questions, path.resolve().name, problems)
    return _load_beir(path, split, queries or path / "queries.jsonl", problems)


@dataclass
class _Problems:
    """Collects what is wrong."""

    found: list[Problem] = field(default_factory=list)

    def add(self, path: Path, line: int, message: str) -> None:
        self.found.append(Problem("", message, str(path), line, 1))

    def check(self) -> None:
        """Raise what was found."""
        if self.found:
            more = len(self.found) - _PROBLEMS_TOLD
            told = self.found[:_PROBLEMS_TOLD] + ([Problem("", f"… and {more} more")] if more > 0 else [])
            raise DatasetError(told, cure="correct the dataset; nothing was measured")


def _load_beir(path: Path, split: str, queries: Path, problems: _Problems) -> Dataset:
    qrels = path / "qrels" / f"{split}.tsv"
    if not qrels.is_file():
        there = ", ".join(sorted(file.stem for file in qrels.parent.glob("*.tsv")))
        raise _wrong(qrels, "does not exist", f"--split takes: {there}" if there else "a BEIR folder has qrels/test.tsv")
    if not queries.is_file():
        raise _wrong(queries, "does not exist", "a BEIR folder has queries.jsonl; --queries names another file")
    judged = _read_qrels(qrels, problems)
    texts: dict[str, tuple[str, tuple[str, ...]]] = {}
    unjudged = 0
    for line, record in _records(queries, problems):
        key, text = _name(record.get("_id")), record.get("text")
        if not key:
            problems.add(queries, line, "the query has no _id")
        elif key in texts:
            problems.add(queries, line, f"the _id {key!r} is there twice")
        elif key not in judged:
            texts[key] = ("", ())
            unjudged += 1
        elif _is_question(text, queries, line, problems):
            meta = record.get("metadata")
            texts[key] = (str(text), _answers(meta.get("answers") if isinstance(meta, dict) else None))
    problems.check()
    missing = [key for key in judged if key not in texts]
    notes = [f"{unjudged} queries have no judgment in {qrels.name} and are left out"] if unjudged else []
    if missing:
        notes.append(f"{len(missing)} judged queries are not in {queries.name} and are left out, {missing[0]!r} among them")
    found = [
        Query(key, text, tuple(Relevant("document", item, grade) for item, grade in judged[key].items()), answers)
        for key, (text, answers) in texts.items()
        if key in judged
    ]
    if not found:
        raise _wrong(qrels, f"judges no query of {queries}", "give the file with these queries with --queries")
    return Dataset(f"{path.resolve().name}/{split}", tuple(found), tuple(notes))


def _read_qrels(path: Path, problems: _Problems) -> dict[str, dict[str, int]]:
    """Grades by query and document. The first line may be a header."""
    judged: dict[str, dict[str, int]] = {}
    for number, line in _lines(path, problems):
        columns = [column.strip() for column in line.rstrip("\r\n").split("\t")]
        if len(columns) != _QREL_COLUMNS:
            problems.add(path, number, f"has {len(columns)} columns instead of query-id, corpus-id and score, separated by tabs")
            continue
        query, document, written = columns
        grade = _whole(written)
        if grade is None:
            if number > 1:
                problems.add(path, number, f"the score {written!r} is no whole number")
        elif not query or not document:
            problems.add(path, number, "the query-id or the corpus-id is empty")
        elif judged.setdefault(query, {}).setdefault(document, grade) != grade:
            problems.add(path, number, f"judges document {document!r} for query {query!r} again, and otherwise")
    return judged


def _load_questions(path: Path, name: str, problems: _Problems) -> Dataset:
    """A question per line: `question`, `relevant`, `answers`."""
    found: dict[str, Query] = {}
    unjudged = 0
    for line, record in _records(path, problems):
        text = record.get("question", record.get("text"))
        key = _name(record.get("_id", record.get("id"))) or str(line)
        if key in found:
            problems.add(path, line, f"the id {key!r} is there twice")
        elif _is_question(text, path, line, problems):
            relevant = _relevant(record, path, line, problems)
            unjudged += not relevant
            found[key] = Query(key, str(text), tuple(relevant), _answers(record.get("answers")))
    problems.check()
    judged = tuple(query for query in found.values() if query.relevant)
    if not judged:
        raise _wrong(path, "judges no question", "give each question `relevant`: documents, chunks or quotes")
    notes = (f"{unjudged} questions have nothing `relevant` and are left out",) if unjudged else ()
    return Dataset(name, judged, notes)


def _relevant(record: Mapping[str, Any], path: Path, line: int, problems: _Problems) -> list[Relevant]:
    """The judgments of a record: `relevant` as texts or objects, or `references` within the document `corpus_id`."""
    written = record.get("relevant", record.get("references")) or []
    within = _name(record.get("corpus_id"))
    found = []
    for item in [written] if isinstance(written, str | dict) else written if isinstance(written, list) else [None]:
        judgment = _judgment(item, within)
        if judgment is None:
            problems.add(path, line, f"cannot tell what is relevant from {json.dumps(item, ensure_ascii=False)[:80]}")
        else:
            found.append(judgment)
    return found


def _judgment(item: Any, within: str) -> Relevant | None:
    if isinstance(item, str | int) and not isinstance(item, bool):
        return Relevant("any", str(item)) if str(item).strip() else None
    if not isinstance(item, dict):
        return None
    grade = _whole(item.get("grade", 1))
    document = _name(item.get("document", within))
    quote, chunk = item.get("quote", item.get("content", "")), _name(item.get("chunk"))
    start, end = _whole(item.get("start", item.get("start_index"))), _whole(item.get("end", item.get("end_index")))
    if grade is None or not isinstance(quote, str):
        return None
    if chunk:
        return Relevant("chunk", chunk, grade)
    if quote.strip() or (document and start is not None and end is not None and 0 <= start < end):
        return Relevant("passage", document, grade, quote.strip(), start, end)
    return Relevant("document", document, grade) if document else None


def _is_question(text: Any, path: Path, line: int, problems: _Problems) -> bool:
    """Whether it can be asked; told here, so that no run ends at its last question."""
    if not isinstance(text, str):
        problems.add(path, line, "has no question")
        return False
    try:
        check_question(text)
    except QueryError as error:
        problems.add(path, line, error.message)
        return False
    return True


def _records(path: Path, problems: _Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their lines, from 1; blank lines are skipped."""
    for number, line in _lines(path, problems):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.add(path, number, f"is no JSON: {error}")
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            problems.add(path, number, "is no JSON object")


def _lines(path: Path, problems: _Problems) -> Iterator[tuple[int, str]]:
    """The lines that hold something, with their numbers from 1."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    problems.add(path, number, f"is not UTF-8 at byte {error.start + 1}")
                    continue
                if line.strip():
                    yield number, line
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}", "see that it is there and readable") from error


def _name(value: Any) -> str:
    """An id as text; empty where there is none."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _whole(value: Any) -> int | None:
    """A whole number, however it is written; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if not isinstance(value, bool) and number.is_integer() else None


def _answers(value: Any) -> tuple[str, ...]:
    values: Sequence[Any] = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(item for item in values if isinstance(item, str) and item)


def _wrong(path: Path, message: str, cure: str) -> DatasetError:
    return DatasetError([Problem("", message, str(path))], cure=cure)
