"""Where a model's files lie: in a folder, in the Hugging Face cache, or on the Hub. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.errors import ComponentError

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "*/*.json", "*/*.safetensors"]
_OTHER_BACKENDS = ["onnx/*", "openvino/*", "flax_model*", "tf_model*", "rust_model*", "coreml/*"]
_WITHOUT_WEIGHTS = {"Pooling", "Normalize"}


@dataclass(frozen=True)
class Named:
    """A model as the configuration names it: `model` under the YAML key `key` of `component`.

    `otherwise` ends the cure of an error, such as ", or leave it out".
    """

    model: str
    revision: str | None
    cache_folder: Path | None
    component: str
    key: str
    otherwise: str = ""

    def folder(self) -> Path:
        """The model's folder; downloaded where it is nowhere on this machine. Raises `ComponentError` without one."""
        folder = Path(self.model)
        if folder.is_dir():
            return folder.resolve()
        if folder.is_absolute():
            raise ComponentError(
                f"the folder {folder} does not exist", component=self.component, cure=f"correct {self.key}{self.otherwise}"
            )
        return _downloaded(self)


def modules(folder: Path) -> list[tuple[str, str]]:
    """The steps of the model, each its class's name and its folder; a plain transformer is one step."""
    path = folder / "modules.json"
    if not path.is_file():
        return [("Transformer", "")]
    return [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in json.loads(path.read_text("utf-8"))]


def weights(folder: Path) -> list[Path]:
    """The files of weights in one folder, safetensors before pickles as transformers prefers them."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file; an empty one where there is no file, or something else in it."""
    if not path.is_file():
        return {}
    data = json.loads(path.read_text("utf-8"))
    return data if isinstance(data, dict) else {}


def _downloaded(named: Named) -> Path:
    """The model's files in the Hugging Face cache; downloaded only where they are not there yet."""
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    where: dict[str, Any] = {"revision": named.revision, "cache_dir": named.cache_folder}
    more = {**where, "ignore_patterns": _OTHER_BACKENDS, "tqdm_class": _silent()}
    try:
        with suppress(LocalEntryNotFoundError):
            folder = Path(snapshot_download(named.model, local_files_only=True, **where))
            if any(weights(folder / path) for _, path in modules(folder)):  # else a download that was cut short
                return folder
        folder = Path(snapshot_download(named.model, allow_patterns=_FILES, **more))
        if pickled := _pickled(folder):
            snapshot_download(named.model, allow_patterns=pickled, **more)
        return folder
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        raise ComponentError(
            f"the model {named.model!r} is neither a folder nor in the Hugging Face cache, and cannot be downloaded: "
            f"{str(error).strip().splitlines()[0]}",
            component=named.component,
            cure=f"check the name and the network (HF_TOKEN for a private model), or give {named.key} a folder that holds "
            f"the model{named.otherwise}",
        ) from error


def _pickled(folder: Path) -> list[str]:
    """What to download besides, for the steps of the model that have no safetensors."""
    lacking = [path for kind, path in modules(folder) if kind not in _WITHOUT_WEIGHTS and not weights(folder / path)]
    return [f"{path.rstrip('/')}/pytorch_model*.bin" if path else "pytorch_model*.bin" for path in lacking]


def _silent() -> Any:
    """A progress bar that shows nothing: standard error belongs to the host."""
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

    return Silent
