"""Categories by how the label is spread in them, out of fold: no row's own label is in its features."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasLabelCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import LABEL, ROW_ID, SPLIT, TRAIN

#: Fold of rows that were not trained on: they see the labels of all training rows.
NO_FOLD = -1

Counts = Mapping[tuple[str, int], Mapping[str, int]]


def encodings(
    counts: Counts, labels: Sequence[str], folds: int, smoothing: float
) -> tuple[dict[int, list[float]], dict[tuple[str, int], list[float]]]:
    """Smoothed share of each label in each category, as seen from each fold. Pure Python.

    The share of label ``c`` in category ``v`` is ``(n_vc + m p_c) / (n_v + m)`` (Micci-Barreca 2001, SIGKDD
    Explorations 3) with ``p_c`` its share in all rows. All counts leave out the fold that asks: what a row
    gets is made from rows of other folds alone.

    Parameters
    ----------
    counts : mapping
        Of (category, fold) to the number of rows with each label.
    smoothing : float
        ``m``: rows of a category at which its own share weighs as much as the overall one.

    Returns
    -------
    dict, dict
        The overall shares by fold, and the shares by (category, fold); fold `NO_FOLD` leaves nothing out.
    """
    whole: dict[int, dict[str, int]] = {}
    of_value: dict[str, dict[int, Mapping[str, int]]] = {}
    for (value, fold), by_label in counts.items():
        of_value.setdefault(value, {})[fold] = by_label
        sums = whole.setdefault(fold, {})
        for label, n in by_label.items():
            sums[label] = sums.get(label, 0) + n

    def seen(parts: Mapping[int, Mapping[str, int]], fold: int) -> list[int]:
        others = [by_label for other, by_label in parts.items() if other != fold]
        return [sum(by_label.get(label, 0) for by_label in others) for label in labels]

    prior, found = {}, {}
    for fold in (NO_FOLD, *range(folds)):
        rows = seen(whole, fold)
        # Where the other folds hold no row at all, no label is likelier than another.
        prior[fold] = [one / sum(rows) if sum(rows) else 1 / len(labels) for one in rows]
        for value, parts in of_value.items():
            own = seen(parts, fold)
            total = sum(own) + smoothing
            found[value, fold] = [
                (k + smoothing * p) / total if total else p for k, p in zip(own, prior[fold], strict=True)
            ]
    return prior, found


class _TargetParams(HasInputCol, HasOutputCol, HasLabelCol):
    _input_kwargs: dict[str, Any]

    folds: Param[int] = Param(Params._dummy(), "folds", "parts of the training rows", TypeConverters.toInt)
    smoothing: Param[float] = Param(
        Params._dummy(), "smoothing", "rows at which a category weighs as much as all", TypeConverters.toFloat
    )
    maxCategories: Param[int] = Param(
        Params._dummy(), "maxCategories", "most frequent values that are encoded", TypeConverters.toInt
    )

    def _fold(self, dataset: DataFrame) -> Column:
        fold = F.pmod(
            F.xxhash64(F.lit("target encoding"), F.col(ROW_ID)), F.lit(self.getOrDefault(self.folds))
        )
        if SPLIT not in dataset.columns:
            return F.lit(NO_FOLD)
        return F.when(F.col(SPLIT) == TRAIN, fold.cast("int")).otherwise(F.lit(NO_FOLD))


class TargetEncoder(Estimator, _TargetParams, DefaultParamsReadable, DefaultParamsWritable):
    """Learns the spread of the label in each category.

    ``transform`` gives a training row (``split`` is ``train``) what the rows of the other folds say of its
    category, and any other row what all training rows say. A category that was never seen, or is null, gets
    the overall shares. Folds are drawn by a hash of ``row_id``.

    Parameters
    ----------
    inputCol, labelCol : str
        String columns; rows without a label are left out of the fit.
    outputCol : str
        ``array<double>``, one value a label (one in all where there are two labels): the share, less the
        overall share.
    folds : int, default 5
    smoothing : float, default 20.0
        See `encodings`.
    maxCategories : int, default 10000
        Rarer values get the overall shares.
    """

    @keyword_only
    def __init__(
        self, *, inputCol: str | None = None, outputCol: str | None = None, labelCol: str = LABEL,
        folds: int = 5, smoothing: float = 20.0, maxCategories: int = 10_000,
    ) -> None:  # fmt: skip
        super().__init__()
        self._setDefault(labelCol=LABEL, folds=5, smoothing=20.0, maxCategories=10_000)
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self, *, inputCol: str | None = None, outputCol: str | None = None, labelCol: str | None = None,
        folds: int | None = None, smoothing: float | None = None, maxCategories: int | None = None,
    ) -> TargetEncoder:  # fmt: skip
        """Set several Params at once; what is left out stays as it is."""
        return self._set(**self._input_kwargs)  # type: ignore[no-any-return]

    def _fit(self, dataset: DataFrame) -> TargetEncoderModel:
        value, label = F.col(f"`{self.getInputCol()}`"), F.col(f"`{self.getLabelCol()}`")
        # Whoever is fitted on is trained on, whether or not the table says so.
        there = dataset.withColumn(SPLIT, F.lit(TRAIN)).where(value.isNotNull() & label.isNotNull())
        grouped = (
            there.groupBy(value.alias("v"), self._fold(there).alias("f"), label.alias("l")).count().collect()
        )
        sizes: dict[str, int] = {}
        for row in grouped:
            sizes[row["v"]] = sizes.get(row["v"], 0) + row["count"]
        kept = sorted(sizes, key=lambda one: (-sizes[one], one))[: self.getOrDefault(self.maxCategories)]
        labels = sorted({row["l"] for row in grouped})
        counts: dict[tuple[str, int], dict[str, int]] = {}
        for row in grouped:
            if row["v"] in set(kept):
                counts.setdefault((row["v"], row["f"]), {})[row["l"]] = row["count"]
        prior, found = (
            encodings(counts, labels, self.getOrDefault(self.folds), self.getOrDefault(self.smoothing))
            if labels
            else ({}, {})
        )
        # Less the overall share as the same fold sees it: what a fold is told depends on no label of its own,
        # and a category that only this fold has gets zeros like one that was never seen. Of two shares one
        # says both.
        width = slice(1, 2) if len(labels) == 2 else slice(None)
        shares = [
            [value, fold, [one - p for one, p in zip(row, prior[fold], strict=True)][width]]
            for (value, fold), row in sorted(found.items())
        ]
        learnt = {"labels": labels[width], "shares": shares}
        model = TargetEncoderModel(statistics=json.dumps(learnt, ensure_ascii=False))
        return self._copyValues(model._resetUid(self.uid))


class TargetEncoderModel(Model, _TargetParams, DefaultParamsReadable, DefaultParamsWritable):
    """What `TargetEncoder` learnt, as one JSON Param; transforms lazily, by a join with a small table."""

    statistics: Param[str] = Param(
        Params._dummy(), "statistics", "labels, and shares by category and fold, as JSON",
        TypeConverters.toString,
    )  # fmt: skip

    @keyword_only
    def __init__(self, *, statistics: str = '{"labels": [], "shares": []}') -> None:
        super().__init__()
        self._setDefault(labelCol=LABEL, folds=5, smoothing=20.0, maxCategories=10_000)
        self._set(statistics=statistics)

    @property
    def featureNames(self) -> list[str]:
        """Name of each position."""
        labels = json.loads(self.getOrDefault(self.statistics))["labels"]
        return [f"{self.getInputCol()}: share of {label}" for label in labels]

    def _transform(self, dataset: DataFrame) -> DataFrame:
        learnt = json.loads(self.getOrDefault(self.statistics))
        value, fold, out = f"{self.uid}_value", f"{self.uid}_fold", self.getOutputCol()
        shares = dataset.sparkSession.createDataFrame(
            [tuple(row) for row in learnt["shares"]], f"`{value}` string, `{fold}` int, `{out}` array<double>"
        )
        marked = dataset.withColumn(fold, self._fold(dataset)).withColumn(
            value, F.col(f"`{self.getInputCol()}`")
        )
        joined = marked.join(F.broadcast(shares), [value, fold], "left").drop(value, fold)
        nothing = F.array_repeat(F.lit(0.0), len(learnt["labels"]))
        return joined.withColumn(out, F.coalesce(F.col(out), nothing))
