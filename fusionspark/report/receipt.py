"""The fusion receipt: what the text is worth, with intervals and paired tests. Plain numpy, no Spark.

Every arm is scored on the same test rows, and one bootstrap of these rows serves all arms, so that
differences between arms are paired: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapters
13 and 15; McNemar's exact test as in Dietterich, "Approximate statistical tests for comparing supervised
classification learning algorithms" (1998).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

METRICS = ("auc", "macro_f1", "accuracy")
#: Weights of bootstrap samples that are held at once.
_CELLS = 20_000_000


@dataclass(frozen=True)
class Answers:
    """What one arm says of some rows: ``logs[i, j]`` is the log-probability of label j for row i."""

    learner: str
    logs: Floats


def score(classes: npt.NDArray[np.int64], logs: Floats, weights: Floats) -> dict[str, Floats]:
    """Return the metrics under each row of ``weights``.

    Parameters
    ----------
    classes : array of int, shape (rows,)
        The true class; -1 for a label that no model knows, which is always wrong.
    logs : array, shape (rows, classes)
    weights : array, shape (samples, rows)
        How often each row is in each sample.

    Returns
    -------
    dict
        ``auc`` (one-vs-rest, mean over classes with rows on both sides; ties count one half), ``macro_f1``
        and ``accuracy``, one value a sample; nan where a sample has no value.
    """
    predicted = logs.argmax(axis=1)
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = {"accuracy": weights @ (predicted == classes).astype(float) / total}
        f1, areas = [], []
        for label in range(logs.shape[1]):
            true, said = classes == label, predicted == label
            support, claimed = weights @ true.astype(float), weights @ said.astype(float)
            # A class that is neither there nor claimed has no F1 and is left out of the mean.
            f1.append(2 * (weights @ (true & said).astype(float)) / (support + claimed))
            areas.append(_area(true, logs[:, label], weights))
        unknown = weights @ (classes < 0).astype(float)
        if (classes < 0).any():
            f1.append(np.where(unknown > 0, 0.0, np.nan))
        scores["macro_f1"] = _mean(f1)
        scores["auc"] = _mean(areas)
    return {metric: scores[metric] for metric in METRICS}


def _mean(columns: list[Floats]) -> Floats:
    stack = np.array(columns)
    known = ~np.isnan(stack)
    means: Floats = np.where(known, stack, 0.0).sum(axis=0) / np.where(
        known.any(axis=0), known.sum(axis=0), np.nan
    )
    return means


def _area(true: npt.NDArray[np.bool_], values: Floats, weights: Floats) -> Floats:
    """Mann-Whitney's area under each row of ``weights``."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    ordered = weights[:, order]
    truth = true[order].astype(float)
    positive = np.add.reduceat(ordered * truth, starts, axis=1)
    negative = np.add.reduceat(ordered * (1 - truth), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won: Floats = (positive * (below + negative / 2)).sum(axis=1)
    return np.where(pairs > 0, won / pairs, np.nan)


def resampled(
    classes: npt.NDArray[np.int64], arms: Mapping[str, Floats], samples: int, seed: int
) -> dict[str, dict[str, Floats]]:
    """Return each arm's metrics over bootstrap samples of the rows; sample i is the same for all arms."""
    random, rows = np.random.default_rng(seed), len(classes)
    found: dict[str, dict[str, list[Floats]]] = {name: {m: [] for m in METRICS} for name in arms}
    step = max(1, _CELLS // max(1, rows))
    for first in range(0, samples, step):
        count = min(step, samples - first)
        weights = random.multinomial(rows, np.full(rows, 1.0 / rows), size=count).astype(float)
        for name, logs in arms.items():
            for metric, values in score(classes, logs, weights).items():
                found[name][metric].append(values)
    return {name: {m: np.concatenate(v) for m, v in by.items()} for name, by in found.items()}


def interval(values: Floats) -> list[float] | None:
    """Return the 2.5th and 97.5th percentile of the values that are there."""
    known = values[~np.isnan(values)]
    return None if not len(known) else [round(float(v), 6) for v in np.percentile(known, [2.5, 97.5])]


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Test exactly whether two classifiers are right equally often, from the rows on which just one is."""
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p = binomtest(only_first, discordant, 0.5).pvalue if discordant else 1.0
    return {"only_first": only_first, "only_second": only_second, "p": round(float(p), 6)}


@dataclass(frozen=True)
class Scored:
    """The test rows: their classes, what each arm says of them, and each arm's metrics over the samples."""

    classes: npt.NDArray[np.int64]
    logs: Mapping[str, Floats]
    drawn: Mapping[str, Mapping[str, Floats]]


def compare(test: Scored, metric: str, first: str, second: str) -> dict[str, Any]:
    """Compare two arms row by row: difference of ``metric`` with its interval, its p, and McNemar's test.

    ``better`` is whether the interval of the difference lies above 0.
    """
    classes, one = test.classes, np.ones((1, len(test.classes)))
    values = {name: score(classes, test.logs[name], one)[metric][0] for name in (first, second)}
    gain = float(values[first] - values[second])
    drawn = test.drawn[first][metric] - test.drawn[second][metric]
    drawn = drawn[~np.isnan(drawn)]
    between = interval(drawn)
    p = None
    if len(drawn):
        # The achieved significance level, never 0: one more sample could fall on the other side.
        tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
        p = round(min(1.0, 2 * (float(tail) + 1) / (len(drawn) + 1)), 6)
    right = {name: test.logs[name].argmax(axis=1) == classes for name in (first, second)}
    return {
        "first": first,
        "second": second,
        "metric": metric,
        "difference": round(gain, 6) if np.isfinite(gain) else None,
        "interval": between,
        "p": p,
        "mcnemar": mcnemar(right[first], right[second]),
        "better": bool(between is not None and between[0] > 0),
    }


def receipt(
    labels: Sequence[str],
    test: tuple[npt.NDArray[np.int64], Mapping[str, Answers]],
    validation: tuple[npt.NDArray[np.int64], Mapping[str, Answers]],
    blocks: Sequence[str],
    texts: Sequence[str],
    *,
    metric: str,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Work the receipt out.

    Parameters
    ----------
    labels : sequence of str
    test, validation : (classes, answers of each arm)
        The single block that fusion has to beat is chosen on validation rows, everything else is measured on
        test rows. Arms are the blocks and, where there are any, ``fused`` and ``shuffled``.
    blocks, texts : sequences of str
        The single blocks, and those of them that come from text.

    Returns
    -------
    dict
        ``arms: {name: {learner, auc, macro_f1, accuracy, *_interval}}``, ``best_block``, ``fusion`` and
        ``text`` (each a comparison, or None), ``text_pays`` and ``fusion_pays``.
    """
    classes, answered = test
    logs = {name: one.logs for name, one in answered.items()}
    one = np.ones((1, len(classes)))
    drawn = resampled(classes, logs, samples, seed)
    scored = Scored(classes, logs, drawn)
    arms = {}
    for name, answer in answered.items():
        values = score(classes, answer.logs, one)
        arms[name] = {
            "learner": answer.learner,
            **{m: _finite(values[m][0]) for m in METRICS},
            **{f"{m}_interval": interval(drawn[name][m]) for m in METRICS},
        }
    best = _best_block(validation, test, blocks, metric)
    whole = "fused" if "fused" in logs else best
    others = [name for name in blocks if name not in texts]
    fusion = compare(scored, metric, whole, best) if whole != best else None
    # The text is worth what is lost without it; where there is nothing but text, what is lost with another's.
    without = _best_block(validation, test, others, metric) if others else "shuffled"
    text = compare(scored, metric, whole, without) if texts and without in logs else None
    control = compare(scored, metric, whole, "shuffled") if "shuffled" in logs else None
    return {
        "metric": metric,
        "samples": samples,
        "rows": {"test": len(classes), "validation": len(validation[0])},
        "labels": len(labels),
        "arms": arms,
        "best_block": best,
        "chosen_on": "validation" if len(validation[0]) else "test",
        "fusion": fusion,
        "text": text,
        "shuffled": control,
        "fusion_pays": None if fusion is None else fusion["better"],
        # Better than without text, and not by freedom alone: texts of other rows must not do as well.
        "text_pays": None if text is None or control is None else text["better"] and control["better"],
    }


def _finite(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _best_block(
    validation: tuple[npt.NDArray[np.int64], Mapping[str, Answers]],
    test: tuple[npt.NDArray[np.int64], Mapping[str, Answers]],
    blocks: Sequence[str],
    metric: str,
) -> str:
    """Name the block with the best ``metric`` on validation rows, the first of equals."""
    classes, answered = validation if len(validation[0]) else test
    one = np.ones((1, len(classes)))
    values = {name: float(score(classes, answered[name].logs, one)[metric][0]) for name in blocks}
    return min(values, key=lambda name: (-np.nan_to_num(values[name], nan=-1.0), blocks.index(name)))
