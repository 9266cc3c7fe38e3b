"""Rows of one task, with sums and nearest centres that do not depend on who holds which row.

Two things make a k-means differ between layouts of the same rows: sums of rounded numbers depend on their
order, and a float32 product differs in its last digits with the place of a row in a block. Here numbers are
added on a grid of powers of two so coarse that float64 adds them without rounding; and rows whose nearest
centre float32 cannot tell for sure are looked at again in float64, one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fusionspark.mine.arrow_columns import Matrix

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

#: Rows of one block: what stays in a core's cache beside the centres.
BLOCK = 4096
_EPS = float(np.finfo(np.float32).eps)


def grid(largest: float, rows: int) -> float:
    """Return a power of two: ``rows`` numbers up to ``largest``, times it and rounded, add up without error.

    >>> grid(1.0, 1024) == 2.0**42
    True
    """
    if not largest:
        return 1.0
    return 2.0 ** (52 - math.ceil(math.log2(largest)) - math.ceil(math.log2(max(1, rows))))


class ExactRows:
    """Rows of one task, whatever holds the others.

    Parameters
    ----------
    rows : (n, d) array of float32
        Changed in place by `shift`.
    weights : (n,) array of float64
        Weight of each row, above or equal to 0.
    device : str
        ``cpu`` (numpy's BLAS), or a torch device for the products with the centres.
    """

    def __init__(self, rows: Matrix, weights: Floats, device: str = "cpu") -> None:
        self.rows = rows
        self.weights = weights
        self.device = device
        #: Rows that had no features at all, and were left out.
        self.nulls = 0
        self._norms: npt.NDArray[np.float32] | None = None
        self._there: object = None

    def blocks(self) -> Iterator[slice]:
        """Yield slices of `BLOCK` rows."""
        for start in range(0, len(self.rows), BLOCK):
            yield slice(start, min(len(self.rows), start + BLOCK))

    def largest(self) -> float:
        """Return the largest absolute value; NaN and infinity show in it."""
        if not len(self.rows):
            return 0.0
        return float(max(np.abs(self.rows[part]).max() for part in self.blocks()))

    def not_finite(self) -> int:
        """Return the number of rows with NaN or infinity."""
        return sum(int((~np.isfinite(self.rows[part]).all(axis=1)).sum()) for part in self.blocks())

    def shift(self, mean: Floats) -> None:
        """Take ``mean`` from every row: the closer rows are to the origin, the more float32 can tell."""
        for part in self.blocks():
            self.rows[part] = self.rows[part] - mean
        self._norms, self._there = None, None

    def unit(self) -> int:
        """Divide every row by its length; return how many have none."""
        zeros = 0
        for part in self.blocks():
            lengths = np.sqrt((self.rows[part].astype(np.float64) ** 2).sum(axis=1))
            zeros += int((lengths == 0).sum())
            self.rows[part] = self.rows[part] / np.where(lengths == 0, 1.0, lengths)[:, None]
        self._norms, self._there = None, None
        return zeros

    def sums(self, scale: float, groups: Labels, count: int, chosen: Labels | None = None) -> Floats:
        """Return weight times row, added up by group, on the grid; the last column is the weight alone.

        Parameters
        ----------
        scale : float
            Of `grid`; every sum is a whole number.
        groups : (n,) array of int
            Group of each row of ``chosen``.
        chosen : array of int, optional
            The rows that are added; all of them by default.
        """
        from scipy.sparse import csr_matrix

        found = np.zeros((count, self.rows.shape[1] + 1))
        n = len(self.rows) if chosen is None else len(chosen)
        for start in range(0, n, BLOCK):
            stop = min(n, start + BLOCK)
            part = slice(start, stop) if chosen is None else chosen[start:stop]
            weights = self.weights[part]
            block = np.empty((stop - start, found.shape[1]))
            np.multiply(self.rows[part], (weights * scale)[:, None], out=block[:, :-1])
            np.multiply(weights, scale, out=block[:, -1])
            np.rint(block, out=block)
            member = csr_matrix(
                (np.ones(stop - start), groups[start:stop], np.arange(stop - start + 1)),
                shape=(stop - start, count),
            )
            found += member.T @ block
        return found

    def masses(self, scale: float, groups: Labels, count: int) -> Floats:
        """Return the weights alone, added up by group, on the grid: the last column of `sums`."""
        return np.bincount(groups, np.rint(self.weights * scale), count).astype(np.float64)

    def nearest(self, centres: Floats) -> Labels:
        """Return the number of the nearest centre of each row, the first of several equally near ones."""
        if self.device != "cpu":
            return self._nearest_on_device(centres)
        found = np.empty(len(self.rows), dtype=np.int64)
        by_column = np.ascontiguousarray(centres.T, dtype=np.float32)
        half = (0.5 * (centres**2).sum(axis=1)).astype(np.float32)
        norms = self._row_norms()
        reach, top = self._doubt(centres)
        for part in self.blocks():
            scores = self.rows[part] @ by_column
            np.subtract(half, scores, out=scores)
            place = np.arange(len(scores))
            best = scores.argmin(axis=1)
            if len(centres) > 1:
                least = scores[place, best]
                limit = least + reach * (norms[part] * top + top * top)
                scores[place, best] = np.inf
                unsure = np.flatnonzero(scores.min(axis=1) <= limit)
                if len(unsure):
                    scores[unsure, best[unsure]] = least[unsure]
                    possible = scores[unsure] <= limit[unsure, None]
                    best[unsure] = _exactly_nearest(self.rows[part][unsure], centres, possible)
            found[part] = best
        return found

    def _nearest_on_device(self, centres: Floats) -> Labels:
        import torch

        if self._there is None:
            self._there = torch.from_numpy(self.rows).to(self.device)
        found = np.empty(len(self.rows), dtype=np.int64)
        if not len(self.rows):
            return found
        by_column = torch.from_numpy(np.ascontiguousarray(centres.T, dtype=np.float32)).to(self.device)
        half = torch.from_numpy((0.5 * (centres**2).sum(axis=1)).astype(np.float32)).to(self.device)
        reach, top = self._doubt(centres)
        norms = self._row_norms()
        # A GPU likes large blocks; this one takes at most 256 MiB of scores.
        step = max(BLOCK, (64 << 20) // max(1, len(centres)))
        for start in range(0, len(self.rows), step):
            part = slice(start, min(len(self.rows), start + step))
            scores = half - self._there[part] @ by_column  # type: ignore[index]
            if len(centres) == 1:
                found[part] = 0
                continue
            two = torch.topk(scores, 2, dim=1, largest=False)
            best = two.indices[:, 0].cpu().numpy()
            least, second = two.values.cpu().numpy().T
            limit = least + reach * (norms[part] * top + top * top)
            unsure = np.flatnonzero(second <= limit)
            if len(unsure):
                possible = scores[torch.from_numpy(unsure).to(scores.device)].cpu().numpy()
                best[unsure] = _exactly_nearest(
                    self.rows[part][unsure], centres, possible <= limit[unsure, None]
                )
            found[part] = best
        return found

    def squared(self, centres: Floats, labels: Labels) -> Floats:
        """Return the squared distance of each row to the centre of its label, in float64."""
        found = np.empty(len(self.rows))
        for part in self.blocks():
            found[part] = _squared(self.rows[part], centres[labels[part]])
        return found

    def _row_norms(self) -> npt.NDArray[np.float32]:
        if self._norms is None:
            norms = np.empty(len(self.rows), dtype=np.float32)
            for part in self.blocks():
                norms[part] = np.linalg.norm(self.rows[part], axis=1)
            self._norms = norms
        return self._norms

    def _doubt(self, centres: Floats) -> tuple[float, float]:
        """Return twice the relative error bound of a float32 score (Higham 2002, 3.1), and max |c|."""
        top = float(np.sqrt((centres**2).sum(axis=1).max()))
        return 2.0 * (self.rows.shape[1] + 4) * _EPS, top


def _squared(rows: Matrix, centres: Floats) -> Floats:
    """Squared distances, each of which depends on its own row alone."""
    apart = rows - centres
    np.square(apart, out=apart)
    return apart.sum(axis=1)  # type: ignore[no-any-return]


def _exactly_nearest(rows: Matrix, centres: Floats, possible: npt.NDArray[np.bool_]) -> Labels:
    """The nearest of the centres that are ``possible`` (rows x centres) for each row, in float64."""
    row, centre = np.nonzero(possible)
    squared = np.full(possible.shape, np.inf)
    for start in range(0, len(row), BLOCK):
        part = slice(start, start + BLOCK)
        squared[row[part], centre[part]] = _squared(rows[row[part]], centres[centre[part]])
    found: Labels = squared.argmin(axis=1)
    return found


def row_hashes(rows: Matrix, seed: int) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of the numbers of each row: the same wherever the row lies.

    A product with odd random numbers (multiply-shift, Dietzfelbinger 1996), then the finish of splitmix64.
    """
    width = rows.shape[1]
    factors = np.random.default_rng(seed).integers(0, 2**63, width, dtype=np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    found = np.empty(len(rows), dtype=np.uint64)
    for start in range(0, len(rows), BLOCK):
        # Adding zero makes one number of 0.0 and -0.0, which are equal.
        bits = (rows[start : start + BLOCK] + np.float32(0)).view(np.uint32).astype(np.uint64)
        found[start : start + BLOCK] = (bits * factors).sum(axis=1, dtype=np.uint64)
    return scrambled(found, seed)


def scrambled(numbers: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """Return the numbers mixed with a seed by the finish of splitmix64 (Steele, Lea and Flood 2014)."""
    mixed = numbers + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def uniforms(hashes: npt.NDArray[np.uint64], seed: int) -> Floats:
    """Return a number in [0, 1) for each hash and seed."""
    return (scrambled(hashes, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53
