"""Questions to a model about rows that never were, all of one kind in one Spark job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.pipeline.explain.predictor import Predictor

#: Texts that one task encodes: fewer would not be worth loading the language model.
TEXTS_A_TASK = 100
_BASE, _DONOR, _MASK = "__base", "__donor", "__mask"


@dataclass(frozen=True)
class Answers:
    """What the model said to each question: the label, and the score of every label in order."""

    predictions: list[str]
    scores: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mixed:
    """A row that has the players of ``mask`` from the row ``base`` and all others from the row ``donor``."""

    base: str
    donor: str
    mask: Sequence[bool]


@dataclass(frozen=True)
class Reworded:
    """A row with another text; None is no text at all."""

    base: str
    text: str | None


def ask_mixed(predictor: Predictor, held: DataFrame, questions: Sequence[Mixed]) -> Answers:
    """Ask about mixed rows: no text is encoded, every block is taken as it was stored."""
    return _collect(predictor, mixed_rows(predictor, held, questions))


def mixed_rows(predictor: Predictor, held: DataFrame, questions: Sequence[Mixed]) -> DataFrame:
    """Return the mixed rows, one a question, with its number in the column ``split``; lazy.

    A row keeps the ``row_id`` of its base, by which some fusion methods choose among their models.
    """
    plan = held.sparkSession.createDataFrame(
        pd.DataFrame(
            {
                c.SPLIT: _numbers(len(questions)),
                _BASE: [q.base for q in questions],
                _DONOR: [q.donor for q in questions],
                _MASK: [[bool(known) for known in q.mask] for q in questions],
            }
        ),
        f"{c.SPLIT} string, {_BASE} string, {_DONOR} string, {_MASK} array<boolean>",
    )
    of_base, of_donor = (F.broadcast(_renamed(held, side)) for side in (_BASE, _DONOR))
    joined = plan.join(of_base, _BASE).join(of_donor, _DONOR)

    def chosen(place: int, name: str) -> Column:
        column = F.when(F.col(_MASK)[place], F.col(f"`{_BASE}{name}`"))
        return column.otherwise(F.col(f"`{_DONOR}{name}`")).alias(name)

    return joined.select(
        c.SPLIT,
        F.col(_BASE).alias(c.ROW_ID),
        *[F.col(f"`{_BASE}{name}`").alias(name) for name in predictor.kept],
        F.lit(None).cast("string").alias(c.LABEL),
        *[chosen(i, name) for i, names in enumerate(predictor.players.values()) for name in names],
    )


def ask_texts(predictor: Predictor, held: DataFrame, questions: Sequence[Reworded]) -> Answers:
    """Ask about rows with other texts: each is cleaned, embedded, fused and classified as in a run."""
    spark = held.sparkSession
    plan = spark.createDataFrame(
        pd.DataFrame(
            {
                c.SPLIT: _numbers(len(questions)),
                _BASE: [q.base for q in questions],
                c.TEXT: [q.text for q in questions],
            }
        ),
        f"{c.SPLIT} string, {_BASE} string, {c.TEXT} string",
    )
    # Through the driver: in one stage with the cleaning, every worker of that would load the language model.
    lazy = predictor.cleaned(plan)
    cleaned = spark.createDataFrame(lazy.collect(), lazy.schema)
    # Laid out by number alone: which texts share a batch must not depend on the cluster.
    tasks = -(-len(questions) // TEXTS_A_TASK)
    spread = cleaned.repartition(tasks, c.SPLIT).sortWithinPartitions(c.SPLIT)
    embedded = predictor.embedded(spread)
    made = {*embedded.columns, c.SPLIT, c.LABEL}
    kept = held.select(
        F.col(c.ROW_ID).alias(_BASE), *[F.col(f"`{n}`") for n in held.columns if n not in made]
    )
    return _collect(
        predictor, embedded.join(F.broadcast(kept), _BASE).withColumn(c.LABEL, F.lit(None).cast("string"))
    )


def _numbers(count: int) -> list[str]:
    return [f"{i:08d}" for i in range(count)]


def _renamed(held: DataFrame, side: str) -> DataFrame:
    others = [n for n in held.columns if n not in (c.ROW_ID, c.SPLIT, c.LABEL, c.CLEAN_TEXT)]
    return held.select(F.col(c.ROW_ID).alias(side), *[F.col(f"`{n}`").alias(f"{side}{n}") for n in others])


def _collect(predictor: Predictor, rows: DataFrame) -> Answers:
    labels = predictor.labels
    scores = F.array(*[F.col(c.SCORES)[label] for label in labels]).alias(c.SCORES)
    found = predictor.scores(rows).select(c.SPLIT, c.PREDICTION, scores).toPandas().sort_values(c.SPLIT)
    matrix = np.array(found[c.SCORES].tolist(), dtype=np.float64).reshape(len(found), len(labels))
    return Answers([str(label) for label in found[c.PREDICTION]], matrix)
