"""What is learnt about one feature block, without Spark.

A block is one input column of the fusion: an embedding, TF-IDF weights, encoded columns. Its moments are
summed on executors, one part a partition, and merged here in the order of the partitions: floating-point
sums depend on their order, so the order must not depend on which task ended first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fusionspark.errors import DataContractError

Vector = npt.NDArray[np.float64]

#: A vector column stays sparse from this width on (narrower, a dense row costs less than 4 KiB) ...
SPARSE_WIDTH = 512
#: ... where at most this share of its values is not zero (a sparse value costs 12 bytes, a dense one 8).
SPARSE_SHARE = 0.5
#: A spread this small beside the block's own size is rounding, not information.
CONSTANT = 1e-12

#: Deviation of one position, against the usual one of its block, below which it is rounding noise.
NOISE = 1e-6


class BlockSlice(NamedTuple):
    """Where one block stands in the fused vector: features ``start`` to ``end - 1``, and its weight."""

    block: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Moments:
    """Count, mean (d), sum of squared deviations (d) and number of non-zeros of some rows of a block."""

    rows: int
    mean: Vector
    deviation: Vector
    nonzero: int

    @staticmethod
    def merge(parts: Sequence[Moments]) -> Moments:
        """Merge parts in the order given, after Chan, Golub & LeVeque, "Updating formulae ..." (1979)."""
        total = parts[0]
        for part in parts[1:]:
            rows = total.rows + part.rows
            # A huge value overflows here on purpose: `learn` then finds a norm that is not finite.
            with np.errstate(over="ignore", invalid="ignore"):
                delta = part.mean - total.mean
                total = Moments(
                    rows,
                    total.mean + delta * (part.rows / rows),
                    total.deviation + part.deviation + delta**2 * (total.rows * part.rows / rows),
                    total.nonzero + part.nonzero,
                )
        return total


@dataclass(frozen=True)
class Block:
    """One learnt block.

    Parameters
    ----------
    name : str
        Input column.
    dim : int
        Width d of the column's vectors.
    weight : float
        Weight from the configuration, above 0.
    mean : tuple of float or None
        What is subtracted and what a missing block becomes (d values); None for a sparse block, which is
        not centred and becomes zeros.
    norm : float
        Root of the mean squared norm of the training rows, after centring where the block is centred;
        0 for a block that never varied.
    rows, missing : int
        Training rows with and without the block.
    constant : tuple of int
        Positions that never varied in a centred block. They become exactly zero: what rounding leaves of them
        would be blown up by learners that divide each feature by its deviation, as MLlib's do.
    """

    name: str
    dim: int
    weight: float
    mean: tuple[float, ...] | None
    norm: float
    rows: int
    missing: int
    constant: tuple[int, ...] = ()

    @property
    def sparse(self) -> bool:
        """Whether the block is kept sparse and is not centred."""
        return self.mean is None

    def factor(self, *, scale: bool) -> float:
        """Return what each (centred) value is multiplied by."""
        if not scale:
            return self.weight
        return self.weight / self.norm if self.norm > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the block as JSON values."""
        mean = None if self.mean is None else list(self.mean)
        return {**self.__dict__, "mean": mean, "constant": list(self.constant)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Block:
        """Build the block from `to_dict`'s values."""
        mean = value["mean"]
        constant = tuple(value["constant"])
        return cls(**{**value, "mean": None if mean is None else tuple(mean), "constant": constant})


def learn(name: str, weight: float, moments: Moments, missing: int, *, vector: bool) -> Block:
    """Turn the moments of a block's training rows into the block.

    Parameters
    ----------
    vector : bool
        Whether the column holds MLlib vectors; only those can be sparse.

    Raises
    ------
    DataContractError
        The norm is not finite.
    """
    dim = len(moments.mean)
    share = moments.nonzero / (moments.rows * dim)
    sparse = vector and dim >= SPARSE_WIDTH and share <= SPARSE_SHARE
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(moments.deviation.sum()) / moments.rows
        size = spread + float((moments.mean**2).sum())
    norm = math.sqrt(size if sparse else spread)
    if not math.isfinite(norm):
        raise DataContractError(
            f"block {name!r}",
            "values are so large that their squares are infinite",
            remedy="scale the column first, or take its logarithm",
        )
    if norm <= CONSTANT * math.sqrt(size):
        norm = 0.0
    return Block(
        name,
        dim,
        weight,
        None if sparse else tuple(float(value) for value in moments.mean),
        norm,
        moments.rows,
        missing,
        () if sparse else _constant(moments),
    )


def _constant(moments: Moments) -> tuple[int, ...]:
    """Positions whose deviation is rounding alone: a millionth of the block's usual deviation, or less.

    That is the resolution of float32, in which vectors are stored. A real case: position 319 of
    all-MiniLM-L6-v2 is the same for every text up to 1e-8.
    """
    deviation = np.sqrt(np.maximum(moments.deviation, 0.0) / moments.rows)
    usual = float(np.sqrt(np.mean(deviation**2)))
    still = deviation <= np.maximum(CONSTANT * np.abs(moments.mean), NOISE * usual)
    return tuple(int(i) for i in np.flatnonzero(still))


def layout(blocks: Sequence[Block], *, indicator: bool) -> list[BlockSlice]:
    """Return the slice of each block in the fused vector, in order.

    With ``indicator`` the last feature of each slice is the block's missing indicator.
    """
    slices, start = [], 0
    for block in blocks:
        end = start + block.dim + int(indicator)
        slices.append(BlockSlice(block.name, start, end, block.weight))
        start = end
    return slices
