"""An estimate before the run, and beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_pipeline import reviews, settings

from fusionspark import pipeline
from fusionspark.errors import ConfigError
from fusionspark.plan_lines import plan_lines
from fusionspark.report.history import row_of

pytestmark = pytest.mark.slow
DATE = "2026-01-31"


def test_an_estimate_is_kept_held_against_the_budget_and_compared_with_the_run(spark, tmp_path, tiny_bert):
    source, out = reviews(spark, tmp_path / "in"), tmp_path / "out"
    budget = {"gpu": "T4", "price_per_hour": 1.0, "seconds": 0.5}
    config = settings(source, out, tiny_bert, plan=budget, report={"map_sample": 0})
    found = pipeline.plan(spark, config, DATE)
    assert (found["rows"], found["texts"], found["expected_of"]) == (60, 60, "represent")
    # The mood, its start and its end repeat: lcm(2, 3, 5) = 30 different texts.
    assert found["distinct"] == pytest.approx(30, abs=3)
    assert found["tokens"] == pytest.approx(found["distinct"] * found["measured"]["tokens_per_text"], abs=1)
    assert found["on_gpu"]["cost"] == found["on_gpu"]["hours"] > 0
    assert json.loads((out / "plan.json").read_text()) == found
    assert "on one T4" in {what for what, _, _ in plan_lines(found)}

    tight = settings(source, out, tiny_bert, plan={**budget, "budget_seconds": 0.0, "enforce": True})
    with pytest.raises(ConfigError, match=r"is above plan\.budget_seconds = 0"):
        pipeline.run(spark, tight, DATE, say=lambda line: None)
    assert not Path(out, "runs").exists(), "refused before anything was written"

    pipeline.plan(spark, config, DATE)
    manifest = pipeline.run(spark, config, DATE, say=lambda line: None)
    beside = manifest["plan"]
    assert beside["tokens"] == manifest["represent"]["tokens"]
    assert beside["tokens"] == pytest.approx(beside["expected_tokens"], rel=0.15)
    assert beside["ratio"] == pytest.approx(beside["seconds"] / beside["expected_seconds"], rel=0.01)
    assert manifest["history"] == [row_of(manifest)]
    assert json.loads((out / "runs" / DATE / "summary.json").read_text()) == row_of(manifest)
    later = pipeline.plan(spark, config, "2026-02-01")
    assert later["from_run"] == DATE
    assert (later["stored_share"], later["to_encode"], later["tokens"]) == (1.0, 0, 0), "all were encoded"
    assert found["stored_share"] == 0.0


def test_encoders_of_folds_take_a_gpu_as_many_times_as_long(spark, tmp_path, tiny_bert):
    source, folds = reviews(spark, tmp_path / "in"), tmp_path / "folds"
    names = [shutil.copytree(tiny_bert, folds / name).name for name in ("fold-0", "fold-1")]
    (folds / "folds.json").write_text(json.dumps({"folders": names, "column": "row_id", "seed": 42}))
    one, two = (
        pipeline.plan(
            spark, settings(source, tmp_path / "out", model, plan={"gpu": "T4", "seconds": 0.2}), DATE
        )
        for model in (tiny_bert, folds)
    )
    assert one["tokens"] == two["tokens"] > 0
    assert two["on_gpu"]["hours"] == pytest.approx(2 * one["on_gpu"]["hours"])


def test_without_text_there_is_nothing_to_encode(spark, tmp_path, tiny_bert):
    columns = {"key": ["id"], "text": [], "numeric": ["n"], "categorical": ["k"], "label": "mood"}
    config = settings(reviews(spark, tmp_path / "in"), tmp_path / "out", tiny_bert, columns=columns)
    found = pipeline.plan(spark, config, DATE)
    assert (found["rows"], found["texts"], found["tokens"], found["memory"]) == (60, 0, 0, None)
    assert plan_lines(found)[0][1] == "60"
