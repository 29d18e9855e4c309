"""The reranker `cross_encoder` with a tiny model that is made here: order, cache, budget, and what may be wrong with a model."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cross_encoders import MAX_LENGTH, tiny_cross_encoder
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from offline import offline
from projects import Project, texts

import ragkit_huggingface
from ragkit.components import EstimatesTime, Prepares
from ragkit.errors import ComponentError, ConfigError
from ragkit.query.search import SearchResult
from ragkit.query.trace import StageRecord
from ragkit.testing import FakeContext
from ragkit_huggingface import CrossEncoderOptions, build_cross_encoder
from ragkit_huggingface.cross_encoder import CrossEncoderReranker

QUESTION = "which fruit is red"
TEXTS = [
    "red apples",
    "a yellow lemon is sour",
    "",
    "rivers run to the sea " * 3,
    "Äpfel 苹果",
    "0 1 2 3",
    "red apples and a pear",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def make(tiny: Path, context: FakeContext) -> Callable[..., CrossEncoderReranker]:
    def reranker(**options: Any) -> CrossEncoderReranker:
        return build_cross_encoder(CrossEncoderOptions(**{"model": str(tiny), **options}), context)

    return reranker


def nodes(found: Sequence[str]) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text, id_=str(place)), score=0.5) for place, text in enumerate(found)]


def scores(reranker: CrossEncoderReranker, found: Sequence[str] = TEXTS, question: str = QUESTION) -> dict[str, float]:
    return {
        str(item.node.node_id): float(item.score or 0) for item in reranker.postprocess_nodes(nodes(found), query_str=question)
    }


@contextmanager
def counted(reranker: CrossEncoderReranker) -> Iterator[list[int]]:
    """How many pairs went through the model, per batch."""
    batches: list[int] = []
    model = reranker._judge.load()
    handle = model.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0]["input_ids"])))
    try:
        yield batches
    finally:
        handle.remove()


@contextmanager
def slowed(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    """A model that takes longer."""
    from sentence_transformers import CrossEncoder

    predict, slow = CrossEncoder.predict, threading.Event()

    def predict_slowly(self: Any, *arguments: Any, **more: Any) -> Any:
        slow.wait(seconds)
        return predict(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(CrossEncoder, "predict", predict_slowly)
        yield
        slow.set()


# Scores and order


def test_order_and_scores_are_those_of_sentence_transformers(make: Callable[..., CrossEncoderReranker], tiny: Path) -> None:
    from sentence_transformers import CrossEncoder

    own = CrossEncoder(str(tiny), local_files_only=True).predict([(QUESTION, text) for text in TEXTS], show_progress_bar=False)
    assert len({round(float(score), 4) for score in own}) == len(TEXTS), "the model tells the texts apart"
    found = make().postprocess_nodes(nodes(TEXTS), query_str=QUESTION)
    assert [int(item.node.node_id) for item in found] == sorted(range(len(TEXTS)), key=lambda place: -own[place])
    assert [item.score for item in found] == pytest.approx(sorted(map(float, own), reverse=True), abs=1e-6)


def test_batches_change_no_score(make: Callable[..., CrossEncoderReranker]) -> None:
    many = [f"{text} {number}" * (1 + number % 5) for number in range(8) for text in TEXTS]
    whole, single = make(cache=False), make(cache=False, batch_size=1)
    with counted(whole) as batches, counted(single) as singles:
        assert scores(whole, many) == pytest.approx(scores(single, many), abs=1e-5)
    assert (batches, set(singles)) == ([32, 24], {1})


def test_a_batch_holds_texts_of_like_length(make: Callable[..., CrossEncoderReranker]) -> None:
    reranker = make(cache=False, batch_size=2)
    widths: list[int] = []
    reranker._judge.load().register_forward_pre_hook(lambda _, inputs: widths.append(inputs[0]["input_ids"].shape[1]))
    scores(reranker, ["a", "b " * 40, "c", "d " * 40], question="q")
    assert widths == [44, 5], "question, text and three special tokens"


def test_equal_texts_are_read_once_and_keep_their_order(make: Callable[..., CrossEncoderReranker]) -> None:
    reranker = make()
    with counted(reranker) as batches:
        found = reranker.postprocess_nodes(nodes(["same", "other", "same", "same"]), query_str=QUESTION)
    assert sum(batches) == 2
    order = [item.node.node_id for item in found]
    assert [place for place in order if place != "1"] == ["0", "2", "3"]
    assert len({item.score for item in found}) == 2


def test_the_activation_that_the_model_names_is_used(make: Callable[..., CrossEncoderReranker], tmp_path: Path) -> None:
    named = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
    logits = scores(make(model=str(tiny_cross_encoder(tmp_path / "logits", **named))))
    assert scores(make()) == pytest.approx({place: 1 / (1 + math.exp(-score)) for place, score in logits.items()}, abs=1e-6)
    assert not all(0 <= score <= 1 for score in logits.values())


def test_what_is_too_long_is_cut(make: Callable[..., CrossEncoderReranker]) -> None:
    reranker = make()
    found = scores(reranker, ["x " * 50_000, "x " * MAX_LENGTH, "y" * 100_000, "", "\ud800 half", "? half"])
    assert found["0"] == pytest.approx(found["1"], abs=1e-6)
    assert found["4"] == pytest.approx(found["5"], abs=1e-6)
    assert all(math.isfinite(score) for score in found.values())
    assert all(math.isfinite(score) for score in scores(reranker, question="why " * 8_000).values())
    ends = ["a b c d e", "a b c d z"]
    different, equal = scores(make(cache=False), ends, "q"), scores(make(cache=False, max_length=8), ends, "q")
    assert different["0"] != pytest.approx(different["1"], abs=1e-6)
    assert equal["0"] == pytest.approx(equal["1"], abs=1e-6)


def test_the_text_is_read_without_metadata(make: Callable[..., CrossEncoderReranker]) -> None:
    titled = NodeWithScore(node=TextNode(text="red apples", metadata={"title": "Fruit", "page": 3}), score=0.1)
    (found,) = make(cache=False).postprocess_nodes([titled], query_str=QUESTION)
    assert found.score == pytest.approx(scores(make(cache=False), ["red apples"])["0"], abs=1e-6)


def test_no_hits_and_no_question(make: Callable[..., CrossEncoderReranker]) -> None:
    assert make().postprocess_nodes([], query_str=QUESTION) == []
    with pytest.raises(ComponentError, match="orders by a question"):
        make().postprocess_nodes(nodes(TEXTS))


# The score cache


def test_what_was_read_once_is_not_read_again(make: Callable[..., CrossEncoderReranker], context: FakeContext) -> None:
    reranker = make()
    first = scores(reranker)
    assert context.run_.here.detail == ""
    with counted(reranker) as batches:
        assert scores(reranker) == first
        assert context.run_.here.detail == "7 of 7 scores from the cache"
        assert batches == []
        scores(reranker, [*TEXTS, "a new one", TEXTS[0]])
        assert context.run_.here.detail == "8 of 9 scores from the cache"
        assert batches == [1]
        scores(reranker, question="another")
        assert batches == [1, 7]


def test_without_the_cache_everything_is_read(make: Callable[..., CrossEncoderReranker], context: FakeContext) -> None:
    scores(make())
    kept = dict(context.scores.kept)  # type: ignore[attr-defined]
    reranker = make(cache=False)
    with counted(reranker) as batches:
        scores(reranker)
        scores(reranker, ["never seen"])
    assert batches == [7, 1]
    assert context.scores.kept == kept  # type: ignore[attr-defined]


def test_scores_belong_to_the_model_not_to_its_place(
    make: Callable[..., CrossEncoderReranker], context: FakeContext, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny, tmp_path / "copy")
    named = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
    others = [tiny_cross_encoder(tmp_path / "weights", seed=1), tiny_cross_encoder(tmp_path / "activation", **named)]
    words = Path(shutil.copytree(tiny, tmp_path / "words")) / "tokenizer.json"
    words.write_text(
        words.read_text("utf-8")
        .replace('"lowercase":true', '"lowercase":false')
        .replace('"lowercase": true', '"lowercase": false')
    )
    assert words.read_bytes() != (tiny / "tokenizer.json").read_bytes()

    def key(**options: Any) -> str:
        return make(**options)._judge.key

    assert key(model=str(tmp_path / "copy"), device="cpu", batch_size=1) == key() == key(max_length=MAX_LENGTH)
    keys = [key(), key(max_length=64), *(key(model=str(folder)) for folder in [*others, words.parent])]
    assert len(set(keys)) == 5


def test_a_question_whose_scores_are_known_needs_no_torch_and_no_network(tiny: Path, tmp_path: Path) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from llama_index.core.schema import NodeWithScore, TextNode
        from ragkit.state.scores import ScoreCache
        from ragkit.state.sqlite import SqliteStorage
        from ragkit.testing import build_context
        from ragkit_huggingface import CrossEncoderOptions, build_cross_encoder
        context = build_context(Path({str(tmp_path / "component")!r}))
        context.scores = ScoreCache(SqliteStorage(Path({str(tmp_path)!r})), 1000)
        reranker = build_cross_encoder(CrossEncoderOptions(model={str(tiny)!r}), context)
        hits = [NodeWithScore(node=TextNode(text=text)) for text in ("one", "two", "three")]
        found = reranker.postprocess_nodes(hits, query_str="which")
        context.scores.close()
        print([(item.node.text, item.score) for item in found], {{"torch", "sentence_transformers"}} & set(sys.modules))
    """
    first, second = offline(script), offline(script)
    assert (first.returncode, second.returncode, first.stderr, second.stderr) == (0, 0, "", "")
    order, _, loaded = first.stdout.partition("] ")
    assert second.stdout == f"{order}] set()\nattempts 0\n"
    assert "'torch'" in loaded
    assert "attempts 0" in loaded


def test_a_score_that_is_no_number_is_an_error_and_never_kept(
    make: Callable[..., CrossEncoderReranker], context: FakeContext, tmp_path: Path
) -> None:
    reranker = make(model=str(tiny_cross_encoder(tmp_path / "nan", nan=True)))
    for _ in range(2):
        with pytest.raises(ComponentError, match=r"7 of 7 texts a score that is no number[\s\S]*rerankers.cross_encoder.model"):
            scores(reranker)
    assert context.scores.kept == {}  # type: ignore[attr-defined]


def test_sound_scores_beside_one_that_is_no_number_are_kept(
    make: Callable[..., CrossEncoderReranker], context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = make()
    read = reranker._judge.scores
    monkeypatch.setattr(reranker._judge, "scores", lambda question, found: [math.inf, *read(question, found)[1:]])
    with pytest.raises(ComponentError, match="1 of 7 texts"):
        scores(reranker)
    assert {text for _, _, text in context.scores.kept} == set(TEXTS[1:])  # type: ignore[attr-defined]


# Time


def test_the_time_is_told_from_what_was_measured(make: Callable[..., CrossEncoderReranker]) -> None:
    reranker = make()
    assert isinstance(reranker, EstimatesTime)
    assert isinstance(reranker, Prepares)
    question = QueryBundle(QUESTION)
    assert reranker.estimate_ms(question, nodes(TEXTS)) is None
    reranker.prepare()
    assert reranker.estimate_ms(question, nodes(TEXTS)) is None, "loading and warming up are no measure"
    began = time.perf_counter()
    scores(reranker)
    took = (time.perf_counter() - began) * 1000
    assert reranker.estimate_ms(question, nodes(TEXTS)) == 0
    one, ten = (reranker.estimate_ms(question, nodes([f"{n} new text" for n in range(count)])) for count in (1, 10))
    assert one is not None
    assert ten == pytest.approx(10 * one)
    again = reranker.estimate_ms(QueryBundle("of equal length ?!"), nodes(TEXTS))
    assert again is not None
    assert 0 < again <= took
    long, longer = (reranker.estimate_ms(question, nodes(["x" * size])) for size in (10_000, 100_000))
    assert long == longer, "more than the model reads costs nothing"


def test_an_estimate_and_the_scores_ask_the_cache_once(make: Callable[..., CrossEncoderReranker], context: FakeContext) -> None:
    reranker = make()
    scores(reranker)
    before = context.scores.hits  # type: ignore[attr-defined]
    reranker.estimate_ms(QueryBundle(QUESTION), nodes(TEXTS))
    scores(reranker)
    assert context.scores.hits == before + len(TEXTS)  # type: ignore[attr-defined]
    for number in range(100):
        reranker.estimate_ms(QueryBundle(f"{number}"), nodes(TEXTS))
    assert len(reranker._lookups) <= 32


def test_threads_share_one_model(make: Callable[..., CrossEncoderReranker], monkeypatch: pytest.MonkeyPatch) -> None:
    import sentence_transformers

    loaded, busy, at_once = [], threading.Lock(), []

    class Watched(sentence_transformers.CrossEncoder):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            loaded.append(1)
            super().__init__(*arguments, **more)

        def predict(self, *arguments: Any, **more: Any) -> Any:
            alone = busy.acquire(blocking=False)
            at_once.append(not alone)
            try:
                return super().predict(*arguments, **more)
            finally:
                if alone:
                    busy.release()

    monkeypatch.setattr(sentence_transformers, "CrossEncoder", Watched)
    questions = [f"question {number} " * (number % 7 + 1) for number in range(64)]
    reranker = make(cache=False, batch_size=2)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda question: scores(reranker, question=question), questions))
    assert len(loaded) == 1
    assert not any(at_once), "one batch is in the model at a time"
    single = make(cache=False)
    for question, mine in zip(questions[::9], found[::9], strict=True):
        assert mine == pytest.approx(scores(single, question=question), abs=1e-5)


# Models that are none


def broken(tmp_path: Path, tiny: Path, what: str) -> str:
    folder = tmp_path / "models" / what
    if what == "missing":
        return str(folder)
    if what == "two labels":
        return str(tiny_cross_encoder(folder, labels=2))
    shutil.copytree(tiny, folder)
    config = folder / "config.json"
    if what == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif what == "no weights":
        (folder / "model.safetensors").unlink()
    elif what == "an embedding":
        config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), "architectures": ["BertModel"]}))
    elif what == "cut config":
        config.write_text('{"architectures": [')
    elif what == "cut weights":
        (folder / "model.safetensors").write_bytes(b"cut short")
    elif what == "no tokenizer":
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            (folder / name).unlink()
    return str(folder)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", "does not exist"),
        ("empty", "there is no config.json"),
        ("no weights", "holds no weights"),
        ("an embedding", "is no cross encoder, but a model of the kind BertModel"),
        ("two labels", "gives a pair 2 scores, and a reranker needs one"),
        ("cut config", "cannot be read"),
        ("no tokenizer", "holds no tokenizer"),
    ],
)
def test_a_folder_that_is_no_cross_encoder_is_refused_at_once(
    what: str, message: str, make: Callable[..., CrossEncoderReranker], tmp_path: Path, tiny: Path
) -> None:
    with pytest.raises(ComponentError, match=rf"{message}[\s\S]*→ [\s\S]*rerankers\.cross_encoder\.model") as error:
        make(model=broken(tmp_path, tiny, what))
    assert error.value.component == "cross_encoder"


def test_a_model_that_cannot_be_loaded_says_so_and_is_not_loaded_again_at_once(
    make: Callable[..., CrossEncoderReranker], tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = make(model=broken(tmp_path, tiny, "cut weights"))
    with pytest.raises(ComponentError, match=r"cannot be loaded from[\s\S]*rerankers\.cross_encoder\.model"):
        scores(reranker)
    monkeypatch.setattr("sentence_transformers.CrossEncoder", lambda *_, **__: pytest.fail("loaded again"))
    with pytest.raises(ComponentError, match="cannot be loaded"):
        scores(reranker)


def test_no_device_of_that_name(make: Callable[..., CrossEncoderReranker]) -> None:
    with pytest.raises(ComponentError, match="check that `device` exists here"):
        scores(make(device="nonsense"))


def test_more_tokens_than_the_model_reads(make: Callable[..., CrossEncoderReranker], tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(ComponentError, match=rf"reads at most {MAX_LENGTH} tokens[\s\S]*rerankers.cross_encoder.max_length"):
        make(max_length=MAX_LENGTH + 1)
    folder = shutil.copytree(tiny, tmp_path / "roberta")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "roberta", "pad_token_id": 1}))
    with pytest.raises(ComponentError, match=f"reads at most {MAX_LENGTH - 2} tokens"):
        make(model=str(folder), max_length=MAX_LENGTH)


def test_a_name_that_cannot_be_downloaded(tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        from llama_index.core.schema import NodeWithScore, TextNode
        from ragkit.errors import ComponentError
        from ragkit.testing import build_context
        from ragkit_huggingface import CrossEncoderOptions, build_cross_encoder
        options = CrossEncoderOptions(cache_folder={str(tmp_path / "cache")!r})
        reranker = build_cross_encoder(options, build_context(Path({str(tmp_path)!r})))
        assert not attempts, "building contacts nothing"
        for _ in range(2):
            try:
                reranker.postprocess_nodes([NodeWithScore(node=TextNode(text="a"))], query_str="q")
            except ComponentError as error:
                print(error)
                tried, attempts[:] = len(attempts), []
        assert tried == 0, "the second question does not wait for the network again"
    """
    done = offline(script, HF_HUB_DISABLE_TELEMETRY="0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("'cross-encoder/ms-marco-MiniLM-L6-v2' is neither a folder nor in the Hugging Face cache") == 2
    assert "give rerankers.cross_encoder.model a folder that holds the model" in done.stdout


class Hub:
    """`snapshot_download` from a folder that stands for the Hub; keeps what was downloaded in `sent`."""

    def __init__(self, remote: Path, local: Path) -> None:
        self.remote, self.local = remote, local
        self.sent: list[str] = []

    def __call__(self, name: str, *, local_files_only: bool = False, allow_patterns: Sequence[str] = (), **_: Any) -> str:
        from huggingface_hub.errors import LocalEntryNotFoundError

        if local_files_only:
            if not self.local.is_dir():
                raise LocalEntryNotFoundError("nothing here")
            return str(self.local)
        for path in sorted(self.remote.iterdir()):
            if any(path.match(pattern) for pattern in allow_patterns) and not (self.local / path.name).exists():
                self.local.mkdir(exist_ok=True)
                shutil.copy(path, self.local)
                self.sent.append(path.name)
        return str(self.local)


def test_pickles_are_downloaded_only_without_safetensors(
    make: Callable[..., CrossEncoderReranker], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = shutil.copytree(tiny, tmp_path / "remote")
    (remote / "pytorch_model.bin").write_bytes(b"a pickle")
    hub = Hub(remote, tmp_path / "local")
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    mine = scores(make(model="some/model", cache=False))
    assert mine == pytest.approx(scores(make(cache=False)), abs=1e-6)
    assert "model.safetensors" in hub.sent
    assert "pytorch_model.bin" not in hub.sent
    (hub.local / "model.safetensors").unlink()  # a download that was cut short goes on
    scores(make(model="some/model", cache=False))
    assert hub.sent.count("model.safetensors") == 2
    for folder in (remote, hub.local):
        (folder / "model.safetensors").unlink()
    with pytest.raises(ComponentError, match="cannot be loaded"):  # it is no pickle that torch would read
        scores(make(model="some/model", cache=False))
    assert hub.sent[-1] == "pytorch_model.bin"


# In a pipeline


@pytest.fixture
def project(tmp_path: Path, tiny: Path) -> Project:
    made = Project(tmp_path / "project", size=20)
    shutil.copytree(tiny, made.folder / "tiny")
    for number, text in enumerate(texts(6)):
        made.write(f"{number}.md", text)
    made.ingest()
    return made


def stage(found: SearchResult, name: str = "cross_encoder") -> StageRecord:
    (record,) = [one for one in found.trace.stages if one.name == name]
    return record


def ids(found: SearchResult) -> list[str]:
    return [hit.chunk_id for hit in found.hits]


def test_in_a_pipeline(project: Project) -> None:
    with project.open() as pipeline:
        plain = pipeline.search("which river is long?", k=8)
    project.configure(size=20, more="rerankers: [{use: cross_encoder, name: judge, model: ./tiny, top_n: 3}]")
    with project.open() as pipeline:
        found, again = (pipeline.search("which river is long?", k=8) for _ in range(2))
        assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
        assert found.hits[0].scores["judge"] == found.hits[0].score
        assert stage(found, "judge").out == len(found.hits) == 3
        assert (stage(found, "judge").status, stage(found, "judge").detail) == ("ok", "")
        assert ids(again) == ids(found) != ids(plain)[:3]
        entered = stage(again, "judge").entered
        assert stage(again, "judge").detail == f"{entered} of {entered} scores from the cache"
        assert "cross_encoder" not in {one.name for one in again.trace.stages}


def test_a_budget_that_is_too_small_leaves_the_order(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with project.open() as pipeline:
        plain = pipeline.search("which river is long?", k=8)
    project.configure(size=20, more="rerankers: [{use: cross_encoder, model: ./tiny, top_n: 3, budget_ms: 300}]")
    with slowed(monkeypatch, 0.6), project.open() as pipeline:
        found = pipeline.search("which river is long?", k=8)
        assert ids(found) == ids(plain)[:3]
        assert stage(found).status == "skipped"
        assert "it took longer than its budget of 300 ms" in stage(found).detail
        deadline = time.monotonic() + 20
        while "would take about" not in (told := stage(pipeline.search("which bridge is old?", k=8)).detail):
            assert "still busy" in told
            assert time.monotonic() < deadline, told
            time.sleep(0.02)
        assert "and its budget is 300 ms" in told
        known = pipeline.search("which river is long?", k=8)  # what it read in the background is in the cache
        assert stage(known).status == "ok"
        assert "scores from the cache" in stage(known).detail


def test_a_large_budget_changes_nothing(project: Project) -> None:
    project.configure(size=20, more="rerankers: [{use: cross_encoder, model: ./tiny, cache: false}]")
    with project.open() as pipeline:
        free = pipeline.search("which river is long?", k=8)
    project.configure(size=20, more="rerankers: [{use: cross_encoder, model: ./tiny, cache: false, budget_ms: 60000}]")
    with project.open() as pipeline:
        found = pipeline.search("which river is long?", k=8)
    assert ids(found) == ids(free)
    assert stage(found).status == "ok"


def test_within_a_budget_what_is_known_needs_no_model(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.configure(size=20, more="rerankers: [{use: cross_encoder, model: ./tiny, budget_ms: 60000}]")
    with project.open() as pipeline:
        first = pipeline.search("which river is long?", k=8)
    asked: list[int] = []
    monkeypatch.setattr("sentence_transformers.CrossEncoder", lambda *_, **__: asked.append(1))
    with project.open() as pipeline:
        again = pipeline.search("which river is long?", k=8)
        assert (ids(again), stage(again).status, asked) == (ids(first), "ok", [])
        pipeline.search("which bridge is old?", k=8)
    assert asked == [1], "another question does need it"


def test_a_damaged_model_leaves_the_order(project: Project) -> None:
    with project.open() as pipeline:
        plain = pipeline.search("which river is long?", k=8)
    tiny_cross_encoder(project.folder / "nan", nan=True)
    project.configure(size=20, more="rerankers: [{use: cross_encoder, model: ./nan}]")
    with project.open() as pipeline:
        found = pipeline.search("which river is long?", k=8)
    assert ids(found) == ids(plain)
    assert stage(found).status == "degraded"
    assert "a score that is no number" in stage(found).detail


def test_a_folder_that_is_not_there_is_told_before_the_first_question(project: Project) -> None:
    project.configure(size=20, more="rerankers: [{use: cross_encoder, model: ./nowhere}]")
    with project.open() as pipeline, pytest.raises(ComponentError, match=r"nowhere does not exist"):
        pipeline.search("which river is long?")


@pytest.mark.parametrize("options", ["candidates: 0", "batch_size: 0", "max_length: 2", "top_n: 0", "budget_ms: 0", "modell: x"])
def test_wrong_options_are_refused(options: str, project: Project) -> None:
    project.configure(size=20, more=f"rerankers: [{{use: cross_encoder, {options}}}]")
    with pytest.raises(ConfigError, match=f"rerankers.0.{options.partition(':')[0]}"):
        project.open()


def test_the_options_have_the_documented_defaults() -> None:
    (component,) = ragkit_huggingface.ragkit_rerankers()
    options = component.options()
    assert isinstance(options, CrossEncoderOptions)
    assert (options.model, options.candidates, options.batch_size) == ("cross-encoder/ms-marco-MiniLM-L6-v2", 50, 32)
    assert (options.max_length, options.cache, options.top_n, options.budget_ms) == (None, True, None, None)
