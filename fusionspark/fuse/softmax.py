"""Multinomial logistic regression on one machine: small, exact, the same wherever it runs.

A fusion method fits many small models (one a block and fold), and MLlib's cost of several Spark jobs an
iteration would be most of their time. Here a fit is one call inside one task, and fits run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: L2 penalties that are tried where none is given, in MLlib's terms (``regParam``).
PENALTIES = (1e-2, 1e-3, 1e-4, 1e-5)
#: That of a model for which no rows are held out to choose one.
USUAL = 1e-3
#: A class that a fit has not seen gets this log-probability: one in a million, not never.
UNSEEN = float(np.log(1e-6))


@dataclass(frozen=True)
class Softmax:
    """A linear model: row x gets ``softmax(weights @ x + bias)``.

    Parameters
    ----------
    weights : array of float32, shape (classes, width)
    bias : array of float32, shape (classes,)
    """

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def log_probabilities(self, rows: Any) -> npt.NDArray[np.float64]:
        """Logarithms of the probabilities, shape (rows, classes); ``rows`` is dense or scipy sparse."""
        margins = np.asarray(rows @ self.weights.T, dtype=np.float64) + self.bias
        top = margins.max(axis=1, keepdims=True)
        logs: npt.NDArray[np.float64] = margins - top
        logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
        return logs


def fit_softmax(rows: Any, classes: npt.NDArray[np.int64], count: int, penalty: float) -> Softmax:
    """Fit by L-BFGS (scikit-learn).

    Parameters
    ----------
    rows : array or scipy sparse matrix, shape (rows, width)
    classes : array of int
        Class of each row, 0 to ``count - 1``. A class without rows gets the log-odds `UNSEEN`; where only one
        class has rows the answer is constant.
    penalty : float
        L2, above 0, relative to the mean loss of a row: MLlib's ``regParam``, scikit-learn's ``1 / (C n)``.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(classes)
    weights = np.zeros((count, rows.shape[1]), dtype=np.float32)
    bias = np.full(count, UNSEEN, dtype=np.float32)
    if len(seen) < 2:
        bias[seen] = 0.0
        return Softmax(weights, bias)
    model = LogisticRegression(C=1.0 / (penalty * rows.shape[0]), max_iter=200, tol=1e-3)
    with warnings.catch_warnings():
        # After 200 steps the ranking of rows moves no more; that the last digits still would is no news.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, classes)
    if len(seen) == 2:
        # scikit-learn keeps one row of weights for two classes.
        weights[seen[1]], bias[seen[1]] = model.coef_[0], model.intercept_[0]
        bias[seen[0]] = 0.0
    else:
        weights[seen], bias[seen] = model.coef_, model.intercept_
    if len(seen) < count:
        unseen = np.setdiff1d(np.arange(count), seen)
        bias[unseen] = bias[seen].min() + UNSEEN
    return Softmax(weights, bias)


def log_loss(logs: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]) -> float:
    """Mean negative log-probability of the true classes; 0 is the best there is."""
    return float(-logs[np.arange(len(classes)), classes].mean())


def fit_best(
    rows: Any,
    classes: npt.NDArray[np.int64],
    held_out: tuple[Any, npt.NDArray[np.int64]],
    count: int,
    penalties: Sequence[float] = PENALTIES,
) -> tuple[float, Softmax]:
    """Fit with each penalty and return the one with the least log loss on ``held_out``, and its model."""
    fitted = [(penalty, fit_softmax(rows, classes, count, penalty)) for penalty in penalties]
    if not len(held_out[1]):
        return next((one for one in fitted if one[0] == USUAL), fitted[0])
    return min(fitted, key=lambda one: log_loss(one[1].log_probabilities(held_out[0]), held_out[1]))
