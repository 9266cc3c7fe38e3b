"""The fusion receipt of a run: the arms are trained in the room `fuse`, and judged in the room `report`."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame

from fusionspark import columns as c
from fusionspark.fuse.receipt_answers import ARM, LEARNER, SAID, answers, sampled
from fusionspark.fuse.receipt_arms import arms_of
from fusionspark.pipeline.context import Context
from fusionspark.report.receipt import CLASSES, Answers, receipt
from fusionspark.report.receipt_numbers import NUMBERS

#: Blocks whose columns have a meaning each, and blocks that come from text, as the configuration names them.
NARROW, TEXTS = ("table", "statistics"), ("text", "tfidf", "statistics")


def make(ctx: Context, joined: DataFrame, labels: list[str]) -> dict[str, Any]:
    """Work out the receipt; where there can be none, the reason stands under ``why``.

    A night that applies earlier models shows the receipt of the run that trained them.

    Parameters
    ----------
    joined : DataFrame
        row_id, split, label, and the joined blocks as ``features``.
    labels : list of str
        Labels of the training rows; none where the label is a number.
    """
    if ctx.kept is not None:
        kept = ctx.kept.manifest().get("receipt") or {"why": "not_made"}
        return {"of": ctx.kept.run_date, **kept}
    settings, counts = ctx.config.report.receipt, ctx.facts["prepare"]["splits"]
    known = None if ctx.config.columns.number else labels
    checks = {
        "no_label": not ctx.config.columns.label,
        "switched_off": not settings.rows,
        "one_class": known is not None and len(known) < 2,
        "no_test_rows": not counts.get(c.TEST),
    }
    for why, so in checks.items():
        if so:
            return {"why": why}
    started = time.monotonic()
    layout = ctx.facts["fuse"]["blocks"]
    shares = {split: min(1.0, settings.rows / counts[split]) for split in c.SPLITS if counts.get(split)}
    spans = {name: (at["start"], at["start"] + at["dimension"]) for name, at in layout.items()}
    arms = arms_of(spans, NARROW, TEXTS)
    rows = sampled(joined, shares, ctx.config.seed)
    found = answers(rows, arms, known, seed=ctx.config.seed).orderBy(c.ROW_ID).toPandas()
    judged = {split: _judged(found[found[c.SPLIT] == split], known) for split in (c.VALIDATION, c.TEST)}
    if len(np.unique(judged[c.TEST][0])) < 2:
        return {"why": "one_class"}
    texts = [name for name in layout if name in TEXTS]
    facts = receipt(
        labels,
        judged[c.TEST],
        judged[c.VALIDATION],
        list(layout),
        texts,
        # The settings name metrics of classes.
        metric=NUMBERS.metrics[0] if known is None else settings.metric,
        samples=settings.samples,
        seed=ctx.config.seed,
        scoring=NUMBERS if known is None else CLASSES,
    )
    sample = {split: round(share, 6) for split, share in shares.items() if share < 1}
    return {
        **facts,
        "of": ctx.run.run_date,
        "sample": sample,
        "cost": _cost(ctx),
        "seconds": round(time.monotonic() - started, 3),
    }


def _judged(rows: pd.DataFrame, labels: list[str] | None) -> tuple[Any, dict[str, Answers]]:
    """What each arm says of the rows, and their truth: the class, -1 for a label that training never saw, or
    the number where there are no ``labels``.
    """
    by_arm = {str(name): part for name, part in rows.groupby(ARM)}
    if not by_arm:
        return np.empty(0, dtype=np.int64), {}
    truth = next(iter(by_arm.values()))[c.LABEL]
    said = {
        name: Answers(part[LEARNER].iloc[0], np.vstack(list(part[SAID]))) for name, part in by_arm.items()
    }
    if labels is None:
        return truth.to_numpy(dtype=np.float64), said
    place = {label: i for i, label in enumerate(labels)}
    return np.asarray(truth.map(place).fillna(-1), dtype=np.int64), said


def _cost(ctx: Context) -> dict[str, Any]:
    """Seconds that the text's vectors took in this run, and would have taken with an empty store."""
    represent = ctx.facts["represent"]
    if not represent.get("represent"):
        return {"seconds": 0.0, "seconds_saved": 0.0}
    return {"seconds": represent["seconds"], "seconds_saved": represent["represent"]["seconds_saved"]}
