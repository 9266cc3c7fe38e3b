"""A text in pieces that can be left out one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fusionspark.columns import TEXT_BREAK


def pieces(text: str, words: Callable[[str], Sequence[str]], most: int) -> list[str]:
    """Part a text into its words, each with what follows up to the next; joined, they are the text again.

    A text of more than ``most`` words is parted into ``most`` runs of words of nearly equal number, so that a
    long text costs no more questions to the model than a short one.

    >>> pieces("Fits well, looks good.", str.split, 9)
    ['Fits ', 'well, ', 'looks ', 'good.']
    >>> pieces("one two three four", str.split, 2)
    ['one two ', 'three four']

    Parameters
    ----------
    words : callable
        Words of a text in their order, in any case; those that cannot be found in the text are passed over.
    """
    # One character for one: lower-casing some letters makes two.
    folded = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    starts, place = [], 0
    for word in words(text):
        found = folded.find(word.lower(), place)
        if found >= 0:
            starts.append(found)
            place = found + len(word)
    if not starts:
        return [text] if text else []
    cuts = np.unique(np.linspace(0, len(starts), min(most, len(starts)) + 1).round().astype(int))[:-1]
    edges = [0, *(starts[cut] for cut in cuts[1:]), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


def kept(parts: Sequence[str], mask: npt.NDArray[np.bool_]) -> str | None:
    """Return the text of the pieces that are kept; None where nothing visible is left.

    The words that are left stay in their text columns: what parts these is never left out.
    """
    chosen = zip(parts, mask, strict=True)
    text = "".join(part if keep else TEXT_BREAK * part.count(TEXT_BREAK) for part, keep in chosen)
    return text.strip(" ") if text.strip() else None
