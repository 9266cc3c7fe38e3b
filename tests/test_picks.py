"""What a run date picks: the snapshot, the days, and what is said where there is nothing to pick."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from fusionspark import picks
from fusionspark.collect import collect
from fusionspark.config import Columns, Source
from fusionspark.errors import ConfigError


def folders(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


@pytest.mark.parametrize(
    "template, there, dates",
    [
        ("{run_date}", "2026-01-29 2026-01-30 2026-02-01 x2026-01-31", "2026-01-31 2026-01-30"),
        ("day={run_date}/*.parquet", "day=2026-01-01", "2026-01-31 2026-01-01"),
        ("{run_date:%Y/%m/%d}", "2025/12/31 2026/01/02 2026/00/45", "2026-01-01 2025-12-31"),
        ("{run_date:%Y}/{run_date:%Y%m%d}", "2026/20260101 2025/20260102", "2026-02-01 2026-01-01"),
        ("v?/{run_date:%d.%m.%Y}", "v1/01.02.2026 v1/31.01.2026", "2026-02-02 2026-02-01"),
    ],
)  # fmt: skip
def test_the_snapshot_of_a_run_date(spark, tmp_path, template, there, dates):
    run_date, picked = dates.split()
    folders(tmp_path, "in", *there.split())
    source = Source(path=f"{tmp_path}/in/../{template}")
    found, day = picks.snapshot(spark, source, run_date)
    assert day == picked
    assert found.path == picks.fill(str(source.path), dt.date.fromisoformat(picked))


def test_of_several_paths_all_must_have_the_snapshot_and_a_plain_one_is_left_alone(spark, tmp_path):
    folders(tmp_path, "a/2026-01-01", "a/2026-01-02", "b/2026-01-01")
    source = Source(path=[f"{tmp_path}/a/{{run_date}}", f"{tmp_path}/b/{{run_date}}", "plain"])
    found, day = picks.snapshot(spark, source, "2026-01-31")
    assert (day, found.path) == (
        "2026-01-01",
        [f"{tmp_path}/a/2026-01-01", f"{tmp_path}/b/2026-01-01", "plain"],
    )
    plain = Source(path="plain/*.csv")
    assert picks.snapshot(spark, plain, "2026-01-31") == (plain, None)


def test_a_missing_snapshot_names_the_nearest_ones(spark, tmp_path):
    source = Source(path=f"{tmp_path}/{{run_date}}")
    with pytest.raises(ConfigError, match=r"at or before the run date 2026-01-31 \(there is none of"):
        picks.snapshot(spark, source, "2026-01-31")
    folders(tmp_path, "2026-01-28", "2026-01-29", "2026-02-03", "2026-02-04")
    with pytest.raises(ConfigError, match=r"before the run date 2026-01-01 \(the next is 2026-01-28\)"):
        picks.snapshot(spark, source, "2026-01-01")
    exact = source.model_copy(update={"snapshot": "exact"})
    with pytest.raises(
        ConfigError, match=r"of the run date .*last before it is 2026-01-29, the next is 2026-02-03"
    ):
        picks.snapshot(spark, exact, "2026-01-31")


@pytest.mark.parametrize(
    "kind, days, picked",
    [
        ("date", 1, "c"),
        ("timestamp", 2, "bc"),
        ("timestamp_ntz", 0, "abc"),
        ("string", 2, "bc"),
        ("int", 2, "bc"),
    ],
)
def test_the_days_of_a_run_date(spark, kind, days, picked):
    text = {"int": "regexp_replace(day, '-', '')"}.get(kind, "day")
    df = spark.sql(
        "SELECT * FROM VALUES ('a', '2026-01-01'), ('b', '2026-01-30'), ('c', '2026-01-31'), "
        "('d', '2026-02-01'), ('n', NULL) AS t(id, day)"
    ).selectExpr("id", f"cast({text} AS {kind}) AS day")
    found = picks.of_days(df, Source(date_column="day", days=days), "2026-01-31")
    assert "".join(sorted(row["id"] for row in found.collect())) == f"{picked}n"
    near = picks.nearest_days(df, Source(date_column="day"), "2026-01-15")
    assert near == "the last before it is 2026-01-01, the next is 2026-01-30"


def test_partitions_of_other_days_are_not_read(spark, tmp_path):
    path = str(tmp_path / "feed")
    rows = spark.range(4).selectExpr("id", "date_add(DATE'2026-01-30', cast(id AS int)) AS day")
    rows.write.partitionBy("day").parquet(path)
    source = Source(path=path, date_column="day", days=2)
    df = picks.of_days(spark.read.parquet(path), source, "2026-01-31")
    plan = df._jdf.queryExecution().executedPlan().toString()
    assert "PartitionFilters: [" in plan
    assert "cast" not in plan.partition("PartitionFilters: [")[2].partition("]")[0]
    assert df.count() == 2
    kept = picks.files_of_days(df.inputFiles(), source, "2026-01-31")
    assert {name.split("day=")[1][:10] for name in kept} == {"2026-01-30", "2026-01-31"}


def test_a_column_that_is_missing_or_no_date_is_named(spark):
    df = spark.sql("SELECT 1.5D AS day")
    with pytest.raises(ConfigError, match=r"no column 'dy', did you mean 'day'"):
        picks.of_days(df, Source(date_column="dy"), "2026-01-31")
    with pytest.raises(ConfigError, match=r"'day' is double"):
        picks.of_days(df, Source(date_column="day"), "2026-01-31")


def test_a_row_without_the_date_is_quarantined_not_lost(spark):
    df = spark.sql("SELECT * FROM VALUES ('a', 't', DATE'2026-01-31'), ('b', 't', NULL) AS t(id, text, day)")
    found = collect(df, Columns(key=["id"], text=["text"]), date_column="day")
    assert [row["row_id"] for row in found.rows.collect()] == ["a"]
    assert [(row["row_id"], row["reason"]) for row in found.quarantine.collect()] == [("b", "no date: day")]
