"""What tuning makes small: cross-entropy of a linear head for classes, squared error for a number.

The head starts as the linear model that fits the untouched vectors (Kumar et al. 2022, "Fine-tuning can
distort pretrained features and underperform out-of-distribution"): random weights would first pull the
network about. Its input is the vector as later classifiers see it, so what it separates they can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark.errors import DataContractError

if TYPE_CHECKING:
    import torch

    from fusionspark.represent.tune.network import TunableEncoder

#: What scores are divided by where validation rows judge them (temperature scaling: Guo et al. 2017, "On
#: calibration of modern neural networks"). An encoder grows too sure of itself long before its vectors get
#: worse, and later models have a penalty of their own against that.
TEMPERATURES = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
#: Texts whose untouched vectors the head is fitted to.
HEAD_ROWS = 1500


@dataclass(frozen=True)
class Classes:
    """Cross-entropy over ``labels``; a text of another label teaches nothing."""

    labels: Sequence[str]

    tries = len(TEMPERATURES)

    @property
    def outputs(self) -> int:
        """Scores of a text."""
        return len(self.labels)

    def targets(self, values: Sequence[str]) -> np.ndarray:
        """Class numbers; -100 for a label that is none of `labels`."""
        place = {label: i for i, label in enumerate(self.labels)}
        return np.array([place.get(value, -100) for value in values], dtype=np.int64)

    def loss(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Sum over the texts."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(scores, targets, reduction="sum", ignore_index=-100)

    def losses(self, scores: torch.Tensor, targets: torch.Tensor) -> list[float]:
        """The same at each of `TEMPERATURES`."""
        return [float(self.loss(scores / temperature, targets)) for temperature in TEMPERATURES]

    def fit_head(self, vectors: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights and biases of a logistic regression."""
        from sklearn.linear_model import LogisticRegression

        weight = np.zeros((self.outputs, vectors.shape[1]), dtype=np.float32)
        bias = np.zeros(self.outputs, dtype=np.float32)
        known = targets >= 0
        classes = np.unique(targets[known])
        if len(classes) < 2:
            return weight, bias
        model = LogisticRegression(C=10.0, max_iter=300).fit(vectors[known], targets[known])
        if len(classes) == 2:
            # One row of weights, for the second class against the first.
            weight[classes] = np.vstack([-model.coef_[0], model.coef_[0]]) / 2
            bias[classes] = [-model.intercept_[0] / 2, model.intercept_[0] / 2]
        else:
            weight[classes], bias[classes] = model.coef_, model.intercept_
        # A class that is not among these texts must not start above the others.
        bias[np.setdiff1d(np.arange(self.outputs), classes)] = bias[classes].min() - 1
        return weight, bias


@dataclass(frozen=True)
class Number:
    """Squared error of a number, measured in standard deviations of the training rows."""

    mean: float
    deviation: float

    outputs = 1
    tries = 1

    def targets(self, values: Sequence[str]) -> np.ndarray:
        """Standardised numbers."""
        return (np.array([float(v) for v in values], dtype=np.float32) - self.mean) / (self.deviation or 1.0)

    def loss(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Sum over the texts."""
        return (scores[:, 0] - targets).square().sum()

    def losses(self, scores: torch.Tensor, targets: torch.Tensor) -> list[float]:
        """The same, alone."""
        return [float(self.loss(scores, targets))]

    def fit_head(self, vectors: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights and bias of a ridge regression."""
        from sklearn.linear_model import Ridge

        model = Ridge(alpha=0.1).fit(vectors, targets)
        weight = np.asarray(model.coef_, dtype=np.float32)[None, :]
        return weight, np.array([model.intercept_], dtype=np.float32)


Objective = Classes | Number


def objective_of(kind: str, facts: dict[str, Any]) -> Objective:
    """The objective of plain data: ``classes`` with labels, or ``number`` with mean and deviation.

    Raises
    ------
    DataContractError
        Fewer than two classes.
    """
    if kind == "number":
        return Number(facts["mean"], facts["deviation"])
    if len(facts["labels"]) < 2:
        raise DataContractError(
            "the label",
            f"training rows have {len(facts['labels'])} class(es): {', '.join(facts['labels']) or 'none'}",
            allowed="at least two classes",
            remedy="check columns.label and source.where",
        )
    return Classes(tuple(facts["labels"]))


def start_head(
    encoder: TunableEncoder,
    objective: Objective,
    batch: tuple[list[str], list[str]],
    dtype: torch.dtype | None,
) -> None:
    """Fit the head to the untouched vectors of ``batch``, computed in ``dtype``; None is the weights' own."""
    import torch

    texts, values = batch[0][:HEAD_ROWS], batch[1][:HEAD_ROWS]
    order = np.argsort([len(text) for text in texts], kind="stable")
    encoder.train(False)
    with torch.inference_mode():
        parts = [
            encoder.embed([texts[i] for i in order[at : at + 32]], dtype).float().cpu().numpy()
            for at in range(0, len(order), 32)
        ]
    vectors = np.concatenate(parts)
    weight, bias = objective.fit_head(vectors, objective.targets([values[i] for i in order]))
    encoder.start_head(weight.astype(np.float32), bias.astype(np.float32))
