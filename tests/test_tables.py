import pytest

from fusionspark.errors import ConfigError
from fusionspark.tables import Files, RunFolder, newest_run, ordered_for_fit

pytestmark = pytest.mark.smoke


def test_text_files_round_trip_and_replace(spark, tmp_path):
    files, path = Files(spark), str(tmp_path / "a" / "b.json")
    assert not files.exists(path)
    files.write_text(path, "一")
    files.write_text(path, "二\n")
    assert files.read_text(path) == "二\n"
    assert files.names(str(tmp_path / "a")) == [".b.json.crc", "b.json"] or files.names(
        str(tmp_path / "a")
    ) == ["b.json"]
    files.delete(str(tmp_path / "a"))
    files.delete(str(tmp_path / "a"))
    assert files.names(str(tmp_path / "a")) == []


def test_a_run_is_seen_only_with_its_manifest_and_the_newest_wins(spark, tmp_path):
    root = str(tmp_path / "runs")
    assert newest_run(spark, root) is None
    for date in ("2026-01-01", "2026-01-02", "2026-01-03"):
        RunFolder(spark, root, date).mark_stage("collect", {"rows": 1})
    for date in ("2026-01-01", "2026-01-02"):
        RunFolder(spark, root, date).publish({"run_date": date})
    assert newest_run(spark, root).manifest() == {"run_date": "2026-01-02"}
    RunFolder(spark, root, "2026-01-02").unpublish()
    assert newest_run(spark, root).run_date == "2026-01-01"


def test_tables_and_stage_markers(spark, tmp_path):
    run = RunFolder(spark, str(tmp_path), "2026-01-01")
    with pytest.raises(ConfigError, match="table 'collected'"):
        run.read("collected")
    assert run.write(spark.range(3), "collected").count() == 3
    assert run.stage_facts("collect") is None
    run.mark_stage("collect", {"rows": 3})
    assert run.stage_facts("collect") == {"rows": 3}
    run.forget_stage("collect")
    assert run.stage_facts("collect") is None


@pytest.mark.parametrize("partitions", [1, 2, 5, 7])
def test_layout_for_a_fit_does_not_depend_on_the_input_layout(spark, partitions):
    df = spark.range(100).selectExpr("cast(id as string) row_id").repartition(partitions)
    layout = ordered_for_fit(df, 3).selectExpr("spark_partition_id() p", "row_id").collect()
    expected = ordered_for_fit(df.coalesce(1), 3).selectExpr("spark_partition_id() p", "row_id").collect()
    assert layout == expected
    assert {r["p"] for r in layout} == {0, 1, 2}
