"""Each mined row with all that is known of it: columns, words, vector, cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config import Config
from fusionspark.pipeline.context import Context


@dataclass(frozen=True)
class RowView:
    """The rows, kept while they are used, and which of their columns plays which part."""

    rows: DataFrame
    numeric: list[str]
    categorical: list[str]
    label: list[str]
    has_text: bool

    def sample(self, purpose: str, rows: int, most: int) -> DataFrame:
        """About ``most`` of ``rows`` rows, by a hash of ``row_id``; all of them where there are no more."""
        if rows <= most:
            return self.rows
        draw = F.pmod(F.xxhash64(F.lit(purpose), c.ROW_ID), F.lit(1_000_000))
        return self.rows.where(draw < F.lit(int(1_000_000 * most / rows)))


@contextmanager
def row_view(ctx: Context) -> Iterator[RowView]:
    """Join the tables of the run so far, for as long as the block lasts."""
    config: Config = ctx.config
    columns = config.columns
    structured = [F.col(f"`{name}`") for name in [*columns.numeric, *columns.categorical]]
    # Under the name that the user knows it by.
    label = [F.col(c.LABEL).alias(columns.label)] if columns.label else []
    content = F.xxhash64(c.ROW_ID, c.CLEAN_TEXT, *structured)
    prepared = ctx.run.read(c.PREPARED).select(
        c.ROW_ID, c.SPLIT, c.TOKENS, content.alias(c.CONTENT_HASH), *label, *structured
    )
    rows = ctx.run.read(c.CLUSTERS).select(c.ROW_ID, c.CLUSTER, c.DISTANCE).join(prepared, c.ROW_ID)
    if columns.text:
        vectors = ctx.run.read(c.EMBEDDINGS).select(c.ROW_ID, c.EMBEDDING)
        rows = rows.join(vectors, c.ROW_ID, "left")
    rows = rows.persist()
    try:
        yield RowView(
            rows,
            list(columns.numeric),
            list(columns.categorical),
            [columns.label] if columns.label else [],
            bool(columns.text),
        )
    finally:
        rows.unpersist()
