"""Which coalitions of players to ask a model about, and the Shapley values that its answers give.

A player is a block, a column or a piece of text; a coalition is a set of players that keep their value while
the others lose theirs. All coalitions of a row are known before the model is asked, so that those of all rows
go through it in one distributed pass. The libraries `shap` and `lime` ask batch after batch from one
process; the tests hold the results here against theirs.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]

#: Groups of sampled coalitions that are left out in turn to state the error.
GROUPS = 10


@dataclass(frozen=True)
class Coalitions:
    """Coalitions of ``m`` players.

    Attributes
    ----------
    masks : array of bool, shape (n, m)
        The first is empty, the second whole.
    weights : array, shape (n,)
        Share of the Shapley kernel that each stands for; 0 for the first two, which are constraints.
    sampled : array of int, shape (n,)
        -1 for a coalition that was enumerated; else the group in which it is left out to state the error.
    """

    masks: Masks
    weights: Array
    sampled: npt.NDArray[np.int64]

    @property
    def exact(self) -> bool:
        """Whether every coalition is there, so that nothing is estimated."""
        return bool(len(self.masks) >= 2 ** int(self.masks.shape[1]))


def coalitions(players: int, most: int, seed: int) -> Coalitions:
    """Choose at most ``most`` coalitions beside the empty and the whole one.

    All of them where they fit. Otherwise from the outside in: all coalitions of one player and of all but
    one, then of two, as far as they fit; the rest is drawn in pairs (a coalition and its complement) from the
    Shapley kernel (Lundberg & Lee, "A unified approach to interpreting model predictions", 2017; pairs after
    Covert & Lee, "Improving KernelSHAP", 2021). With fewer than two coalitions a player, which cannot tell
    the players apart, ``most`` is raised to that.
    """
    ends = np.array([[False] * players, [True] * players])
    if players < 2:
        return Coalitions(ends, np.zeros(2), np.full(2, -1))
    most = max(most, 2 * players)
    random = np.random.default_rng(seed)
    masks, weights = [], []
    left, whole = most, 2**players - 2 <= most
    sizes = list(range(1, players // 2 + 1))
    while sizes:
        size = sizes[0]
        both = 2 * size != players
        count = math.comb(players, size) * (2 if both else 1)
        if count > left and not whole:
            break
        for members in itertools.combinations(range(players), size):
            mask = np.zeros(players, dtype=bool)
            mask[list(members)] = True
            masks += [mask, ~mask] if both else [mask]
        weights += [_kernel(players, size) * (2 if both else 1) / count] * count
        left -= count
        sizes.pop(0)
    groups = [-1] * len(masks)
    pairs = left // 2 if sizes else 0
    if pairs:
        shares = np.array([_kernel(players, s) * (1 if 2 * s == players else 2) for s in sizes])
        drawn = random.choice(sizes, size=pairs, p=shares / shares.sum())
        for i, size in enumerate(drawn):
            mask = np.zeros(players, dtype=bool)
            mask[random.choice(players, size=size, replace=False)] = True
            masks += [mask, ~mask]
            groups += [i % GROUPS] * 2
        weights += [float(shares.sum()) / (2 * pairs)] * (2 * pairs)
    return Coalitions(
        np.vstack([ends, *masks]), np.array([0.0, 0.0, *weights]), np.array([-1, -1, *groups], dtype=np.int64)
    )


def _kernel(players: int, size: int) -> float:
    """Weight in the Shapley kernel of all coalitions of one size together."""
    return (players - 1) / (size * (players - size))


def shapley(chosen: Coalitions, values: Array) -> tuple[Array, Array]:
    """Shapley values of the players, and their standard errors.

    Parameters
    ----------
    chosen : Coalitions
        As `coalitions` made them, n of m players.
    values : array, shape (n,)
        The model's answer to each.

    Returns
    -------
    values, errors : arrays, shape (m,)
        The values sum to the answer to the whole coalition minus that to the empty one, always. The errors
        are the delete-a-group jackknife over the sampled coalitions; 0 where all coalitions are there, nan
        where too few were drawn to tell.
    """
    found = _constrained(chosen.masks, chosen.weights, values)
    if chosen.exact:
        return found, np.zeros_like(found)
    groups = [g for g in range(GROUPS) if (chosen.sampled == g).any()]
    if len(groups) < 2:
        return found, np.full_like(found, np.nan)
    drawn = chosen.sampled >= 0
    again = []
    for group in groups:
        kept = chosen.sampled != group
        # What is left of the sample stands for all of its share.
        weights = np.where(drawn, chosen.weights * drawn.sum() / (drawn & kept).sum(), chosen.weights)
        again.append(_constrained(chosen.masks[kept], weights[kept], values[kept]))
    spread = np.array(again)
    factor = (len(groups) - 1) / len(groups)
    return found, np.sqrt(factor * ((spread - spread.mean(axis=0)) ** 2).sum(axis=0))


def _constrained(masks: Masks, weights: Array, values: Array) -> Array:
    """Weighted least squares whose sum is fixed: the last player is what the others leave."""
    base, total = float(values[0]), float(values[1] - values[0])
    players = masks.shape[1]
    if players == 1:
        return np.array([total])
    inner = weights > 0
    x = masks[inner].astype(np.float64)
    design = x[:, :-1] - x[:, -1:]
    target = values[inner] - base - x[:, -1] * total
    root = np.sqrt(weights[inner])
    found, *_ = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)
    return np.append(found, total - found.sum())


def lime(chosen: Coalitions, values: Array, *, width: float = 0.25, ridge: float = 1e-3) -> Array:
    """Coefficients of LIME: a local linear model of the answers, near the whole row.

    The same answers serve both methods: coalitions are re-weighted by importance from the Shapley kernel to
    LIME's own sampling (the number of players that are left out is uniform), then by LIME's kernel of the
    cosine distance to the whole row (Ribeiro, Singh & Guestrin, "Why should I trust you?", 2016).

    Parameters
    ----------
    width : float
        Of the kernel, on distances from 0 to 1, as the library's default for text.
    ridge : float
        Penalty, relative to the sum of the weights.
    """
    players = chosen.masks.shape[1]
    if players == 1:
        # Without its only piece a text is as far as can be: the kernel would see one answer alone.
        return np.array([values[1] - values[0]])
    sizes = chosen.masks.sum(axis=1)
    sampling = chosen.weights * sizes * (players - sizes)
    inner = sampling[sampling > 0]
    # The whole row and the empty one, each as likely as any other number of players.
    ends = float(inner.sum()) / (players - 1)
    sampling[:2] = ends
    distance = 1 - np.sqrt(sizes / players)
    weights = sampling * np.exp(-(distance**2) / width**2)
    weights = weights / weights.sum()
    x = chosen.masks.astype(np.float64)
    x, y = x - weights @ x, values - weights @ values
    gram = (x * weights[:, None]).T @ x + ridge * np.eye(players)
    solved: Any = np.linalg.solve(gram, (x * weights[:, None]).T @ y)
    return np.asarray(solved, dtype=np.float64)
