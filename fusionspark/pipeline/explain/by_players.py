"""Blocks and columns: permutation importance over test rows, and Shapley values of chosen ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.pipeline.explain.asking import Answers, Mixed, ask_mixed
from fusionspark.pipeline.explain.subject import Asked, Subject
from fusionspark.report.explain.coalitions import Coalitions, coalitions, shapley
from fusionspark.report.explain.importance import importance, shuffles
from fusionspark.report.explain.linear import linear_shapley

Array = npt.NDArray[np.float64]
#: Shuffles of each player.
REPEATS = 2


def explain_players(asked: Asked, about: Subject, rows: DataFrame) -> dict[str, Any] | None:
    """Add ``players`` to the chosen rows, and return the permutation importance; one job for both.

    Where the model is linear, the values of a row are worked out from its features and need no question. Else
    a player that is not known takes its value from a training row, and the answers are averaged over
    ``effort.background`` of them.
    """
    players = list(asked.predictor.players)
    ids = [one for one, _, _ in about.shuffled]
    orders = shuffles(len(ids), REPEATS, asked.named_seed("shuffles"))
    questions = [
        Mixed(one, ids[order[n]], [other != player for other in players])
        for player in players
        for order in orders
        for n, one in enumerate(ids)
    ]
    of_importance = len(questions)
    linear = asked.predictor.margins
    sets = coalitions(len(players), asked.effort.samples, asked.named_seed("coalitions"))
    if about.chosen and about.background:
        if linear is not None:
            _linear(asked, about, linear)
        else:
            questions += coalition_questions(about, sets)
    if not questions:
        return None
    answers = ask_mixed(asked.predictor, rows, questions)
    if len(questions) > of_importance:
        _shapley(asked, about, sets, answers.scores[of_importance:])
    return _importance(about, players, answers) if ids else None


def _importance(about: Subject, players: list[str], answers: Answers) -> dict[str, Any]:
    rows = len(about.shuffled)
    runs = np.array(answers.predictions[: len(players) * REPEATS * rows], dtype=object)
    shuffled = dict(zip(players, runs.reshape(len(players), REPEATS, rows).tolist(), strict=True))
    labels = [label for _, label, _ in about.shuffled]
    found = importance(labels, [answer for _, _, answer in about.shuffled], shuffled)
    return {**found, "repeats": REPEATS}


def coalition_questions(about: Subject, sets: Coalitions) -> list[Mixed]:
    """The background as it is, then of each chosen row itself and every coalition on every background row."""
    whole = sets.masks[1].tolist()
    questions = [Mixed(one, one, whole) for one in about.background]
    for one in about.chosen:
        name = one["row_id"]
        questions.append(Mixed(name, name, whole))
        questions += [Mixed(name, other, mask) for mask in sets.masks[2:] for other in about.background]
    return questions


def _shapley(asked: Asked, about: Subject, sets: Coalitions, scores: Array) -> None:
    labels, several = list(asked.predictor.labels), len(about.background)
    base, scores = scores[:several].mean(axis=0), scores[several:]
    inner = len(sets.masks) - 2
    for one, mine in zip(about.chosen, np.split(scores, len(about.chosen)), strict=True):
        k = labels.index(one["prediction"])
        between = mine[1:, k].reshape(inner, several).mean(axis=1)
        values, errors = shapley(sets, np.concatenate([[base[k], mine[0, k]], between]))
        method = {"method": "kernel", "exact": sets.exact}
        one["players"] = {**method, **_told(asked, values, errors, float(base[k]), float(mine[0, k]))}


def _linear(asked: Asked, about: Subject, linear: dict[str, tuple[Array, float]]) -> None:
    table = asked.run.read(c.FEATURE_TABLE)
    wanted = [one["row_id"] for one in about.chosen] + about.background
    found = table.where(F.col(c.ROW_ID).isin(wanted)).select(
        c.ROW_ID, vector_to_array(F.col(c.FEATURES)).alias("v")
    )
    vectors = {row[c.ROW_ID]: np.asarray(row["v"]) for row in found.collect()}
    middle = np.stack([vectors[one] for one in about.background])
    for one in about.chosen:
        weights, intercept = linear[one["prediction"]]
        own = vectors[one["row_id"]]
        values = linear_shapley(weights, own[None], middle, asked.predictor.slices)[0]
        base, score = float((middle @ weights).mean() + intercept), float(own @ weights + intercept)
        method = {"method": "linear", "exact": True}
        one["players"] = {**method, **_told(asked, values, np.zeros(len(values)), base, score)}


def _told(asked: Asked, values: Array, errors: Array, base: float, score: float) -> dict[str, Any]:
    parts = [
        {"player": player, "value": float(value), "error": None if np.isnan(error) else float(error)}
        for player, value, error in zip(asked.predictor.players, values, errors, strict=True)
    ]
    return {"base": base, "score": score, "parts": parts}
