"""Anomalies, as a part of the stage mine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.mine.anomalies.model import AnomalyModel
from fusionspark.mine.anomalies.saving import from_json, to_json
from fusionspark.mine.anomalies.words import reasons
from fusionspark.mine.arrow_columns import as_columns, collect_arrow
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.row_view import RowView

#: File of the model, below the run's models.
MODEL = "anomalies/model.json"


def anomalies(ctx: Context, view: RowView) -> dict[str, Any] | None:
    """Write the table `anomalies`, one row each; None where they are turned off or nothing was trained.

    The detectors learn from rows of the split train only. A run that applies the models of another applies
    its detectors, too, so that one row has one score whichever night it is.
    """
    settings = ctx.config.mine.anomalies
    if not settings.enabled:
        return None
    started = time.monotonic()
    if ctx.kept is None:
        model = _fit(ctx, view)
        ctx.run.files.write_text(ctx.run.model_path(MODEL), to_json(model))
    else:
        text = ctx.kept.files.read_text_if_there(ctx.kept.model_path(MODEL))
        # The other run may be of a version that knew no anomalies.
        if text is None:
            return None
        model = from_json(text)
    learnt = time.monotonic()
    ctx.run.write(score(view, model, settings.share, ctx.config.report.language), c.ANOMALIES)
    done = time.monotonic()
    return {
        "share": settings.share,
        "detectors": list(model.known),
        "trained_rows": len(model.joint),
        "seconds": round(done - started, 3),
        "seconds_score": round(done - learnt, 3),
    }


def score(view: RowView, model: AnomalyModel, share: float, language: str) -> DataFrame:
    """Score of each row, its parts and, where it is flagged, the reasons (`columns.ANOMALIES_DDL`); lazy.

    The reasons are in the language of the page.
    """
    parts = _parts(view)

    def judge(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            if batch.num_rows:
                yield _judged(batch, _columns(batch, parts), model, share, language)

    return _selected(view.rows, view).mapInArrow(judge, c.ANOMALIES_DDL)  # type: ignore[arg-type]


def _fit(ctx: Context, view: RowView) -> AnomalyModel:
    settings = ctx.config.mine.anomalies
    train = view.rows.where(F.col(c.SPLIT) == c.TRAIN)
    rows = train.count()
    wanted = view.sample("anomalies", rows, settings.sample).where(F.col(c.SPLIT) == c.TRAIN)
    # The order of the rows decides which of them a tree draws.
    table = collect_arrow(_selected(wanted, view)).sort_by(c.ROW_ID)
    return AnomalyModel.fit(
        _columns(table, _parts(view)),
        numeric=view.numeric,
        categorical=view.categorical,
        trees=settings.trees,
        least_peers=settings.min_peers,
        seed=ctx.config.seed,
    )


def _parts(view: RowView) -> tuple[list[str], list[str], bool]:
    return list(view.numeric), list(view.categorical), view.has_text


def _selected(rows: DataFrame, view: RowView) -> DataFrame:
    structured = [f"`{name}`" for name in [*view.numeric, *view.categorical]]
    text = [c.EMBEDDING] if view.has_text else []
    return rows.select(c.ROW_ID, c.CLUSTER, c.DISTANCE, c.CONTENT_HASH, *structured, *text)


def _columns(batch: Any, parts: tuple[list[str], list[str], bool]) -> dict[str, Any]:
    """The columns of rows as `AnomalyModel` names them."""
    numeric, categorical, has_text = parts
    found = as_columns(
        batch,
        numbers=[*numeric, c.DISTANCE],
        values=categorical,
        vectors=c.EMBEDDING if has_text else None,
    )
    vectors = found.pop(c.EMBEDDING, np.zeros((batch.num_rows, 0)))
    ids = batch.column(c.CONTENT_HASH).to_numpy(zero_copy_only=False)
    cluster = batch.column(c.CLUSTER).to_numpy(zero_copy_only=False)
    return {**found, "id": ids, "cluster": cluster, "vectors": vectors}


def _judged(batch: Any, columns: dict[str, Any], model: AnomalyModel, share: float, language: str) -> Any:
    import pyarrow as pa

    scored = model.score(columns)
    flagged = scored.p <= share
    parts = [
        [(name, float(p[i])) for name, p in scored.parts.items() if not np.isnan(p[i])]
        for i in range(batch.num_rows)
    ]
    told = [reasons(model, columns, scored, i, language) if flagged[i] else [] for i in range(batch.num_rows)]
    return pa.RecordBatch.from_arrays(
        [
            batch.column(c.ROW_ID),
            pa.array(1.0 - scored.p),
            pa.array(flagged),
            pa.array(parts, pa.map_(pa.string(), pa.float64())),
            pa.array(told, pa.list_(pa.string())),
        ],
        names=[c.ROW_ID, "score", "flagged", "parts", "reasons"],
    )
