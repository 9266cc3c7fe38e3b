"""Exact Shapley values of a linear model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def linear_shapley(
    weights: Array, rows: Array, background: Array, players: Mapping[str, Sequence[slice]]
) -> Array:
    """Shapley values of players that each own some features of a linear model.

    Of a linear model, what a player adds does not depend on who came before: it is its weights times what its
    features differ from their mean over the background (Lundberg & Lee 2017, corollary 1, over groups).

    Parameters
    ----------
    weights : array, shape (d,)
        Of the class that is explained.
    rows, background : arrays, shapes (n, d) and (b, d)
    players : dict of str to slices
        Features of each player; together all of them, each once.

    Returns
    -------
    array, shape (n, players)
        In units of the model's margin; a row sums to its margin minus the mean margin of the background.
    """
    parts = (rows - background.mean(axis=0)) * weights
    return np.stack([sum(parts[:, own].sum(axis=1) for own in owned) for owned in players.values()], axis=1)
