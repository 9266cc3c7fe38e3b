"""Stage collect: the rows that the run date picks, typed and checked."""

from __future__ import annotations

from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark import collect as collecting
from fusionspark import columns as c
from fusionspark import picks
from fusionspark.config import Config, Source
from fusionspark.contract.check import check_rows, check_schema, raise_where_broken
from fusionspark.errors import DataContractError
from fusionspark.pipeline import schema_drift
from fusionspark.pipeline.changes import changes
from fusionspark.pipeline.context import Context, earlier_runs
from fusionspark.pipeline.profile import profile
from fusionspark.tables import RunFolder, newest_run


def open_source(
    spark: SparkSession, config: Config, run_date: str, *, need_label: bool = True, keep: bool = False
) -> DataFrame:
    """What the run date picks of the source, opened and checked before any job on its rows.

    ``keep`` leaves the values that ``source.derive`` replaces beside them: quarantine holds a row as it was.
    """
    source, _ = picks.snapshot(spark, config.source, run_date)
    df = collecting.derive(collecting.open_as_is(spark, source), source, keep=keep)
    df = collecting.choose(df, source)

    def last_seen(name: str) -> str:
        newest = newest_run(spark, f"{config.output}/runs", config.table_format)
        schema = ((newest and newest.stage_facts("collect")) or {}).get("schema", {})
        return newest.run_date if newest and name in schema.get("columns", {}) else ""

    place = collecting.place_of(source)
    check_schema(df, config.contract, repr(place), label=None if need_label else config.columns.label)
    collecting.check_columns(df, config.columns, place, need_label=need_label, last_seen=last_seen)
    return picks.of_days(df, source, run_date)


def source_fingerprint(run: RunFolder, config: Config, source: DataFrame) -> str | None:
    """What the files look like that a run date picks; None where rows come from no files."""
    return run.files.fingerprint(picks.files_of_days(source.inputFiles(), config.source, run.run_date))


def collect(ctx: Context) -> dict[str, Any]:
    """Write the tables `collected` and `quarantine`."""
    run_date = ctx.run.run_date
    picked, snapshot = picks.snapshot(ctx.spark, ctx.config.source, run_date)
    config = ctx.config.model_copy(update={"source": picked})
    source = open_source(ctx.spark, config, run_date, need_label=not ctx.scoring, keep=True)
    fingerprint = source_fingerprint(ctx.run, config, source)
    # Two tables are written from one reading: a source that changes in between must not lose a row.
    source = source.persist()
    try:
        found = collecting.collect(
            source, config.columns, date_column=picked.date_column, contract=config.contract
        )
        try:
            held = check_rows(
                source,
                config.contract,
                run_date,
                key=collecting.row_key(config.columns) if config.columns.key else None,
                scoring=ctx.scoring,
            )
            shape = profile(source, config.columns)
        except (PySparkException, Py4JJavaError) as error:
            raise collecting.unreadable(config.source, error) from error
        rows_in = shape.pop("rows")
        if not rows_in:
            raise no_rows(ctx.spark, picked, run_date)
        raise_where_broken(held, repr(collecting.place_of(config.source)))
        schema = _drift(ctx, shape)
        rows = ctx.run.write_counted(found.rows, c.COLLECTED, rows=F.count("*"))[1]["rows"]
        # Where all rows came through, there is no need to look for those that did not.
        bad = found.quarantine if rows < rows_in else ctx.spark.createDataFrame([], c.QUARANTINE_DDL)
        quarantined = ctx.run.write_counted(bad, c.QUARANTINE, rows=F.count("*"))[1]["rows"]
    finally:
        source.unpersist()
    if rows_in != rows + quarantined:
        raise DataContractError(
            "row accounting",
            f"{rows_in} rows in, {rows} out, {quarantined} in quarantine; the source changed",
        )
    first, last = picks.days(picked, run_date)
    return {
        "rows": rows,
        "in": rows_in,
        "fingerprint": fingerprint,
        "changes": changes(ctx.run),
        "contract": [finding.to_dict() for finding in held],
        "schema": schema,
        "source": {
            "snapshot": snapshot,
            "first_day": first and first.isoformat(),
            "last_day": last and last.isoformat(),
        },
    }


def no_rows(spark: SparkSession, source: Source, run_date: str) -> DataContractError:
    """Say that a run date picks no rows, and which days near it have some."""
    of_days, checked = "", ["source.path", "source.where"]
    if source.date_column is not None:
        near = picks.nearest_days(collecting.read_source(spark, source), source, run_date)
        of_days = f" whose {source.date_column} is in the {source.days or 'days'} up to {run_date} ({near})"
        checked += ["source.days", "--run-date"]
    return DataContractError(
        f"source {collecting.place_of(source)!r}",
        f"has no rows{of_days}",
        allowed="at least one row",
        remedy=f"check {', '.join(checked[:-1])} and {checked[-1]}",
    )


def _drift(ctx: Context, shape: dict[str, Any]) -> dict[str, Any]:
    """The shape of the source, and how it differs from that of the run before; may stop the run."""
    before = None if ctx.scoring else next(earlier_runs(ctx.run), None)
    known = ((before and before.stage_facts("collect")) or {}).get("schema")
    drift = schema_drift.compare(known, shape, ctx.config.drift) if known else []
    schema = {**shape, "compared_with": before.run_date if before and known else None, "drift": drift}
    schema_drift.check(repr(collecting.place_of(ctx.config.source)), schema, ctx.config.drift)
    return schema
