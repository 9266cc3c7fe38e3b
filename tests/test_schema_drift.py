"""The shape of the source from night to night."""

from __future__ import annotations

import pytest

from fusionspark.config import Columns, Config, Drift
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.pipeline.profile import MOST_CATEGORIES, profile
from fusionspark.pipeline.schema_drift import check, compare


def shape(**columns) -> dict:
    return {
        "columns": {name: {"type": "string", "null_share": 0.0, **facts} for name, facts in columns.items()}
    }


def says(before: dict, now: dict, **limits) -> list[str]:
    return [finding["says"] for finding in compare(before, now, Drift(**limits))]


def test_each_kind_of_change_is_named_and_equal_shapes_are_silent():
    before = shape(a={}, n={"type": "int"}, k={"categories": {"x": 0.5, "y": 0.5}, "whole": True})
    assert says(before, before) == []
    now = shape(
        b={"type": "date"}, n={"null_share": 0.25}, k={"categories": {"x": 0.9, "z": 0.1}, "whole": True}
    )
    assert says(before, now) == [
        "column 'a' (string) is gone",
        "column 'b' (date) is new",
        "column 'n' was int and is string",
        "missing values of 'n' went from 0.0% to 25.0%",
        "the share of 'x' in 'k' went from 50.0% to 90.0%",
        "the share of 'y' in 'k' went from 50.0% to 0.0%",
    ]
    assert len(says(before, now, null_share=0.25, category_share=0.4)) == 4


def test_a_category_outside_a_cut_list_makes_no_false_alarm():
    before = shape(k={"categories": {"x": 0.3, "y": 0.15}, "whole": False})
    now = shape(k={"categories": {"x": 0.3, "z": 0.2}, "whole": False})
    assert says(before, now) == [], "z may have had up to 15%, y may still have up to 20%"
    now = shape(k={"categories": {"x": 0.3, "z": 0.3}, "whole": False})
    assert says(before, now) == ["the share of 'z' in 'k' went from 15.0% to 30.0%"]


def test_the_contract_stops_with_each_finding():
    drift = compare(shape(a={}, b={}), shape(b={"null_share": 0.5}), Drift())
    schema = {"compared_with": "2026-01-30", "drift": drift}
    check("x", schema, Drift(action="report"))
    check("x", {**schema, "drift": []}, Drift(action="stop"))
    with pytest.raises(DataContractError) as caught:
        check("x", schema, Drift(action="stop"))
    assert caught.value.exit_code == 3
    for part in ("2026-01-30", "'a' (string) is gone", "0.0% to 50.0%", "drift.null_share = 0.1"):
        assert part in str(caught.value)


def test_profile_by_hand(spark):
    rows = [
        ("a", " x ", 1.0, None),
        (None, "x", float("nan"), None),
        ("  ", "y", None, None),
        ("b", "", 4.0, None),
    ]
    df = spark.createDataFrame(rows, "t string, k string, n double, `odd.name` int")
    columns = Columns(text=["t"], numeric=["n"], categorical=["k"])
    assert profile(df.repartition(3), columns) == {
        "rows": 4,
        "columns": {
            "t": {"type": "string", "null_share": 0.5},
            "k": {"type": "string", "null_share": 0.25, "categories": {"x": 0.5, "y": 0.25}, "whole": True},
            "n": {"type": "double", "null_share": 0.5},
            "odd.name": {"type": "int", "null_share": 1.0},
        },
    }
    empty = profile(df.limit(0), columns)
    assert empty["rows"] == 0
    assert empty["columns"]["k"] == {"type": "string", "null_share": 0.0, "categories": {}, "whole": True}
    many = spark.createDataFrame([(f"{i:02}",) for i in range(30)], "k string")
    found = profile(many, Columns(categorical=["k"]))["columns"]["k"]
    assert (len(found["categories"]), found["whole"]) == (MOST_CATEGORIES, False)


@pytest.mark.slow
def test_a_night_whose_source_changed_is_reported_or_stopped_before_anything_is_written(
    spark, tmp_path, tiny_bert
):
    from test_pipeline import reviews, settings

    from fusionspark import pipeline
    from fusionspark.tables import RunFolder

    source = reviews(spark, tmp_path / "in")
    first = settings(source, tmp_path / "out", tiny_bert)
    runs = f"{first.output}/runs"

    def collect(config: Config, date: str) -> dict:
        pipeline.run(spark, config, date, last="collect", say=lambda line: None)
        return RunFolder(spark, runs, date).stage_facts("collect")["schema"]

    schema = collect(first, "2026-01-01")
    assert (schema["compared_with"], schema["drift"]) == (None, [])
    assert schema["columns"]["mood"]["categories"] == {"bad": 0.5, "good": 0.5}
    RunFolder(spark, runs, "2026-01-01").publish({})

    changed, gone = str(tmp_path / "changed"), str(tmp_path / "gone")
    rows = spark.read.parquet(source)
    rows.selectExpr("id", "text", "n", "'x' AS k", "day", "mood", "1 AS extra").write.parquet(changed)
    rows.drop("n").write.parquet(gone)

    def other(action: str) -> Config:
        return settings(changed, tmp_path / "out", tiny_bert, drift={"action": action})

    with pytest.raises(DataContractError, match=r"'x' in 'k' went from 33\.3% to 100\.0%.*'extra' .* is new"):
        collect(other("stop"), "2026-01-02")
    stopped = RunFolder(spark, runs, "2026-01-02")
    assert not stopped.files.exists(stopped.table_path("collected"))
    schema = collect(other("report"), "2026-01-02")
    assert schema["compared_with"] == "2026-01-01"
    assert {finding["kind"] for finding in schema["drift"]} == {"new", "category_share"}
    with pytest.raises(ConfigError, match=r"no column 'n'.*; it was there in the run of 2026-01-01"):
        collect(settings(gone, tmp_path / "out", tiny_bert), "2026-01-03")
