"""How many clusters: by the silhouette of k-means on a sample, with the curve that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark.columns import FEATURES, ROW_ID
from fusionspark.mine.arrow_columns import Matrix
from fusionspark.mine.exact_rows import ExactRows
from fusionspark.mine.lloyd import Settings, fit
from fusionspark.mine.samples import feature_sample
from fusionspark.mine.worker_group import WorkerGroup

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows of the sample whose silhouette is taken: it compares all pairs.
SILHOUETTE_SAMPLE = 2_000


@dataclass(frozen=True)
class Chosen:
    """The number of clusters, and what was measured for it.

    ``k`` has the highest mean silhouette (Rousseeuw 1987), the smallest of several such. ``elbow`` is where
    the cost lies farthest below the line from its first to its last point (Satopaa et al. 2011, "Finding a
    kneedle in a haystack"); told beside it, not used.
    """

    k: int
    elbow: int
    rows: int
    #: ``{k, cost, silhouette}`` in the order of k; ``cost`` is the sum of squared distances.
    curve: list[dict[str, Any]]


def choose_k(features: DataFrame, k_max: int, *, seed: int, max_iter: int) -> Chosen:
    """Choose among 2 to ``k_max`` on the rows with the smallest seeded hash of ``row_id``.

    Parameters
    ----------
    features : DataFrame
        row_id and features, finite vectors of one width.
    """
    sample = feature_sample(features, FEATURES, seed=seed, purpose="choose k", by=ROW_ID)
    return best_k(sample, k_max, seed=seed, max_iter=max_iter)


def best_k(rows: Matrix, k_max: int, *, seed: int, max_iter: int) -> Chosen:
    """Choose among 2 to ``k_max``, or as many as there are distinct rows; 2 where nothing can be compared."""
    from sklearn.metrics import silhouette_score

    curve: list[dict[str, Any]] = []
    shown = np.random.default_rng(seed).permutation(len(rows))[:SILHOUETTE_SAMPLE]
    for k in range(2, k_max + 1):
        if k >= len(rows):
            break
        data = ExactRows(rows.copy(), np.ones(len(rows)))
        outcome = fit(data, WorkerGroup(), Settings(k=k, seed=seed, max_iter=max_iter))
        if len(outcome.centres) < k:
            break
        labels = ExactRows(rows, np.ones(len(rows))).nearest(outcome.centres)[shown]
        apart = 1 < len(np.unique(labels)) < len(labels)
        score = round(float(silhouette_score(rows[shown], labels)), 4) if apart else None
        curve.append({"k": k, "cost": float(f"{outcome.cost:.6g}"), "silhouette": score})
    known = [one for one in curve if one["silhouette"] is not None]
    best = max(known, key=lambda one: (one["silhouette"], -one["k"]), default={"k": 2})
    return Chosen(best["k"], elbow([one["cost"] for one in curve]), len(rows), curve)


def elbow(costs: Sequence[float]) -> int:
    """The k at which costs, of k = 2 on, lie farthest below the line between their ends.

    >>> elbow([100, 20, 18, 16, 14])
    3
    """
    if len(costs) < 3:
        return 2
    line = np.linspace(costs[0], costs[-1], len(costs))
    return 2 + int(np.argmax(line - np.asarray(costs)))
