"""Which texts go through a model together."""

from __future__ import annotations

from collections.abc import Sequence


def batches(lengths: Sequence[int], most_texts: int, most_tokens: int) -> list[list[int]]:
    """The positions of texts with these lengths in tokens, in batches of like length, the longest first.

    A batch has at most `most_texts`, and padded to its longest at most `most_tokens` tokens; a text that has more goes alone.
    The longest come first so that what does not fit into memory fails at once, not after an hour.
    """
    made: list[list[int]] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if not made or len(made[-1]) == most_texts or (len(made[-1]) + 1) * longest > most_tokens:
            made.append([])
            longest = lengths[position]
        made[-1].append(position)
    return made
