"""How much each block of the fused features weighs in distances between rows. Needs no Spark."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fusionspark.mine.arrow_columns import Matrix

#: Name -> first feature, the one after the last, weight.
Blocks = Mapping[str, tuple[int, int, float]]
#: Variance, against that of all blocks, below which a block says nothing.
NOISE = 1e-12


def block_factors(rows: Matrix, blocks: Blocks, *, seed: int) -> dict[str, float]:
    """What each block is multiplied by, so that its first principal axis has the variance weight squared.

    This is the weighting of multiple factor analysis (Escofier and Pages 1994, "Multiple factor analysis
    (AFMULT package)"). Blocks of equal total variance are not equal to a clustering: that of one yes-or-no
    column lies on one axis, that of an embedding on hundreds, and any cut along the column is then worth more
    than every cut along the text.

    Parameters
    ----------
    rows : array (rows, width)

    Returns
    -------
    dict
        1 for a block that does not vary.
    """
    from sklearn.utils.extmath import randomized_svd

    found = {}
    whole = float(rows.var(axis=0).sum())
    for name, (start, end, weight) in blocks.items():
        block = np.asarray(rows[:, start:end], dtype=np.float64)
        block = block - block.mean(axis=0)
        first = float(randomized_svd(block, 1, n_iter=7, random_state=seed)[1][0] ** 2 / len(block))
        found[name] = weight / np.sqrt(first) if first > NOISE * whole else 1.0
    return found
