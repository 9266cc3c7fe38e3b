"""Whatever stops a run: the published one stays readable, and the same command ends in the same tables."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_bert import make_bert_failing_on

from fusionspark import columns as c
from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.errors import OutOfSpaceError, QuarantineLimitError, RunLockedError
from fusionspark.pipeline import rooms, run_lock
from fusionspark.tables import RunFolder, newest_run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import compare_runs

DATE = "2026-01-31"

pytestmark = pytest.mark.slow


class Stopped(BaseException):
    """Stands for the end of the process: nothing may catch it."""


def feed(spark, path: Path, rows: int = 40) -> None:
    texts = ("the blue dog ran over a hill", "the red cat sat on a mat")
    made = [(f"r{i:03}", texts[i % 2], float(i), ("bad", "good")[i % 2]) for i in range(rows)]
    made.append((None, "no key", 1.0, "good"))
    spark.createDataFrame(made, "id string, text string, n double, mood string").write.mode(
        "overwrite"
    ).parquet(str(path))


def settings(folder: Path, source: Path, model: Path, **changes) -> dict:
    return {
        "output": str(folder),
        "source": {"path": str(source)},
        "columns": {"key": "id", "text": "text", "numeric": "n", "label": "mood"},
        "represent": {"model": str(model)},
        "mine": {
            "partitions": 1,
            "classify": {"algorithms": ["logistic_regression"], "max_iter": 5},
            "cluster": {"k": 2, "max_iter": 3},
        },
        "report": {"map_sample": 0, "explain": {"rows": 0, "shuffled": 0}, "receipt": {"rows": 0}},
        **changes,
    }


def run(spark, config: dict, **options) -> tuple[dict | None, list[str]]:
    said: list[str] = []
    options = {"say": said.append, **options}
    return pipeline.run(spark, Config.model_validate(config), DATE, **options), said


def stop_after(monkeypatch, stage: str) -> None:
    """Let the process end when a stage has written everything, but nothing says that it is whole."""
    do = rooms.ROOMS[stage]

    def and_stop(ctx):
        do(ctx)
        raise Stopped(stage)

    monkeypatch.setitem(rooms.ROOMS, stage, and_stop)


def same(a: Path, b: Path) -> bool:
    return compare_runs.compare(a / "runs" / DATE, b / "runs" / DATE, 1e-5)


@pytest.fixture(scope="module")
def undisturbed(spark, tmp_path_factory, tiny_bert) -> tuple[dict, Path]:
    """Settings and output of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("undisturbed")
    feed(spark, folder / "in")
    config = settings(folder / "out", folder / "in", tiny_bert)
    manifest, _ = run(spark, config)
    assert manifest["rows"] == {"in": 41, "out": 40, "quarantined": 1}
    return config, folder / "out"


def test_stopped_in_each_stage_in_turn_and_before_the_manifest(spark, tmp_path, undisturbed, monkeypatch):
    config, expected = undisturbed
    config = {**config, "output": str(tmp_path)}
    for done, stage in enumerate(c.STAGES):
        said: list[str] = []
        with monkeypatch.context() as patch:
            stop_after(patch, stage)
            with pytest.raises(Stopped, match=stage):
                run(spark, config, say=said.append)
        assert newest_run(spark, f"{tmp_path}/runs") is None
        # What was stopped in the round before is done again, what was whole before that is not.
        taken_over = [line.split(":")[0] for line in said if "whole from an earlier start" in line]
        assert taken_over == list(c.STAGES[: max(done - 1, 0)])
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "publish", lambda *_: (_ for _ in ()).throw(Stopped("publish")))
        with pytest.raises(Stopped):
            run(spark, config)
    assert not Path(tmp_path, "runs", DATE, "run.json").exists()
    manifest, said = run(spark, config)
    assert len([line for line in said if "whole from an earlier start" in line]) == len(c.STAGES)
    assert same(tmp_path, expected)
    assert not Path(tmp_path, "runs", DATE, run_lock.LOCK).exists()

    # The same date once more, stopped on its way: what was published is there to the last row.
    with monkeypatch.context() as patch:
        stop_after(patch, "prepare")
        with pytest.raises(Stopped):
            run(spark, config)
    assert newest_run(spark, f"{tmp_path}/runs").manifest() == manifest
    assert same(tmp_path, expected)
    assert run(spark, config, last="collect")[1][0].startswith("collect: whole from an earlier start")
    assert run(spark, config, last="represent", full=True)[1][0].startswith("collect: 40 rows")
    anew = RunFolder(spark, f"{tmp_path}/runs", DATE)
    facts = anew.at(anew.attempts()[-1]).stage_facts("represent")["represent"]
    assert (facts["encoded"], facts["reused"]) == (2, 0), "the store has both texts, and is not asked"


def test_a_disk_that_is_full_is_called_so_wherever_it_shows(spark, tmp_path, undisturbed, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    config = {**undisturbed[0], "output": str(tmp_path)}
    for place in ((RunFolder, "mark_stage"), (run_lock.RunLock, "acquire"), (RunFolder, "new_attempt")):
        with monkeypatch.context() as patch:
            patch.setattr(*place, full)
            with pytest.raises(OutOfSpaceError, match="is full"):
                run(spark, config, last="collect")


def test_a_driver_that_is_killed_is_followed_up_at_once(spark, tmp_path, undisturbed):
    config, expected = undisturbed
    conf = tmp_path / "conf.yaml"
    conf.write_text(yaml.safe_dump({**config, "output": str(tmp_path)}))
    command = "from fusionspark.cli import entry; entry()"
    driver = subprocess.Popen(
        [sys.executable, "-c", command, "run", str(conf), "--run-date", DATE],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert driver.stderr is not None
    for line in driver.stderr:
        if line.startswith("prepare: "):
            driver.send_signal(signal.SIGKILL)
            break
    assert driver.wait() == -signal.SIGKILL
    manifest, said = run(spark, {**config, "output": str(tmp_path)})
    assert "taken over" in said[0]
    assert [line.split(":")[0] for line in said[1:3]] == ["collect", "prepare"]
    assert manifest["rows"] == {"in": 41, "out": 40, "quarantined": 1}
    assert same(tmp_path, expected)


def test_a_second_run_of_the_date_is_refused_and_touches_nothing(spark, undisturbed):
    config, output = undisturbed
    home = RunFolder(spark, f"{output}/runs", DATE)
    with run_lock.only_run(home, print):
        with pytest.raises(RunLockedError, match=f"process {os.getpid()} on"):
            run(spark, config)
        assert home.attempts() == [home.published_attempt()]


def test_a_source_that_changed_since_the_run_was_stopped_is_read_anew(spark, tmp_path, tiny_bert):
    config = settings(tmp_path / "out", tmp_path / "in", tiny_bert, max_quarantined=0.5)
    feed(spark, tmp_path / "in", rows=4)
    run(spark, config, last="collect")
    assert "collect: whole from an earlier start, 4 rows" in run(spark, config, last="collect")[1]
    feed(spark, tmp_path / "in", rows=5)
    said = run(spark, config, last="collect")[1]
    assert "the source changed since the run was stopped" in said[0]
    assert said[1].startswith("collect: 5 rows")


def test_rows_that_the_model_fails_on_count_towards_the_limit(spark, tmp_path):
    feed(spark, tmp_path / "in")
    model = make_bert_failing_on("hill", tmp_path / "model")
    config = settings(tmp_path / "out", tmp_path / "in", model)
    with pytest.raises(QuarantineLimitError, match="21 of 41 rows"):
        run(spark, config)
    quarantine = RunFolder(spark, f"{tmp_path}/out/runs", DATE).read("quarantine")
    assert {row["stage"]: row["count"] for row in quarantine.groupBy("stage").count().collect()} == {
        "collect": 1, "represent": 20,
    }  # fmt: skip
    _, said = run(spark, {**config, "max_quarantined": 0.6}, last="represent")
    assert said[-1].startswith("represent: whole from an earlier start"), "a higher limit costs nothing again"
