"""Features that alone tell the label: a column that was filled in after the answer was known. No Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: A class with fewer rows cannot be held out three times.
_FOLDS = 3
#: Values of a category that a tree may tell apart.
_MOST_VALUES = 500


def alone(rows: pd.DataFrame, label: str, names: Sequence[str]) -> dict[str, float]:
    """How well each column alone tells the label: mean ROC-AUC one against the rest, over held-out rows.

    A decision tree of one column is trained on two thirds of the rows and measured on the others, three
    times. A category counts by the rank of its frequency; its rarest values count as one.

    Returns
    -------
    dict
        Column to AUC; columns that never vary, and all where fewer than two classes have three rows, are
        left out.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    counts = rows[label].value_counts()
    rows = rows[rows[label].isin(counts[counts >= _FOLDS].index)]
    target = rows[label].to_numpy()
    if len(set(target)) < 2:
        return {}
    found = {}
    for name in names:
        values = _numbers(rows[name])
        if values.nunique() < 2:
            continue
        tree = DecisionTreeClassifier(max_leaf_nodes=64, min_samples_leaf=2, random_state=0)
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
        scores = cross_val_predict(tree, values.to_frame(), target, cv=folds, method="predict_proba")
        found[name] = _auc(target, scores)
    return found


def leaks(aucs: Mapping[str, float], threshold: float) -> list[dict[str, Any]]:
    """The columns at or above the threshold, the worst first."""
    beyond = {name: auc for name, auc in aucs.items() if auc >= threshold}
    return [
        {"column": name, "auc": round(auc, 4)} for name, auc in sorted(beyond.items(), key=lambda p: -p[1])
    ]


def _numbers(values: pd.Series) -> pd.Series:
    if values.dtype.kind in "fiub":
        return values.astype(float)
    ranks = {value: i for i, value in enumerate(values.value_counts().sort_index().sort_values(
        ascending=False, kind="stable").index[:_MOST_VALUES])}  # fmt: skip
    return values.map(ranks).fillna(-1.0).where(values.notna(), -2.0).astype(float)


def _auc(target: Any, scores: Any) -> float:
    import numpy as np
    from sklearn.metrics import roc_auc_score

    classes = np.unique(target)
    return float(np.mean([roc_auc_score(target == one, scores[:, i]) for i, one in enumerate(classes)]))
