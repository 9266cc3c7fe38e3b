"""What machines are told: JSON lines and Prometheus metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fusionspark.config import Log
from fusionspark.errors import ConfigError, QuarantineLimitError
from fusionspark.run_log import opened

STAGE = {"event": "stage", "stage": "collect", "rows": 9, "seconds": 1.5, "attempt": "attempt-1"}
MANIFEST = {
    "rows": {"in": 10, "out": 9, "quarantined": 1},
    "represent": {"encoded": 4, "reused": 5},
    "best": "linear_svc",
}


def test_each_line_is_an_event_with_the_id_of_the_run(tmp_path: Path) -> None:
    settings = Log(file=str(tmp_path / "log.jsonl"))
    for _ in range(2):
        with opened(settings, "run", "Moods", "2026-01-31") as log:
            log.note(STAGE)
            log.manifest = MANIFEST
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["start", "stage", "end"] * 2
    assert len({line["run_id"] for line in lines}) == 2
    assert lines[1] | STAGE == lines[1]
    assert {line["run_date"] for line in lines} == {"2026-01-31"}
    assert (lines[2]["exit_code"], lines[2]["rows"]) == (0, MANIFEST["rows"])


def test_a_failure_is_the_last_line_and_the_exit_code_of_the_metrics(tmp_path: Path) -> None:
    settings = Log(file=str(tmp_path / "log.jsonl"), metrics=str(tmp_path / "run.prom"))
    with pytest.raises(QuarantineLimitError), opened(settings, "run", 'A "b"\\', "2026-01-31") as log:
        log.note(STAGE)
        raise QuarantineLimitError("quarantine", "too many rows")
    last = json.loads((tmp_path / "log.jsonl").read_text("utf-8").splitlines()[-1])
    assert last["exit_code"] == 4
    assert "too many rows" in last["error"]
    metrics = (tmp_path / "run.prom").read_text("utf-8")
    assert 'fusionspark_success{title="A \\"b\\"\\\\",command="run"} 0.0' in metrics
    assert 'fusionspark_exit_code{title="A \\"b\\"\\\\",command="run"} 4' in metrics
    assert 'command="run",stage="collect"} 1.5' in metrics
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_metrics_have_rows_and_texts(tmp_path: Path) -> None:
    with opened(Log(metrics=str(tmp_path / "run.prom")), "run", "Moods", "2026-01-31") as log:
        log.manifest = MANIFEST
    samples = dict(
        line.rsplit(" ", 1)
        for line in (tmp_path / "run.prom").read_text("utf-8").splitlines()
        if not line.startswith("#")
    )
    both = 'title="Moods",command="run"'
    assert samples[f'fusionspark_rows{{{both},kind="quarantined"}}'] == "1"
    assert samples[f'fusionspark_texts{{{both},kind="reused"}}'] == "5"
    assert samples[f"fusionspark_success{{{both}}}"] == "1.0"


def test_metrics_of_a_stream_are_there_after_each_batch(tmp_path: Path) -> None:
    event = {
        "event": "batch", "batch": 4, "rows": {"in": 9, "out": 8, "quarantined": 1}, "seconds": 1.0,
        "lag": 0.5,
        "latency": {"p50": 1.25, "p99": 3.5}, "models_of": "2026-01-31",
        "total": {"batches": 2, "in": 19, "out": 18, "quarantined": 1},
    }  # fmt: skip
    with opened(Log(metrics=str(tmp_path / "run.prom")), "stream", "Moods", "2026-02-01") as log:
        log.note(event)
        while_it_runs = (tmp_path / "run.prom").read_text("utf-8")
    both = 'title="Moods",command="stream"'
    for line in (
        f'fusionspark_stream_latency_seconds{{{both},quantile="0.5"}} 1.25',
        f'fusionspark_stream_latency_seconds{{{both},quantile="0.99"}} 3.5',
        f'fusionspark_stream_rows{{{both},kind="out"}} 18',
        f"fusionspark_stream_batches{{{both}}} 2",
        f"fusionspark_stream_lag_seconds{{{both}}} 0.5",
        f'fusionspark_stream_models{{{both},run_date="2026-01-31"}} 1',
    ):
        assert line in while_it_runs.splitlines()
        assert line in (tmp_path / "run.prom").read_text("utf-8").splitlines()
    assert "# TYPE fusionspark_stream_rows counter" in while_it_runs
    assert "fusionspark_success" not in while_it_runs, "it has not ended"


def test_a_folder_that_is_not_there_is_named_before_anything_runs(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"log\.metrics.*nowhere"),
        opened(Log(metrics=str(tmp_path / "nowhere" / "x.prom")), "run", "Moods", "2026-01-31"),
    ):
        raise AssertionError("the block must not run")
