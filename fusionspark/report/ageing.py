"""How kept models still do: their figures on test rows, tonight beside those of their training night."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fusionspark.columns import TEST
from fusionspark.report.history import CLASSES, NUMBERS
from fusionspark.report.scores import confusion_metrics

#: Resamples of the bootstrap; the standard error is then right to about 5%.
RESAMPLES = 200
#: Standard normal quantile of 95%, both sides.
_Z = 1.959963984540054
_SHOWN, _SHOWN_NUMBERS = ("rows", *CLASSES), ("rows", *NUMBERS)


def compare(then: Mapping[str, Any], now: Mapping[str, Any], best: str | None, metric: str) -> dict[str, Any]:
    """Compare the best algorithm on the test rows of two nights.

    A drop counts where the metric fell by more than chance explains: 1.96 standard errors of the
    difference, each error from the bootstrap over rows (Efron 1979). A metric of a confusion matrix needs no
    rows for that: resampling rows is drawing the matrix anew from the multinomial distribution. The
    same rows are in both nights as a rule, which makes the true error smaller and the answer careful.

    Parameters
    ----------
    then, now : dict
        ``classify`` of the run that trained the models, and of tonight.
    best : str, optional
        The algorithm that was chosen when they were trained.
    metric : str
        ``mine.classify.select_by``; for ``auc`` macro-F1 is watched, since a matrix holds no ranks.

    Returns
    -------
    dict
        ``then`` and ``now`` with rows, accuracy, macro_f1 and auc; ``metric``, its ``change``, the ``margin``
        that chance explains, and ``dropped``. Empty where either night has no labelled test rows.
    """
    before, after = (_test_of(night, best) for night in (then, now))
    if not before.get("rows") or not after.get("rows"):
        return {}
    watched = "accuracy" if metric == "accuracy" else "macro_f1"
    change = after[watched] - before[watched]
    errors = [standard_error(figures["confusion"]["matrix"], watched) for figures in (before, after)]
    margin = _Z * math.hypot(*errors)
    return {
        "then": {name: before.get(name) for name in _SHOWN},
        "now": {name: after.get(name) for name in _SHOWN},
        "metric": watched,
        "change": change,
        "margin": margin,
        "dropped": change < -margin,
    }


def compare_numbers(then: Mapping[str, Any], now: Mapping[str, Any], best: str | None) -> dict[str, Any]:
    """Compare the best regression on the test rows of two nights by its RMSE; see `compare`.

    The standard error of each night's RMSE is a quarter of the width of its 95% interval, nearly.
    """
    before, after = (_test_of(night, best) for night in (then, now))
    if not before.get("rmse_interval") or not after.get("rmse_interval"):
        return {}
    change = after["rmse"] - before["rmse"]
    errors = [(high - low) / (2 * _Z) for low, high in (before["rmse_interval"], after["rmse_interval"])]
    margin = _Z * math.hypot(*errors)
    return {
        "then": {name: before.get(name) for name in _SHOWN_NUMBERS},
        "now": {name: after.get(name) for name in _SHOWN_NUMBERS},
        "metric": "rmse",
        "change": change,
        "margin": margin,
        "dropped": change > margin,
    }


def _test_of(measured: Mapping[str, Any], best: str | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = measured.get(best or "", {}).get(TEST, {})
    return found


def standard_error(matrix: Any, metric: str) -> float:
    """Bootstrap standard error of accuracy or macro-F1 of a confusion matrix; 0 for an empty one."""
    counts = np.asarray(matrix, dtype=np.int64)
    rows = int(counts.sum())
    if not rows:
        return 0.0
    drawn = np.random.default_rng(0).multinomial(rows, counts.ravel() / rows, size=RESAMPLES)
    labels = [str(i) for i in range(len(counts))]
    values = [confusion_metrics(labels, one.reshape(counts.shape))[metric] for one in drawn]
    return float(np.std(values))
