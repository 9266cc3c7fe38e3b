"""The weights of a classifier that is linear in its features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pyspark.ml.classification import LinearSVCModel, LogisticRegressionModel

from fusionspark.mine.classify import Classifier
from fusionspark.mine.one_vs_rest import LinearSVCOneVsRestModel

Array = npt.NDArray[np.float64]


def linear_form(classifier: Classifier) -> dict[str, tuple[Array, float]] | None:
    """Return ``{label: (weights, intercept)}`` of the margins, or None where the classifier is not linear.

    Of logistic regression the margin is the logarithm of the odds: of the label itself where there are two,
    against the geometric mean of all labels where there are more. Of linear SVC it is the distance from the
    label's hyperplane, in units of its margin.
    """
    model = classifier.model.stages[-1]
    if len(classifier.model.stages) > 1:
        # Linear only in what an earlier stage made of the features.
        return None
    if isinstance(model, LogisticRegressionModel):
        weights, intercepts = model.coefficientMatrix.toArray(), np.asarray(model.interceptVector.toArray())
        if len(weights) > 1:
            # Softmax is the same for all weights moved by one vector: what is common says nothing.
            weights, intercepts = weights - weights.mean(axis=0), intercepts - intercepts.mean()
    elif isinstance(model, LinearSVCOneVsRestModel) and all(
        isinstance(m, LinearSVCModel) for m in model.models
    ):
        weights = np.array([one.coefficients.toArray() for one in model.models])
        intercepts = np.array([one.intercept for one in model.models])
    else:
        return None
    if len(weights) == 1:
        # The one function of two labels speaks for the second.
        weights, intercepts = np.vstack([-weights, weights]), np.concatenate([-intercepts, intercepts])
    return {label: (weights[i], float(intercepts[i])) for i, label in enumerate(classifier.labels)}
