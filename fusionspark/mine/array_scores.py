"""Raw scores of fitted classifiers in numpy: what MLlib's models answer, without the way to the JVM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fusionspark.mine.classify import Classifier

Matrix = npt.NDArray[np.float64]


class Scorer(Protocol):
    """Scores of the classes, as the array that `Classifier.answers` reads."""

    def scores(self, rows: Any) -> Matrix:
        """Scores of rows (anything that ``rows @ weights`` works with), shape (rows, classes)."""
        ...


@dataclass(frozen=True)
class LinearScores:
    """A linear classifier.

    Parameters
    ----------
    weights : array, shape (width, margins)
    intercepts : array, shape (margins,)
        One margin speaks for both of two classes.
    probabilities : bool
        Whether the scores are probabilities, or the margins themselves.
    """

    weights: Matrix
    intercepts: Matrix
    probabilities: bool

    def scores(self, rows: Any) -> Matrix:
        """Probabilities or margins, shape (rows, classes)."""
        margins: Matrix = rows @ self.weights + self.intercepts
        if margins.shape[1] == 1:
            if self.probabilities:
                second = _sigmoid(margins)
                return np.hstack([1.0 - second, second])
            return np.hstack([-margins, margins])
        return _softmax(margins) if self.probabilities else margins


@dataclass(frozen=True)
class PerceptronScores:
    """A multilayer perceptron: sigmoid layers, softmax at the end.

    Parameters
    ----------
    layers : sequence of (weights of shape (in, out), biases of shape (out,))
    """

    layers: Sequence[tuple[Matrix, Matrix]]

    def scores(self, rows: Any) -> Matrix:
        """Probabilities, shape (rows, classes)."""
        *hidden, (weights, biases) = self.layers
        for inner, bias in hidden:
            rows = _sigmoid(rows @ inner + bias)
        return _softmax(rows @ weights + biases)


def _sigmoid(values: Matrix) -> Matrix:
    with np.errstate(over="ignore"):
        found: Matrix = 1.0 / (1.0 + np.exp(-values))
    return found


def _softmax(values: Matrix) -> Matrix:
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    found: Matrix = raised / raised.sum(axis=1, keepdims=True)
    return found


def _logistic(model: Any) -> Scorer:
    return LinearScores(
        model.coefficientMatrix.toArray().T, model.interceptVector.toArray(), probabilities=True
    )


def _one_vs_rest(model: Any) -> Scorer:
    weights = np.array([one.coefficients.toArray() for one in model.models]).T
    return LinearScores(weights, np.array([one.intercept for one in model.models]), probabilities=False)


def _perceptron(model: Any) -> Scorer:
    flat, start, layers = model.weights.toArray(), 0, []
    sizes = list(model.getLayers())
    for inside, out in pairwise(sizes):
        # MLlib keeps the weights of a layer column by column, and its biases after them.
        middle, stop = start + inside * out, start + (inside + 1) * out
        layers.append((flat[start:middle].reshape(inside, out), flat[middle:stop]))
        start = stop
    return PerceptronScores(layers)


def scorer_of(classifier: Classifier) -> Scorer | None:
    """The scorer of a classifier; None where it is neither linear nor a perceptron over the features."""
    from pyspark.ml.classification import (
        LinearSVCModel,
        LogisticRegressionModel,
        MultilayerPerceptronClassificationModel,
    )

    from fusionspark.mine.one_vs_rest import LinearSVCOneVsRestModel

    stages: list[Any] = classifier.model.stages
    if len(stages) != 1:
        return None
    model = stages[0]
    if isinstance(model, LogisticRegressionModel):
        return _logistic(model)
    if isinstance(model, MultilayerPerceptronClassificationModel):
        return _perceptron(model)
    # The same model holds trees, too.
    if isinstance(model, LinearSVCOneVsRestModel) and all(
        isinstance(one, LinearSVCModel) for one in model.models
    ):
        return _one_vs_rest(model)
    return None
