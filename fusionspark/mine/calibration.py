"""Scores become probabilities that can be believed, learnt on rows that the classifier was not trained on.

``platt``: one sigmoid a class over margins or log-odds (Platt 1999, "Probabilistic outputs for support vector
machines"); ``isotonic``: one rising step function a class (Zadrozny and Elkan 2002); both are then divided
by their sum. ``temperature``: softmax of the scores over one number (Guo et al. 2017, "On calibration of
modern neural networks"), which leaves every prediction as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import Column

METHODS = ("platt", "isotonic", "temperature")
#: Probabilities are held this far from 0 and 1 before a logarithm is taken of them.
EDGE = 1e-6
#: Rows of a class below which it shares the curve of all classes together.
FEW_ROWS = 10
#: Most steps of an isotonic curve; they become part of a query plan.
MOST_STEPS = 40


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration, as plain numbers.

    Attributes
    ----------
    method : {"platt", "isotonic", "temperature"}
        See the module.
    curves : list of list of float
        One a class: slope and intercept of a sigmoid; or scores, then as many probabilities, of a curve. For
        ``temperature`` one list with the temperature.
    """

    method: str
    curves: list[list[float]]

    def apply(self, scores: Column, probabilities: bool) -> Column:
        """Probabilities of an array of scores; ``probabilities`` says whether those are some already."""
        from pyspark.sql import functions as F

        classes = range(len(self.curves))
        if self.method == "temperature":
            temperature = self.curves[0][0]
            inner = F.transform(scores, lambda s: _log(s) if probabilities else s)
            top = F.array_max(inner)
            parts = F.transform(inner, lambda s: F.exp((s - top) / temperature))
        else:
            one = [_odds(scores[i]) if probabilities else scores[i] for i in classes]
            curve = _sigmoid if self.method == "platt" else _steps
            parts = F.array(*[curve(one[i], self.curves[i]) for i in classes])
        total = F.aggregate(parts, F.lit(0.0), lambda a, b: a + b)
        return F.transform(parts, lambda p: F.when(total > 0, p / total).otherwise(1.0 / F.size(parts)))


def _log(p: Column) -> Column:
    from pyspark.sql import functions as F

    return F.log(F.greatest(p, F.lit(EDGE)))


def _odds(p: Column) -> Column:
    from pyspark.sql import functions as F

    held = F.least(F.greatest(p, F.lit(EDGE)), F.lit(1 - EDGE))
    return F.log(held / (1 - held))


def _sigmoid(score: Column, curve: Sequence[float]) -> Column:
    from pyspark.sql import functions as F

    return 1 / (1 + F.exp(-(score * curve[0] + curve[1])))


def _steps(score: Column, curve: Sequence[float]) -> Column:
    """Straight lines between the points of the curve, level beyond its ends."""
    from pyspark.sql import functions as F

    half = len(curve) // 2
    xs, ys = curve[:half], curve[half:]
    value = F.lit(ys[-1])
    for i in reversed(range(half - 1)):
        slope = (ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i])
        value = F.when(score <= xs[i + 1], ys[i] + (score - xs[i]) * slope).otherwise(value)
    return F.when(score <= xs[0], ys[0]).otherwise(value)


def fit(method: str, scores: np.ndarray, labels: np.ndarray, probabilities: bool) -> Calibration | None:
    """Learn a calibration from rows that were held out.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    scores : ndarray of float, shape (n, classes)
        Margins, or probabilities where ``probabilities`` says so.
    labels : ndarray of int, shape (n,)
        Class numbers.

    Returns
    -------
    Calibration or None
        None where the rows hold fewer than two classes: nothing can be learnt then.
    """
    if len(np.unique(labels)) < 2:
        return None
    if method == "temperature":
        return Calibration(method, [[_temperature(scores, labels, probabilities)]])
    if probabilities:
        held = np.clip(scores, EDGE, 1 - EDGE)
        scores = np.log(held / (1 - held))
    hits = labels[:, None] == np.arange(scores.shape[1])
    learn = _fit_sigmoid if method == "platt" else _fit_steps
    shared = learn(scores.ravel(), hits.ravel())
    curves = [
        learn(scores[:, i], hits[:, i]) if min(hits[:, i].sum(), (~hits[:, i]).sum()) >= FEW_ROWS else shared
        for i in range(scores.shape[1])
    ]
    return Calibration(method, curves)


def _fit_sigmoid(scores: np.ndarray, hits: np.ndarray) -> list[float]:
    from sklearn.linear_model import LogisticRegression

    # Platt's own targets are a little short of 0 and 1, which a weak penalty comes to as well.
    model = LogisticRegression(C=100.0).fit(scores[:, None], hits)
    return [float(model.coef_[0, 0]), float(model.intercept_[0])]


def _fit_steps(scores: np.ndarray, hits: np.ndarray) -> list[float]:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(out_of_bounds="clip", y_min=EDGE, y_max=1 - EDGE).fit(
        scores, hits.astype(float)
    )
    xs, ys = model.X_thresholds_, model.y_thresholds_
    kept = np.unique(np.linspace(0, len(xs) - 1, min(len(xs), MOST_STEPS)).astype(int))
    return [*map(float, xs[kept]), *map(float, ys[kept])]


def _temperature(scores: np.ndarray, labels: np.ndarray, probabilities: bool) -> float:
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    inner = np.log(np.maximum(scores, EDGE)) if probabilities else scores
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(inner / np.exp(log_temperature), axis=1)[rows, labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x))


def cost_matrix(costs: dict[str, dict[str, float]], labels: Sequence[str]) -> list[list[float]]:
    """Cost of answering column j where the truth is row i: as stated, else 1, and 0 on the diagonal.

    >>> cost_matrix({"sick": {"well": 10}}, ["sick", "well"])
    [[0.0, 10.0], [1.0, 0.0]]
    """
    return [
        [float(costs.get(truth, {}).get(answer, 0.0 if truth == answer else 1.0)) for answer in labels]
        for truth in labels
    ]


def cheapest(probabilities: Column, matrix: Sequence[Sequence[float]]) -> Column:
    """Number of the class whose expected cost is least (Elkan 2001, "The foundations of cost-sensitive
    learning"); for two classes that is a threshold, see `threshold`.
    """
    from pyspark.sql import functions as F

    def expected(j: int) -> Column:
        return sum((probabilities[i] * row[j] for i, row in enumerate(matrix)), F.lit(0.0))

    each = [expected(j) for j in range(len(matrix))]
    lowest = F.least(*each)
    found = F.lit(0)
    for j in reversed(range(1, len(each))):
        found = F.when(each[j] == lowest, j).otherwise(found)
    return F.when(each[0] == lowest, 0).otherwise(found)


def threshold(matrix: Sequence[Sequence[float]]) -> float | None:
    """Probability of the second of two classes from which on it is the cheaper answer; None for more.

    >>> threshold([[0.0, 1.0], [9.0, 0.0]])
    0.1
    """
    if len(matrix) != 2:
        return None
    wrong_second, wrong_first = matrix[0][1] - matrix[0][0], matrix[1][0] - matrix[1][1]
    return wrong_second / (wrong_second + wrong_first) if wrong_second + wrong_first > 0 else None
