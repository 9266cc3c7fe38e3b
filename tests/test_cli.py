"""The command as a user types it: what it prints, and the exit code it ends with."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fusionspark import cli

DATE = "2026-01-31"


def reviews(spark, folder: Path, rows: int = 40, bad: int = 0) -> str:
    made = [
        (f"r{i}", "the red cat sat" if i % 2 else "the blue dog ran", float(i), "good" if i % 2 else "bad")
        for i in range(rows)
    ]
    made += [(None, "no key", 1.0, "good")] * bad
    df = spark.createDataFrame(made, "id string, text string, n double, mood string")
    df.write.mode("overwrite").parquet(str(folder))
    return str(folder)


@pytest.fixture(scope="module")
def source(spark, tmp_path_factory) -> str:
    return reviews(spark, tmp_path_factory.mktemp("cli") / "in")


def conf_file(folder: Path, source: str, model: Path | str = "no-model", **columns) -> Path:
    data = {
        "title": "Moods",
        "output": str(folder / "out"),
        "source": {"path": source},
        "columns": {"key": "id", "text": "text", "numeric": "n", "label": "mood", **columns},
        "represent": {"model": str(model)},
        "mine": {
            "partitions": 1,
            "classify": {"algorithms": ["logistic_regression"], "max_iter": 5},
            "cluster": {"k": 2, "max_iter": 3},
        },
    }
    path = folder / "moods.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


@pytest.fixture
def command(capsys):
    """Run the command; return its exit code, standard output and standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def schema_only(spark, request):
    """Fail the test where its command started Spark jobs besides the one that reads a Parquet footer."""
    group = request.node.name
    spark.sparkContext.setJobGroup(group, "a command that must stop before any job of its own")
    yield
    started = spark.sparkContext.statusTracker().getJobIdsForGroup(group)
    spark.sparkContext._jsc.clearJobGroup()
    assert len(started) <= 1


def test_no_command_shows_the_help_and_an_unknown_one_is_refused(command):
    assert "check" in command("--help")[1]
    code, _, said = command("runn", "x.yaml")
    assert code == 2
    assert "runn" in said
    code, _, said = command("run")
    assert code == 2
    assert "CONF" in said


def test_unknown_key_is_named_with_its_file_and_the_nearest(command, tmp_path):
    conf = tmp_path / "c.yaml"
    conf.write_text("columns: {txt: review}\n", encoding="utf-8")
    for verb in ("run", "score", "check"):
        code, out, said = command(verb, conf)
        assert (code, out) == (2, "")
        assert "columns.txt" in said
        assert str(conf) in said
        assert "did you mean" in said
        assert "Traceback" not in said


def test_override_that_is_no_pair_or_of_the_wrong_type(command, tmp_path):
    conf = conf_file(tmp_path, "somewhere")
    code, _, said = command("check", conf, "--set", "mine.cluster.k")
    assert code == 2
    assert "mine.cluster.k" in said
    code, _, said = command("check", conf, "--set", "mine.cluster.k=many")
    assert code == 2
    assert "many" in said
    assert "--set" in said


@pytest.mark.usefixtures("schema_only")
@pytest.mark.parametrize(
    "columns, parts",
    [
        ({"text": "txet"}, ["'txet'", "did you mean 'text'"]),
        ({"text": "n", "numeric": []}, ["column 'n'", "is double"]),
    ],
    ids=["missing", "of another type"],
)
def test_an_unusable_column_stops_before_any_job(command, tmp_path, source, columns, parts):
    code, out, said = command("run", conf_file(tmp_path, source, **columns))
    assert (code, out) == (2, "")
    assert [part for part in (source, *parts) if part not in said] == []
    assert not (tmp_path / "out").exists()


def test_missing_source_and_missing_configuration(command, tmp_path):
    code, _, said = command("run", conf_file(tmp_path, str(tmp_path / "nowhere")))
    assert code == 2
    assert "nowhere" in said
    code, _, said = command("run", tmp_path / "none.yaml")
    assert code == 2
    assert "none.yaml" in said


def test_wrong_date_and_unknown_stage(command, tmp_path, source):
    conf = conf_file(tmp_path, source)
    code, _, said = command("run", conf, "--run-date", "31.1.2026")
    assert code == 2
    assert "31.1.2026" in said
    assert "YYYY-MM-DD" in said
    code, _, said = command("run", conf, "--from", "represnt")
    assert code == 2
    assert "represent" in said


@pytest.mark.usefixtures("schema_only")
def test_check_prints_the_configuration_the_source_and_the_plan_and_runs_nothing(command, tmp_path, source):
    code, out, _ = command("check", conf_file(tmp_path, source), "--set", "mine.cluster.k=3")
    assert code == 0
    assert "k: 3" in out
    for part in ("key", "text", "numeric", "label"):
        assert part in out
    assert "kmeans with k = 3" in out
    assert not (tmp_path / "out").exists()


def test_broken_contract_ends_with_3(command, tmp_path, source):
    code, _, said = command("run", conf_file(tmp_path, source), "--set", "source.where=n > 1000")
    assert code == 3
    assert "has no rows" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_too_many_bad_rows_end_with_4(spark, command, tmp_path, tiny_bert):
    bad = reviews(spark, tmp_path / "in", bad=20)
    code, _, said = command("run", conf_file(tmp_path, bad, tiny_bert), "--run-date", DATE)
    assert code == 4
    assert "20 of 60 rows" in said
    assert "Traceback" not in said


def test_an_unexpected_error_is_said_in_a_sentence_before_its_trace(command, tmp_path, source, monkeypatch):
    def broken(*_, **__):
        raise KeyError("surprise")

    monkeypatch.setattr("fusionspark.pipeline.run", broken)
    code, _, said = command("run", conf_file(tmp_path, source))
    assert code == 1
    assert said.startswith("error: KeyError: 'surprise'")


@pytest.mark.slow
@pytest.mark.smoke
def test_run_report_and_score_end_to_end(spark, command, tmp_path, tiny_bert):
    """Odd texts pass through: a megabyte of words, white space only, none, hostile markup."""
    path = reviews(spark, tmp_path / "in")
    odd = [
        ("huge", "the red cat sat " * 65536, 1.0, "good"),
        ("blank", " \t\n ", 2.0, "good"),
        ("none", None, 3.0, "bad"),
        ("markup", "<script>alert('x')</script> &amp; \u202etac", float("nan"), "bad"),
    ]
    schema = "id string, text string, n double, mood string"
    spark.createDataFrame(odd, schema).write.mode("append").parquet(path)
    conf = conf_file(tmp_path, path, tiny_bert)
    code, out, said = command("run", conf, "--run-date", DATE)
    assert code == 0, said
    assert "44 in = 44 out + 0 quarantined" in out, "NaN counts as missing"
    run = tmp_path / "out/runs" / DATE
    assert str(run / "report.html") in out
    assert str(run / "run.json") in out
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["represent"]["truncated"] == 1
    tables = run / manifest["tables"]
    vectors = {row["row_id"]: row for row in spark.read.parquet(str(tables / "embeddings")).collect()}
    assert vectors["blank"]["status"] == vectors["none"]["status"] == "empty"
    assert vectors["huge"]["truncated"]

    page = run / "report.html"
    page.unlink()
    code, out, _ = command("report", run)
    assert code == 0
    assert out.strip() == str(page)
    assert "<script>alert" not in page.read_text(encoding="utf-8")

    for row, expected in (("none", "blocks and columns"), ("huge", "words (")):
        code, out, said = command("explain", conf, "--row", row, "--samples", "16")
        assert code == 0, said
        assert f"row {row} of {DATE}: logistic_regression says" in out and expected in out
    assert command("explain", conf, "--row", "gone")[0] == 2

    code, out, said = command("score", conf, "--run-date", str(dt.date(2026, 2, 1)))
    assert code == 0, said
    assert str(tmp_path / "out/scores/2026-02-01/run.json") in out


def test_report_of_no_run_is_refused(command, tmp_path):
    code, _, said = command("report", tmp_path)
    assert code == 2
    assert "run.json" in said


def test_store_verbs_on_an_empty_store_and_a_digest_that_no_model_has(spark, command, tmp_path, source):
    conf = conf_file(tmp_path, source)
    code, said, _ = command("store", "stats", conf)
    assert code == 0
    assert said == f"0 spaces in {tmp_path}/out/store\n"
    assert command("store", "verify", conf)[0] == 0
    assert command("store", "compact", conf)[0] == 0
    code, _, error = command("store", "drop", "--model", "ff", conf)
    assert code == 2
    assert "none, the store is empty" in error


def test_a_broken_contract_ends_with_3_before_anything_is_written(command, source, tmp_path):
    conf = conf_file(tmp_path, source)
    rules = "contract={columns: {mood: {allowed: [good]}, n: {max: 30}}, rows: {min: 41}}"
    code, _, said = command("run", conf, "--run-date", DATE, "--set", rules)
    assert code == 3
    words = " ".join(said.split())
    assert "20 of 40 rows (50.00%)" in words
    assert "bad (row r0)" in words
    assert "9 of 40 rows (22.50%)" in words
    assert "41 to any number" in words
    assert not list((tmp_path / "out").rglob("collected")), "nothing was written"


@pytest.mark.slow
def test_plan_as_json_and_above_the_budget(command, tmp_path, source, tiny_bert):
    conf = conf_file(tmp_path, source, tiny_bert)
    code, said, _ = command("plan", conf, "--run-date", DATE, "--json")
    assert code == 0
    told = json.loads(said)
    assert (told["run_date"], told["rows"], told["to_encode"]) == (DATE, 40, told["distinct"])
    assert told == json.loads((tmp_path / "out" / "plan.json").read_text())
    code, said, error = command("plan", conf, "--run-date", DATE, "--set", "plan.budget_seconds=0")
    assert code == 2
    assert "plan.budget_seconds = 0" in " ".join(error.split())
    assert not (tmp_path / "out" / "runs").exists()


def test_the_package_itself_is_the_command(tmp_path):
    command = [sys.executable, "-m", "fusionspark", "check", str(tmp_path / "none.yaml")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2 and "none.yaml" in found.stderr
