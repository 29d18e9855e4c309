"""Texts as the numbers of their tokens: read once for many texts, and made into tensors batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_LISTS = {"common": {"return_tensors": None}, "text": {"padding": False}}
"""A table of hundreds of texts, padded to the longest, would take longer to make than their tokens, and be cut up again."""


@dataclass(frozen=True)
class Tokens:
    """What a tokenizer says of some texts: a row of numbers per text under each name, rows of a text of the same length.

    `rest` holds what it says of all of them; `side` is where a model wants its padding, and `pads` what it is filled with.
    """

    rows: Mapping[str, Sequence[Sequence[int]]]
    rest: Mapping[str, Any]
    side: str
    pads: Mapping[str, int]

    @classmethod
    def of(cls, model: SentenceTransformer, inputs: Sequence[Any], prompt: str | None) -> Tokens | None:
        """The tokens of the inputs; None where the model reads anything but a row of tokens for each."""
        features = model.preprocess(inputs, prompt=prompt, processing_kwargs=_LISTS)
        rows = {name: value for name, value in features.items() if isinstance(value, list)}
        rest = {name: value for name, value in features.items() if name not in rows}
        shapes = {tuple(len(row) if isinstance(row, list) else -1 for row in value) for value in rows.values()}
        lengths = next(iter(shapes), ())
        if len(shapes) != 1 or len(lengths) != len(inputs) or -1 in lengths or "attention_mask" not in rows:
            return None
        if any(isinstance(value, torch.Tensor) for value in rest.values()):
            return None
        tokenizer = model.tokenizer
        pads = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": getattr(tokenizer, "pad_token_type_id", 0)}
        return cls(rows, rest, tokenizer.padding_side, pads)

    @property
    def lengths(self) -> list[int]:
        """The tokens of each text."""
        return [len(row) for row in self.rows["attention_mask"]]

    def features(self, batch: Sequence[int], multiple: int, most: int | None) -> dict[str, Any]:
        """What a model is given for the texts at these positions: tensors (texts, width), and no mask where none has padding.

        The width is that of the longest, or the next `multiple`, though not beyond `most`.
        """
        longest = max(1, *(len(self.rows["attention_mask"][position]) for position in batch))
        width = max(longest, min(-(-longest // multiple) * multiple, most or longest))
        found = {name: self._table(name, batch, width) for name in self.rows}
        if bool(found["attention_mask"].all()):
            del found["attention_mask"]
        return {**found, **self.rest}

    def _table(self, name: str, batch: Sequence[int], width: int) -> torch.Tensor:
        pad = self.pads.get(name, 0)
        rows = [torch.tensor(self.rows[name][position], dtype=torch.long) for position in batch]
        table = pad_sequence(rows, batch_first=True, padding_value=pad, padding_side=self.side)
        more = width - table.shape[1]
        return torch.nn.functional.pad(table, (0, more) if self.side == "right" else (more, 0), value=pad)
