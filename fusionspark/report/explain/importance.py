"""Permutation importance from what the model predicts once a player's values are shuffled among the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionspark.report.scores import confusion_metrics


def shuffles(rows: int, repeats: int, seed: int) -> npt.NDArray[np.int64]:
    """Return ``repeats`` permutations of ``rows`` rows: which row each takes a value from."""
    random = np.random.default_rng(seed)
    return np.array([random.permutation(rows) for _ in range(repeats)], dtype=np.int64).reshape(repeats, rows)


def importance(
    labels: Sequence[str], predicted: Sequence[str], shuffled: Mapping[str, Sequence[Sequence[str]]]
) -> dict[str, Any]:
    """Measure how much worse the answers get without a player (Breiman, "Random forests", 2001).

    Parameters
    ----------
    labels, predicted : sequences of str, n rows
        The truth, and the answers to the rows as they are.
    shuffled : dict of str to sequences of n answers
        Player -> answers, one sequence a repeat.

    Returns
    -------
    dict
        ``rows``; ``macro_f1`` as it is; ``players``: one entry a player, the most important first, with
        ``drop`` (mean fall of macro-F1), ``deviation`` (over the repeats) and ``classes`` (mean fall of each
        class's F1; None for a class that never occurs).
    """
    names = sorted(
        set(labels) | set(predicted) | {p for runs in shuffled.values() for one in runs for p in one}
    )
    before = _scores(labels, predicted, names)
    players: list[dict[str, Any]] = []
    for player, runs in shuffled.items():
        after = [_scores(labels, answers, names) for answers in runs]
        drops = np.array([before[0] - score for score, _ in after])
        classes: dict[str, float | None] = {}
        for name in names:
            was = before[1][name]
            if name in labels and was is not None:
                classes[name] = float(np.mean([was - (found[name] or 0.0) for _, found in after]))
        players.append(
            {
                "player": player,
                "drop": float(drops.mean()),
                "deviation": float(drops.std()),
                "classes": classes,
            }
        )
    players.sort(key=lambda entry: (-entry["drop"], entry["player"]))
    return {"rows": len(labels), "macro_f1": before[0], "players": players}


def _scores(
    labels: Sequence[str], predicted: Sequence[str], names: Sequence[str]
) -> tuple[float, dict[str, float | None]]:
    place = {name: i for i, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)), dtype=np.int64)
    for truth, answer in zip(labels, predicted, strict=True):
        matrix[place[truth], place[answer]] += 1
    found = confusion_metrics(names, matrix)
    return found["macro_f1"] or 0.0, {name: found["classes"][name]["f1"] for name in names}
