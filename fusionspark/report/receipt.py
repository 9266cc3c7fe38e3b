"""The fusion receipt: what the text is worth, with intervals and paired tests. Plain numpy, no Spark.

Every arm is scored on the same test rows, and one bootstrap of these rows serves all arms, so that
differences between arms are paired: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapters
13 and 15; McNemar's exact test as in Dietterich, "Approximate statistical tests for comparing supervised
classification learning algorithms" (1998).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
#: The class of each row as int, or the number as float.
Truth = npt.NDArray[Any]

METRICS = ("auc", "macro_f1", "accuracy")
#: Weights of bootstrap samples that are held at once.
_CELLS = 20_000_000


@dataclass(frozen=True)
class Answers:
    """What one arm says of some rows: of row i in ``said[i, j]`` the log-probability of label j, or in
    ``said[i, 0]`` a number.
    """

    learner: str
    said: Floats


@dataclass(frozen=True)
class Scoring:
    """How answers are judged.

    Parameters
    ----------
    metrics : tuple of str
    score : callable
        Takes the truth, what an arm says and weights of the rows (samples, rows); returns each metric, one
        value a sample.
    right : callable, optional
        Takes the truth and what an arm says; returns which rows are right. None where answers are numbers.
    """

    metrics: tuple[str, ...]
    score: Callable[[Truth, Floats, Floats], dict[str, Floats]]
    right: Callable[[Truth, Floats], npt.NDArray[np.bool_]] | None = None


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


def _right(classes: Truth, logs: Floats) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = logs.argmax(axis=1) == classes
    return found


#: Judges of classes.
CLASSES = Scoring(METRICS, score, _right)


def resampled(
    truth: Truth, arms: Mapping[str, Floats], samples: int, seed: int, scoring: Scoring = CLASSES
) -> dict[str, dict[str, Floats]]:
    """Return each arm's metrics over bootstrap samples of the rows; sample i is the same for all arms."""
    random, rows = np.random.default_rng(seed), len(truth)
    found: dict[str, dict[str, list[Floats]]] = {name: {m: [] for m in scoring.metrics} for name in arms}
    step = max(1, _CELLS // max(1, rows))
    for first in range(0, samples, step):
        count = min(step, samples - first)
        weights = random.multinomial(rows, np.full(rows, 1.0 / rows), size=count).astype(float)
        for name, said in arms.items():
            for metric, values in scoring.score(truth, said, weights).items():
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
    """The test rows: the truth, what each arm says of them, and each arm's metrics over the samples."""

    truth: Truth
    said: Mapping[str, Floats]
    drawn: Mapping[str, Mapping[str, Floats]]
    scoring: Scoring = CLASSES


def compare(test: Scored, metric: str, first: str, second: str) -> dict[str, Any]:
    """Compare two arms row by row: difference of ``metric`` with its interval, its p, and McNemar's test of
    classes.

    ``better`` is whether the interval of the difference lies above 0.
    """
    one = np.ones((1, len(test.truth)))
    values = {
        name: test.scoring.score(test.truth, test.said[name], one)[metric][0] for name in (first, second)
    }
    gain = float(values[first] - values[second])
    drawn = test.drawn[first][metric] - test.drawn[second][metric]
    drawn = drawn[~np.isnan(drawn)]
    between = interval(drawn)
    p = None
    if len(drawn):
        # The achieved significance level, never 0: one more sample could fall on the other side.
        tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
        p = round(min(1.0, 2 * (float(tail) + 1) / (len(drawn) + 1)), 6)
    judge, paired = test.scoring.right, None
    if judge is not None:
        paired = mcnemar(*[judge(test.truth, test.said[name]) for name in (first, second)])
    return {
        "first": first,
        "second": second,
        "metric": metric,
        "difference": round(gain, 6) if np.isfinite(gain) else None,
        "interval": between,
        "p": p,
        "mcnemar": paired,
        "better": bool(between is not None and between[0] > 0),
    }


def receipt(
    labels: Sequence[str],
    test: tuple[Truth, Mapping[str, Answers]],
    validation: tuple[Truth, Mapping[str, Answers]],
    blocks: Sequence[str],
    texts: Sequence[str],
    *,
    metric: str,
    samples: int,
    seed: int,
    scoring: Scoring = CLASSES,
) -> dict[str, Any]:
    """Work the receipt out.

    Parameters
    ----------
    labels : sequence of str
        Empty where the label is a number.
    test, validation : (truth, answers of each arm)
        The single block that fusion has to beat is chosen on validation rows, everything else is measured on
        test rows. Arms are the blocks and, where there are any, ``fused`` and ``shuffled``.
    blocks, texts : sequences of str
        The single blocks, and those of them that come from text.
    metric : str
        One of those of ``scoring``, of which more is better.

    Returns
    -------
    dict
        ``arms: {name: {learner, ...metrics, *_interval}}``, ``best_block``, ``fusion`` and
        ``text`` (each a comparison, or None), ``text_pays`` and ``fusion_pays``.
    """
    truth, answered = test
    said = {name: one.said for name, one in answered.items()}
    one = np.ones((1, len(truth)))
    drawn = resampled(truth, said, samples, seed, scoring)
    scored = Scored(truth, said, drawn, scoring)
    arms = {}
    for name, answer in answered.items():
        values = scoring.score(truth, answer.said, one)
        arms[name] = {
            "learner": answer.learner,
            **{m: _finite(values[m][0]) for m in scoring.metrics},
            **{f"{m}_interval": interval(drawn[name][m]) for m in scoring.metrics},
        }
    judged = validation if len(validation[0]) else test
    best = _best_block(judged, blocks, metric, scoring)
    whole = "fused" if "fused" in said else best
    others = [name for name in blocks if name not in texts]
    fusion = compare(scored, metric, whole, best) if whole != best else None
    # The text is worth what is lost without it; where there is nothing but text, what is lost with another's.
    without = _best_block(judged, others, metric, scoring) if others else "shuffled"
    text = compare(scored, metric, whole, without) if texts and without in said else None
    control = compare(scored, metric, whole, "shuffled") if "shuffled" in said else None
    return {
        "metric": metric,
        "samples": samples,
        "rows": {"test": len(truth), "validation": len(validation[0])},
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
    judged: tuple[Truth, Mapping[str, Answers]], blocks: Sequence[str], metric: str, scoring: Scoring
) -> str:
    """Name the block with the best ``metric``, the first of equals."""
    truth, answered = judged
    one = np.ones((1, len(truth)))
    values = {name: float(scoring.score(truth, answered[name].said, one)[metric][0]) for name in blocks}
    return min(values, key=lambda name: (-np.nan_to_num(values[name], nan=-np.inf), blocks.index(name)))
