"""Token lists of different lengths, and how they are cut into batches. numpy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class TokenBatch:
    """Token ids of several texts, one after the other without padding.

    Attributes
    ----------
    ids : ndarray of int32, shape (sum of lengths,)
        Token ids.
    lengths : ndarray of int32, shape (n,)
        Number of tokens of each text; at least 1. Batches cut by `plan` are sorted, longest first.
    skip : int
        Leading tokens of every text that pooling leaves out (a prompt that is not to be pooled).
    """

    ids: IntArray
    lengths: IntArray
    skip: int = 0

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Position of the first token of each text, shape (n,)."""
        return np.concatenate(([0], np.cumsum(self.lengths[:-1], dtype=np.int64)))

    def padded(self, pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Ids padded on the right, and the mask of real tokens, both of shape (n, longest)."""
        width = int(self.lengths.max(initial=0))
        mask = np.arange(width) < self.lengths[:, None]
        ids = np.full((len(self), width), pad_id, dtype=np.int64)
        ids[mask] = self.ids
        return ids, mask

    def split(self) -> tuple[TokenBatch, TokenBatch]:
        """Two halves, for a batch that is too large or that holds a text which fails."""
        half = len(self) // 2
        cut = int(self.lengths[:half].sum())
        return (
            TokenBatch(self.ids[:cut], self.lengths[:half], self.skip),
            TokenBatch(self.ids[cut:], self.lengths[half:], self.skip),
        )


def pack(ids: Sequence[Sequence[int] | IntArray], skip: int = 0) -> TokenBatch:
    """Join token lists into one `TokenBatch`."""
    lengths = np.fromiter(map(len, ids), dtype=np.int32, count=len(ids))
    flat = np.concatenate([np.asarray(row, dtype=np.int32) for row in ids]) if len(ids) else lengths
    return TokenBatch(flat, lengths, skip)


#: Share of a batch that may be padding.
_PADDING = 0.04


def plan(lengths: IntArray, budget: int) -> Iterator[NDArray[np.int64]]:
    """Cut texts into batches of about equal length.

    Parameters
    ----------
    lengths : ndarray of int32, shape (n,)
        Tokens of each text.
    budget : int
        Most tokens in one batch, counted as texts times the longest of them. A longer text is a batch
        of its own.

    Yields
    ------
    ndarray of int64
        Positions of the texts of one batch, longest first. Ties keep their order, so the plan depends
        on nothing but ``lengths`` and ``budget``. The longest texts come first: what does not fit
        into memory shows at once and not after an hour.

    Notes
    -----
    A batch that holds an eighth of the budget ends where padding would pass `_PADDING` of it: a network
    that pads then computes nearly real tokens only, and one that does not loses nothing on batches of
    that size.
    """
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        size = max(1, budget // longest)
        real = np.cumsum(lengths[order[start : start + size]], dtype=np.int64)
        padded = longest * np.arange(1, len(real) + 1)
        # Sorted lengths: once a batch is loose, every longer one is.
        loose = (real < (1 - _PADDING) * padded) & (real >= budget // 8)
        size = max(1, int(np.argmax(loose))) if loose.any() else size
        yield order[start : start + size]
        start += size


def runs(lengths: IntArray) -> list[tuple[int, int]]:
    """Stretches of equal length in ``lengths`` as (number of texts, tokens of each)."""
    if not len(lengths):
        return []
    cuts = np.flatnonzero(np.diff(lengths)) + 1
    edges = [0, *cuts.tolist(), len(lengths)]
    return [(stop - start, int(lengths[start])) for start, stop in pairwise(edges)]
