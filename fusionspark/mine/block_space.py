"""Where rows lie for distances between them: each block of the features in few dimensions, and balanced.

Needs no Spark.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionspark.mine.arrow_columns import Matrix
from fusionspark.mine.packed_arrays import pack, unpack

#: Name -> first feature, the one after the last, weight.
Blocks = Mapping[str, tuple[int, int, float]]
#: Principal components that are kept of a text or picture.
COMPONENTS = 64
#: Variance, against that of all blocks, below which a block says nothing.
NOISE = 1e-12
#: Distance from the mean of all rows, against that of the mean itself, that rounding may leave.
ROUNDING = 1e-9


@dataclass(frozen=True)
class PlacedBlock:
    """One block: features ``start`` to ``end - 1``, less ``mean``, along ``axes``, times ``factor``.

    ``mean`` (d) and ``axes`` (d x k) are None where the block stays as it is; otherwise what comes of a row
    has length 1 before the factor.
    """

    name: str
    start: int
    end: int
    factor: float
    mean: npt.NDArray[np.float64] | None = None
    axes: npt.NDArray[np.float64] | None = None

    def place(self, rows: Any) -> npt.NDArray[np.float64]:
        """Return the block of ``rows`` (array or CSR matrix, rows x width) in its place."""
        part = rows[:, self.start : self.end]
        if self.mean is None or self.axes is None:
            dense = part if isinstance(part, np.ndarray) else part.toarray()
            return np.asarray(dense, dtype=np.float64) * self.factor
        middle = self.mean @ self.axes
        along = np.asarray(part.astype(np.float64) @ self.axes) - middle
        lengths = np.linalg.norm(along, axis=1, keepdims=True)
        # A row in the middle has no direction; what rounding leaves of it is none.
        has_one = lengths > ROUNDING * np.linalg.norm(middle)
        return np.where(has_one, along, 0.0) * (self.factor / np.where(has_one, lengths, 1.0))


@dataclass(frozen=True)
class BlockSpace:
    """The space of all blocks, in the order of the features."""

    blocks: tuple[PlacedBlock, ...]

    @classmethod
    def fit(cls, rows: Matrix, blocks: Blocks, *, directed: Collection[str], seed: int) -> BlockSpace:
        """Learn from a sample of rows.

        Blocks in ``directed`` say what they say by their direction (embeddings, TF-IDF weights): they are
        centred, brought down to `COMPONENTS` principal components and to unit length, as in latent semantic
        analysis (Deerwester et al. 1990, "Indexing by latent semantic analysis"). What is left out is mostly
        what a single row has, which no two rows of a cluster share.

        Then each block is multiplied so that its first principal axis has the variance weight squared. This
        is the weighting of multiple factor analysis (Escofier and Pages 1994, "Multiple factor analysis
        (AFMULT package)"). Blocks of equal total variance are not equal to a clustering: that of one
        yes-or-no column lies on one axis, that of an embedding on many, and any cut along the column is then
        worth more than every cut along the text. The factor is 1 for a block that does not vary.

        Parameters
        ----------
        rows : array (rows, width)
        """
        whole = float(rows.var(axis=0).sum())
        placed = []
        for name, (start, end, weight) in sorted(blocks.items(), key=lambda item: item[1]):
            own = np.asarray(rows[:, start:end], dtype=np.float64)
            varies = float(own.var(axis=0).sum()) > NOISE * whole
            block = PlacedBlock(name, start, end, 1.0)
            if varies and name in directed:
                block = replace(block, mean=own.mean(axis=0), axes=_axes(own, COMPONENTS, seed))
            if varies:
                block = replace(block, factor=weight / np.sqrt(_first_variance(block.place(rows), seed)))
            placed.append(block)
        return cls(tuple(placed))

    @property
    def factors(self) -> dict[str, float]:
        """Name of each block -> what it is multiplied by."""
        return {block.name: block.factor for block in self.blocks}

    def place(self, rows: Any) -> npt.NDArray[np.float64]:
        """Return where rows lie, shape (rows, dimensions); ``rows`` as in `PlacedBlock.place`.

        Rounded to float32, so that the size of a batch, and so the order of a sum, has no say.
        """
        found = np.concatenate([block.place(rows) for block in self.blocks], axis=1)
        return found.astype(np.float32).astype(np.float64)

    def to_json(self) -> str:
        """The space as one JSON text."""
        return json.dumps([_packed(block) for block in self.blocks])

    @classmethod
    def from_json(cls, text: str) -> BlockSpace:
        """Read back what `to_json` gave."""
        return cls(tuple(PlacedBlock(**_unpacked(facts)) for facts in json.loads(text)))


def _axes(rows: Any, most: int, seed: int) -> npt.NDArray[np.float64]:
    """First principal axes of the rows (d x k), to a precision that all machines agree on."""
    from sklearn.utils.extmath import randomized_svd

    centred = rows - rows.mean(axis=0)
    k = min(most, *centred.shape)
    _, deviations, axes = randomized_svd(centred, k, n_iter=7, random_state=seed)
    kept = axes[deviations > np.sqrt(NOISE) * deviations[0]]
    rounded: npt.NDArray[np.float64] = np.round(kept.T, 9)
    return rounded


def _first_variance(rows: Any, seed: int) -> float:
    """Variance along the first principal axis of the rows."""
    from sklearn.utils.extmath import randomized_svd

    centred = rows - rows.mean(axis=0)
    return float(randomized_svd(centred, 1, n_iter=7, random_state=seed)[1][0] ** 2 / len(rows))


def _packed(block: PlacedBlock) -> dict[str, Any]:
    arrays = {name: getattr(block, name) for name in ("mean", "axes")}
    return {**vars(block), **{name: None if one is None else pack(one) for name, one in arrays.items()}}


def _unpacked(facts: dict[str, Any]) -> dict[str, Any]:
    arrays = {name: None if facts[name] is None else unpack(facts[name]) for name in ("mean", "axes")}
    return {**facts, **arrays}
