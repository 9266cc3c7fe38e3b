"""Whether an explanation is true to the model: deleting what it names must matter more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Masks = npt.NDArray[np.bool_]


def top_count(parts: int, share: float = 0.2) -> int:
    """Pieces that count as the top ones: a share of all, at least one.

    >>> top_count(24), top_count(3)
    (5, 1)
    """
    return max(1, math.ceil(share * parts))


def deletions(values: npt.NDArray[np.float64], random: int, seed: int) -> Masks:
    """Masks that leave out the top pieces (the first), then as many pieces by chance.

    Top are those that speak most for the class, as the explanation has it.

    Returns
    -------
    array of bool, shape (1 + random, pieces)
    """
    parts = len(values)
    count = top_count(parts)
    masks = np.ones((1 + random, parts), dtype=bool)
    masks[0, np.argsort(-values, kind="stable")[:count]] = False
    draw = np.random.default_rng(seed)
    for i in range(random):
        masks[1 + i, draw.choice(parts, size=count, replace=False)] = False
    return masks


def faithfulness(whole: Sequence[float], top: Sequence[float], chance: Sequence[float]) -> dict[str, Any]:
    """Compare what deleting does to the score of the class that was predicted, over the explained rows.

    Parameters
    ----------
    whole, top, chance : sequences of equal length
        Score of each row whole, without its top pieces, and without random ones (mean over the draws).

    Returns
    -------
    dict
        ``rows``; ``top`` and ``random``: mean fall of the score; ``ratio``: mean size of the movement by top
        over that by random deletion, None where random deletion moves nothing; ``wins``: share of rows in
        which the top moves more.
    """
    if not len(whole):
        return {"rows": 0, "top": None, "random": None, "ratio": None, "wins": None}
    before = np.asarray(whole, dtype=float)
    fell, by_chance = before - np.asarray(top, dtype=float), before - np.asarray(chance, dtype=float)
    moved = float(np.abs(by_chance).mean())
    return {
        "rows": len(before),
        "top": float(fell.mean()),
        "random": float(by_chance.mean()),
        "ratio": float(np.abs(fell).mean()) / moved if moved > 0 else None,
        "wins": float((np.abs(fell) > np.abs(by_chance)).mean()),
    }
