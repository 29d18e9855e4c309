"""How far apart an embedding model holds what belongs together and what does not.

Cosines of different models do not compare: unrelated texts lie at 0.05 for one and at 0.75 for another. A few questions
with their answers measure both ends once per model, and cosines are read on that scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding

PAIRS = (
    ("What is the capital of France?", "Paris is the capital and the most populous city of France, on the river Seine."),
    ("How do plants make sugar?", "In photosynthesis, plants use sunlight to turn water and carbon dioxide into sugar."),
    ("Which command lists the files in a folder?", "The ls command prints the names of the files in a directory."),
    ("Who painted the Mona Lisa?", "The Mona Lisa is a portrait that Leonardo da Vinci painted in the early 16th century."),
    ("How long should pasta be cooked?", "Boil dried spaghetti in salted water for eight to twelve minutes until it is firm."),
    ("What causes the tides?", "The gravity of the moon and the sun makes the sea rise and fall twice a day."),
    ("How many days of leave do employees get?", "Every employee is entitled to 28 days of paid annual leave."),
    ("What does insulin do?", "Insulin is a hormone of the pancreas that lowers the level of glucose in the blood."),
    ("When did the Berlin Wall fall?", "On 9 November 1989 the border was opened and people tore down the Berlin Wall."),
    ("How do I reset my password?", "Choose 'Forgot password' on the sign-in page; an e-mail brings a link to set a new one."),
    ("Why is the sky blue?", "Air molecules scatter the blue part of sunlight more than the red, so the sky looks blue."),
    ("How is inflation measured?", "The consumer price index follows the cost of a basket of goods and services over time."),
)
"""Questions with a passage that answers each, from fields far from each other."""


@dataclass(frozen=True)
class Scale:
    """Cosines of a model: `low` between unrelated texts, `high` between a question and its answer."""

    low: float
    high: float

    @property
    def usable(self) -> bool:
        """Whether the model tells the two apart at all."""
        return self.high - self.low >= 0.1

    def read(self, cosine: float) -> float:
        """A cosine on the scale: about 0 for unrelated texts, about 1 for a question and its answer."""
        return (cosine - self.low) / (self.high - self.low)


def measure(embedding: BaseEmbedding) -> Scale:
    """The scale of a model, from `PAIRS`: 24 short texts are embedded."""
    questions = _unit([embedding.get_query_embedding(question) for question, _ in PAIRS])
    passages = _unit(embedding.get_text_embedding_batch([passage for _, passage in PAIRS]))
    cosines, related = questions @ passages.T, np.eye(len(PAIRS), dtype=bool)
    return Scale(low=float(cosines[~related].mean()), high=float(cosines[related].mean()))


class Yardstick:
    """Measures a model when its `scale()` is first asked for. Threads may share it."""

    def __init__(self, embedding: BaseEmbedding) -> None:
        self.scale = cache(lambda: measure(embedding))


def _unit(vectors: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    matrix = np.asarray(vectors, dtype=np.float64)
    norms: NDArray[np.float64] = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.maximum(norms, 1e-12)
