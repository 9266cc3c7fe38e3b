"""The fused vectors of rows whose blocks are in Python already: what `FeatureFuserModel` does, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionspark.errors import DataContractError
from fusionspark.fuse.blocks import Block

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FusedRows:
    """Fused vectors, block beside block; a product with weights never puts them together.

    Parameters
    ----------
    parts : tuple of matrix
        Dense float64 arrays and scipy CSR matrices of the same number of rows, in the order of the blocks.
    """

    parts: tuple[Any, ...]

    def __matmul__(self, weights: Matrix) -> Matrix:
        """Product with weights of shape (width, k), as a dense array of shape (rows, k)."""
        start, total = 0, np.zeros((self.parts[0].shape[0], weights.shape[1]))
        for part in self.parts:
            total += part @ weights[start : start + part.shape[1]]
            start += part.shape[1]
        return total

    def csr(self) -> Any:
        """The vectors as one scipy CSR matrix of float32, the form that learnt fusion methods read."""
        from scipy import sparse

        return sparse.hstack([sparse.csr_matrix(part) for part in self.parts], "csr", dtype=np.float32)


def fuse_rows(
    blocks: Sequence[Block], given: Mapping[str, Any], *, scale: bool, indicator: bool
) -> FusedRows:
    """Centre, scale and weigh the blocks of rows.

    Parameters
    ----------
    blocks : sequence of Block
        As they were learnt.
    given : mapping of str to matrix
        Values of each block: a dense array with a row of NaN where the block is missing, or a scipy CSR
        matrix, of which no row is missing.
    scale, indicator : bool
        As the Params of `FeatureFuserModel` have it; ``indicator`` is its ``handleInvalid: keep``.

    Raises
    ------
    DataContractError
        A block has another width than the one learnt.
    """
    from scipy import sparse

    parts = []
    for block in blocks:
        values = given[block.name]
        if values.shape[1] != block.dim:
            raise DataContractError(
                f"block {block.name!r}",
                f"rows have {values.shape[1]} values, the fitted block has {block.dim}",
                remedy="make the block as it was made for fit, or fit again",
            )
        missing = np.zeros((values.shape[0], 1))
        if sparse.issparse(values) and block.sparse:
            fused: Any = values * block.factor(scale=scale)
        else:
            dense = values.toarray() if sparse.issparse(values) else np.asarray(values, dtype=np.float64)
            here = np.isfinite(dense).all(axis=1)
            missing[~here] = block.weight
            fused = _dense(block, dense, here, scale=scale)
        if indicator:
            stack = sparse.hstack if sparse.issparse(fused) else np.hstack
            fused = stack([fused, missing])
        parts.append(fused.tocsr() if sparse.issparse(fused) else fused)
    return FusedRows(tuple(parts))


def _dense(block: Block, values: Matrix, here: npt.NDArray[np.bool_], *, scale: bool) -> Matrix:
    factor = block.factor(scale=scale)
    if block.sparse:
        return np.where(here[:, None], values, 0.0) * factor
    mean = np.array(block.mean)
    # A missing block is its training mean: zeros once it is centred.
    kept = np.where(here[:, None], values, mean)
    if not scale:
        return kept * factor
    fused: Matrix = (kept - mean) * factor
    fused[:, list(block.constant)] = 0.0
    return fused
