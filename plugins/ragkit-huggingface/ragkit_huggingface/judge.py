"""The cross encoder itself: loaded when it is first needed, asked in batches, and timed."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ragkit.errors import ComponentError
from ragkit_huggingface.pairs import CURE, NAME, PairModel, check_labels

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

    from ragkit_huggingface import CrossEncoderOptions

_T = TypeVar("_T")

_TRIED_AGAIN_AFTER_S = 60.0
_CHARS_PER_TOKEN = 4
_CHARS_OF_A_PAIR = 10
"""What a pair costs beside its characters: the special tokens."""


@dataclass
class _Pace:
    """How long the model takes per character, from what it read lately."""

    ms_per_char: float | None = None
    measured_at: float = 0.0

    def learn(self, ms: float, chars: int) -> None:
        known = self.now()
        self.ms_per_char = ms / chars if known is None else (known + ms / chars) / 2
        self.measured_at = time.monotonic()

    def now(self) -> float | None:
        """None where nothing is known, or what is known is old: a machine that was busy is not slow for ever."""
        return None if time.monotonic() - self.measured_at > _TRIED_AGAIN_AFTER_S else self.ms_per_char


class Judge:
    """Scores how well texts answer a question. Threads may share it; one batch is in the model at a time.

    Where the model cannot be had, all but `expected_ms` raise `ComponentError`, for a minute without trying again.
    """

    def __init__(self, options: CrossEncoderOptions, scratch: Path) -> None:
        self._options = options
        self._scratch = scratch
        self._files: PairModel | None = None
        self._key: str | None = None
        self._model: CrossEncoder | None = None
        self._failed: tuple[float, ComponentError] | None = None
        self._making = threading.RLock()
        self._reading = threading.Lock()
        self._pace = _Pace()

    def check_folder(self) -> None:
        """Look at the files of a model that is given as a folder; nothing is downloaded."""
        if Path(self._options.model).is_absolute():
            self._files = PairModel.find(self._options, self._scratch)

    @property
    def key(self) -> str:
        """Equal for models that give every pair the same score; files are read, the model is not loaded."""
        if self._key is None:
            self._key = self._once(lambda: self._key or self._found().identity())
        return self._key

    def load(self) -> CrossEncoder:
        """The model, loaded with the first call."""
        if self._model is None:
            self._model = self._once(lambda: self._model or self._loaded())
        return self._model

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """The model's score of each of `texts`, higher is better. What is longer than its maximum length is cut."""
        model = self.load()
        asked = _encodable(question)
        scores = [math.nan] * len(texts)
        longest_first = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        for start in range(0, len(texts), self._options.batch_size):
            places = longest_first[start : start + self._options.batch_size]
            batch = [_encodable(texts[place]) for place in places]
            with self._reading:  # a tokenizer lets one thread in at a time
                began = time.perf_counter()
                found = model.predict([(asked, text) for text in batch], batch_size=len(batch), show_progress_bar=False)
                self._pace.learn((time.perf_counter() - began) * 1000, self._chars(asked, batch))
            for place, score in zip(places, found.tolist(), strict=True):
                scores[place] = score
        return scores

    def expected_ms(self, question: str, texts: Sequence[str]) -> float | None:
        """How long `scores` would take, without loading; None where nothing was measured in the last minute."""
        pace = self._pace.now()
        return None if pace is None else pace * self._chars(question, texts)

    def _chars(self, question: str, texts: Sequence[str]) -> int:
        """About how many characters of the pairs are read."""
        limit = (self._found().max_length or 10**9) * _CHARS_PER_TOKEN
        return sum(min(len(question) + len(text), limit) + _CHARS_OF_A_PAIR for text in texts)

    def _once(self, make: Callable[[], _T]) -> _T:
        """What `make` returns, run by one thread at a time; for a while after an error, that error."""
        with self._making:
            if self._failed is not None and time.monotonic() - self._failed[0] < _TRIED_AGAIN_AFTER_S:
                error = self._failed[1]
                raise ComponentError(error.message, component=error.component, cure=error.cure)
            try:
                return make()
            except ComponentError as error:
                self._failed = (time.monotonic(), error)
                raise

    def _found(self) -> PairModel:
        if self._files is None:
            self._files = PairModel.find(self._options, self._scratch)
        return self._files

    def _loaded(self) -> CrossEncoder:
        from sentence_transformers import CrossEncoder

        from ragkit_huggingface.quiet import quiet

        files = self._found()
        try:
            with quiet():
                model: CrossEncoder = CrossEncoder(
                    str(files.folder),
                    device=self._options.device,
                    max_length=files.max_length,
                    local_files_only=True,
                    trust_remote_code=False,
                    model_kwargs={} if files.pickled else {"use_safetensors": True},
                )
            check_labels(model.num_labels, self._options.model)
            model.predict([("warm", "up")], show_progress_bar=False)  # the first batch is slower than the others
        except ComponentError:
            raise
        except Exception as error:
            raise ComponentError(
                f"the model {self._options.model!r} cannot be loaded from {files.folder}: {error}",
                component=NAME,
                cure=f"{CURE}, and check that `device` exists here",
            ) from error
        return model


def _encodable(text: str) -> str:
    """The text with what UTF-8 has no bytes for, a half of a surrogate pair, as a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
