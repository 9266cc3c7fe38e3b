import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from fusionspark.errors import ConfigError
from fusionspark.files import Files
from fusionspark.tables import RunFolder, fit_partitions, newest_run, ordered_for_fit, published_runs

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
    assert newest_run(spark, root).manifest() == {"run_date": "2026-01-02", "tables": "attempts/1"}
    assert newest_run(spark, root, before="2026-01-02").run_date == "2026-01-01"
    assert [run.run_date for run in published_runs(spark, root)] == ["2026-01-01", "2026-01-02"]
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


@pytest.mark.parametrize(
    ("setting", "rows", "parts"), [(0, 0, 2), (0, 100_000, 2), (0, 100_001, 3), (7, 100, 7), (1, 10**9, 1)]
)
def test_parts_of_a_fit_follow_the_table_and_never_the_cluster(setting, rows, parts):
    assert fit_partitions(setting, rows) == parts


def test_only_one_of_many_creates_a_file(spark, tmp_path):
    files, path = Files(spark), str(tmp_path / "a" / "lock")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: files.create(path, str(i)), range(8)))
    assert sum(made) == 1
    assert files.read_text(path) == str(made.index(True))
    assert files.read_text_if_there(f"{path}2") is None


def test_a_fingerprint_tells_files_apart_by_path_length_and_time(spark, tmp_path):
    files = Files(spark)
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("x")
    os.utime(one, (1, 1))
    os.utime(two, (1, 1))
    assert files.fingerprint([]) is None
    first = files.fingerprint([str(one), str(two)])
    assert first == files.fingerprint([str(two), str(one)]) != files.fingerprint([str(one)])
    os.utime(two, (2, 2))
    assert files.fingerprint([str(one), str(two)]) != first


def test_what_is_published_stays_until_the_manifest_of_another_attempt_replaces_it(spark, tmp_path):
    home = RunFolder(spark, str(tmp_path), "2026-01-01")
    first = home.new_attempt()
    first.write(spark.range(3), "collected")
    assert home.read("collected").count() == 3, "an attempt that is not published can be looked at"
    assert first.publish({}, {"report.html": "one"}) == {"tables": "attempts/1"}
    second = home.new_attempt()
    assert second.attempt == "attempts/2"
    second.write(spark.range(5), "collected")
    assert home.read("collected").count() == 3
    second.publish({}, {"report.html": "two"})
    assert home.read("collected").count() == 5
    assert first.read("collected").count() == 3, "held to its attempt"
    assert (tmp_path / "2026-01-01/report.html").read_text() == "two"


def test_runs_from_before_there_were_attempts_can_be_read(spark, tmp_path):
    run = RunFolder(spark, str(tmp_path), "2026-01-01")
    spark.range(4).write.parquet(f"{run.path}/collected")
    run.files.write_text(f"{run.path}/run.json", "{}")
    assert newest_run(spark, str(tmp_path)).read("collected").count() == 4
