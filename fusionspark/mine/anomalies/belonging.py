"""To which of a table's categories texts belong: what each text says of its row's own values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionspark.mine.anomalies.peers import with_vector

#: Parts that the training rows are dealt into; as many classifiers a column, each without one part.
FOLDS = 5
#: Most values of a column that are told apart, the most frequent ones: each costs a vector a classifier.
MOST_VALUES = 64
#: Inverse strength of the L2 penalty, for vectors of mean squared length 1; steps, and when to stop them.
STRENGTH, STEPS, TOLERANCE = 10.0, 20, 1e-3
#: How much less than the rarest other value one is expected that a part's classifier never saw.
UNSEEN = 3.0


@dataclass(frozen=True)
class Values:
    """The values of one column that are told apart.

    ``share`` (values) holds -log of the share of each in the training rows; ``weights`` (folds x values x
    width) and ``bias`` (folds x values) are multinomial logistic regressions.
    """

    name: str
    index: Mapping[str | None, int]
    share: Any
    weights: Any
    bias: Any


@dataclass(frozen=True)
class Belonging:
    """Classifiers from text vectors to each categorical column, cross-fitted.

    A row is asked about by the classifier of its part (by its id), which has learnt from no row of that part:
    so training rows are judged as new ones are.
    """

    centre: Any
    scale: float
    columns: tuple[Values, ...]

    @classmethod
    def fit(
        cls, vectors: Any, columns: Mapping[str, Any], names: Sequence[str], *, least: int
    ) -> Belonging | None:
        """Learn from the rows that have a vector; None where no column has two values to tell apart.

        Parameters
        ----------
        vectors : array (rows, width), NaN where a row has none
        columns : lists of values of each of ``names``, None for missing; and ``id`` as int64
        least : int
            Rows of a value; rarer ones are not told apart.
        """
        there = with_vector(vectors)
        if not len(there):
            return None
        known = np.asarray(vectors, dtype=np.float64)[there]
        centre = known.mean(axis=0)
        known = known - centre
        scale = float(np.sqrt((known**2).sum(axis=1).mean())) or 1.0
        part = _parts(columns["id"])[there]
        found = [
            _learn(name, known / scale, [columns[name][i] for i in there], part, least) for name in names
        ]
        told = tuple(one for one in found if one is not None)
        return cls(centre, scale, told) if told else None

    def scores(self, vectors: Any, columns: Mapping[str, Any]) -> tuple[Any, Any]:
        """How much each text speaks against its row's own values.

        Returns
        -------
        against : array
            By how much the text makes the own value less probable, as -log of the ratio of its probability
            with the text and without (pointwise mutual information: Church and Hanks 1990), so that a rare
            value is no evidence by itself; summed over the columns, since a text that belongs to another row
            is at odds with several. NaN without a vector, or where no column has a value that is known.
        other : array of object
            ``(column, value)`` that the text is most like, of the column that it speaks most against, where
            that is not the row's own; else None.
        """
        rows = len(vectors)
        against, largest = np.full(rows, np.nan), np.full(rows, np.nan)
        other = np.full(rows, None, dtype=object)
        there = with_vector(vectors)
        if not len(there):
            return against, other
        known = (np.asarray(vectors, dtype=np.float64)[there] - self.centre) / self.scale
        part = _parts(columns["id"])[there]
        for column in self.columns:
            own = np.array([column.index.get(columns[column.name][i], -1) for i in there])
            has = np.flatnonzero(own >= 0)
            if not len(has):
                continue
            logs = _log_probabilities(column, known[has], part[has])
            surprise = -logs[np.arange(len(has)), own[has]] - column.share[own[has]]
            best, values, at = logs.argmax(axis=1), list(column.index), there[has]
            against[at] = np.nan_to_num(against[at]) + surprise
            for row, how, mine, like in zip(at, surprise, own[has], best, strict=True):
                if not how <= largest[row]:
                    largest[row] = how
                    other[row] = None if mine == like else (column.name, values[like])
        return against, other


def _parts(ids: Any) -> Any:
    return np.asarray(ids, dtype=np.int64) % FOLDS


def _learn(name: str, known: Any, values: Sequence[str | None], part: Any, least: int) -> Values | None:
    from sklearn.linear_model import LogisticRegression

    counts: dict[str | None, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    kept = sorted((value for value in counts if counts[value] >= max(2, least)), key=lambda v: (v is None, v))
    kept = sorted(kept, key=lambda value: -counts[value])[:MOST_VALUES]
    if len(kept) < 2:
        return None
    index = {value: i for i, value in enumerate(kept)}
    own = np.array([index.get(value, -1) for value in values])
    weights = np.zeros((FOLDS, len(kept), known.shape[1]), dtype=np.float32)
    share = -np.log(np.bincount(own[own >= 0], minlength=len(kept)) / (own >= 0).sum())
    bias = np.tile(-share, (FOLDS, 1))
    for fold in range(FOLDS):
        rows = np.flatnonzero((own >= 0) & (part != fold))
        seen = np.unique(own[rows])
        if len(seen) < 2:
            # Nothing to tell apart: what the shares say stands.
            continue
        learner = LogisticRegression(C=STRENGTH, max_iter=STEPS, tol=TOLERANCE)
        fitted = _stopped_early(learner, known[rows], own[rows])
        two = len(seen) == 2
        weights[fold, seen] = np.vstack([0 * fitted.coef_, fitted.coef_]) if two else fitted.coef_
        found = np.array([0.0, fitted.intercept_[0]]) if two else fitted.intercept_
        bias[fold] = found.min() - UNSEEN
        bias[fold, seen] = found
    return Values(name, index, share, weights, bias)


def _stopped_early(learner: Any, rows: Any, own: Any) -> Any:
    """Fit; that the steps ran out is no news, they are few on purpose."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return learner.fit(rows, own)


def _log_probabilities(column: Values, known: Any, part: Any) -> Any:
    """Log-probabilities of the values (rows x values), each row by the classifier of its part."""
    from scipy.special import logsumexp

    logs = np.empty((len(known), len(column.index)))
    for fold in np.unique(part):
        rows = np.flatnonzero(part == fold)
        logs[rows] = known[rows] @ column.weights[fold].T.astype(np.float64) + column.bias[fold]
    return logs - logsumexp(logs, axis=1, keepdims=True)
