"""Whom an explanation asks, how hard, and about which rows."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config.report import Explain
from fusionspark.errors import ConfigError
from fusionspark.pipeline.explain.predictor import Predictor
from fusionspark.report.explain.chosen_rows import LEAD, choose_rows
from fusionspark.tables import RunFolder

#: Rows among which those to explain are chosen.
MOST_JUDGED = 20_000
#: Characters of a text that are parted into pieces (beyond them the language model has long stopped
#: reading), and those of a text and of a value that run.json keeps.
MAX_PARTED, MAX_TEXT, MAX_VALUE = 20_000, 2000, 60
#: Stands in place of a rule at a row that the user named.
NAMED = "named"


@dataclass(frozen=True)
class Asked:
    """Models, effort and seed."""

    run: RunFolder
    predictor: Predictor
    effort: Explain
    seed: int
    #: Texts that are encoded in a second, as far as that is known.
    rate: float | None = None

    def named_seed(self, name: str) -> int:
        """A seed for one use, by its name."""
        return zlib.crc32(f"{self.seed} explain {name}".encode())


@dataclass(frozen=True)
class Subject:
    """The rows of one explanation.

    Attributes
    ----------
    chosen : list of dict
        Rows that are explained, as run.json states them; what is found out is added to them.
    texts : dict
        Text of each chosen row, cut at `MAX_PARTED` characters; null where there is none.
    shuffled : list of (row_id, label, prediction)
        Labelled test rows for permutation importance.
    background : list of str
        Ids of training rows.
    """

    chosen: list[dict[str, Any]]
    texts: dict[str, str | None]
    shuffled: list[tuple[str, str, str]]
    background: list[str]

    @property
    def ids(self) -> list[str]:
        """Every row that is needed, once."""
        named = [one["row_id"] for one in self.chosen] + [one for one, _, _ in self.shuffled]
        return sorted({*named, *self.background})


def subject(asked: Asked, row: str | None, anomalies: Sequence[str]) -> Subject:
    """Choose the rows of an explanation, in an order that no layout changes.

    Raises
    ------
    ConfigError
        The row that was named is not among the predictions.
    """
    said = asked.run.read(c.PREDICTIONS).where(F.col(c.ALGORITHM) == asked.predictor.algorithm)
    ranked = F.sort_array(F.map_values(c.SCORES), asc=False)
    table = said.select(
        c.ROW_ID, c.SPLIT, c.LABEL, c.PREDICTION, c.SCORES, (ranked[0] - ranked[1]).alias(LEAD)
    )
    order = [F.xxhash64(F.lit(asked.seed), F.lit("explain"), F.col(c.ROW_ID)), F.col(c.ROW_ID)]
    train = table.where(F.col(c.SPLIT) == c.TRAIN).orderBy(*order).limit(asked.effort.background)
    background = [one[c.ROW_ID] for one in train.select(c.ROW_ID).collect()]
    shuffled: list[tuple[str, str, str]] = []
    if row is None:
        judged = table.where(F.col(c.SPLIT) == c.TEST).orderBy(*order).limit(MOST_JUDGED).toPandas()
        chosen = choose_rows(judged, asked.effort.rows, anomalies)
        labelled = judged[judged[c.LABEL].notna()].head(asked.effort.shuffled)
        named = labelled[[c.ROW_ID, c.LABEL, c.PREDICTION]].itertuples(index=False)
        shuffled = [(str(one[0]), str(one[1]), str(one[2])) for one in named]
    else:
        judged, chosen = table.where(F.col(c.ROW_ID) == row).toPandas(), [(NAMED, row)]
        if judged.empty:
            raise ConfigError(
                f"row {row!r}",
                f"is not among the predictions of {asked.run.path}",
                remedy="take row_id from the table `predictions`; quarantined rows have none",
            )
    by_id = judged.set_index(c.ROW_ID)
    values = _values(asked, [one for _, one in chosen])
    stated = [_stated(rule, one, by_id.loc[one], values[one]) for rule, one in chosen]
    return Subject(stated, {one: text for one, (text, _) in values.items()}, shuffled, background)


def _values(asked: Asked, ids: list[str]) -> dict[str, tuple[str | None, dict[str, str | None]]]:
    """Text and structured columns of the chosen rows."""
    prepared = asked.run.read(c.PREPARED)
    held = [n for names in asked.predictor.players.values() for n in names]
    shown = [n for n in held if n in prepared.columns and n not in c.RESERVED]
    columns = [F.col(f"`{n}`").cast("string").alias(f"v{i}") for i, n in enumerate(shown)]
    text = F.substring(c.CLEAN_TEXT, 1, MAX_PARTED).alias(c.CLEAN_TEXT)
    rows = prepared.where(F.col(c.ROW_ID).isin(ids)).select(c.ROW_ID, text, *columns).collect()
    return {
        one[c.ROW_ID]: (
            one[c.CLEAN_TEXT],
            {n: (one[f"v{i}"] or "")[:MAX_VALUE] or None for i, n in enumerate(shown)},
        )
        for one in rows
    }


def _stated(rule: str, row_id: str, said: Any, known: tuple[str | None, dict[str, Any]]) -> dict[str, Any]:
    """What is known of a row before anything is asked; its predicted label is what is explained."""
    label, answer, (text, values) = said[c.LABEL], str(said[c.PREDICTION]), known
    return {
        "row_id": row_id,
        "rule": rule,
        "label": None if pd.isna(label) else str(label),
        "prediction": answer,
        "score": float(dict(said[c.SCORES])[answer]),
        "text": None if text is None else text[:MAX_TEXT],
        "values": values,
    }


def held(asked: Asked, about: Subject) -> DataFrame:
    """The rows of an explanation with what the players need; the caller persists them."""
    return asked.predictor.held(asked.run, about.ids)
