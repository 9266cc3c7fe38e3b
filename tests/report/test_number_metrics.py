"""Metrics of numbers against scikit-learn, and what the page says of them."""

import math

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from fusionspark.columns import PREDICTIONS_DDL
from fusionspark.report.ageing import compare_numbers
from fusionspark.report.comparison import compare
from fusionspark.report.number_metrics import choose_best, evaluate, intervals
from fusionspark.report.page import render
from fusionspark.report.phrases import Words
from fusionspark.report.receipt_numbers import score
from fusionspark.report.sections import comparison, regression
from fusionspark.report.sections.history import build as history


def answered(spark, rows=300, noise=1.0):
    random = np.random.default_rng(1)
    truth = random.normal(50, 10, rows)
    made, values = [], {}
    for name, spread in (("a", noise), ("b", 20 * noise)):
        said = truth + random.normal(0, spread, rows)
        for i in range(rows):
            split = ["train", "validation", "test"][i % 3]
            label = None if i == 2 else str(truth[i])
            made.append((f"r{i:03}", split, label, name, str(said[i]), {"estimate": float(said[i])}))
        values[name] = said
    return spark.createDataFrame(made, PREDICTIONS_DDL), truth, values


@pytest.mark.smoke
def test_metrics_equal_scikit_learn_and_the_mean_is_the_baseline(spark):
    frame, truth, said = answered(spark)
    found = evaluate(frame)
    test = np.array([i for i in range(300) if i % 3 == 2 and i != 2])
    entry = found["a"]["test"]
    assert (entry["rows"], entry["unlabelled"]) == (99, 1)
    assert entry["rmse"] == pytest.approx(root_mean_squared_error(truth[test], said["a"][test]))
    assert entry["mae"] == pytest.approx(mean_absolute_error(truth[test], said["a"][test]))
    assert entry["r2"] == pytest.approx(r2_score(truth[test], said["a"][test]))
    mean = truth[::3].mean()
    assert entry["baseline"]["rmse"] == pytest.approx(math.sqrt(((truth[test] - mean) ** 2).mean()))
    low, high = entry["rmse_interval"]
    assert low < entry["rmse"] < high < found["b"]["test"]["rmse_interval"][0]
    assert len(entry["points"]) == 99 and "points" not in found["a"]["train"]
    assert list(found["a"]) == ["train", "validation", "test"]
    assert [choose_best(found, by) for by in ("rmse", "mae", "r2")] == ["a", "a", "a"]


def test_a_label_without_variance_has_no_share_of_it(spark):
    frame = spark.createDataFrame([("r", "test", "2", "a", "3", {"estimate": 3.0})], PREDICTIONS_DDL)
    entry = evaluate(frame)["a"]["test"]
    assert entry["rmse"] == 1 and entry["r2"] is None and entry["r2_interval"] is None
    assert entry["baseline"] is None, "no training rows"


def test_weights_mean_repeated_rows():
    random = np.random.default_rng(2)
    truth = random.normal(1e6, 1, 40)
    said = (truth + random.normal(0, 0.5, 40))[:, None]
    weights = random.integers(0, 4, 40)
    rows = np.repeat(np.arange(40), weights)
    once = score(truth, said, weights[None].astype(float))
    again = score(truth[rows], said[rows], np.ones((1, len(rows))))
    assert once["r2"][0] == pytest.approx(r2_score(truth[rows], said[rows, 0]))
    for metric, values in once.items():
        assert values[0] == pytest.approx(again[metric][0]), metric


def test_intervals_cover_what_they_are_of():
    random, inside = np.random.default_rng(3), 0
    for seed in range(60):
        truth = random.normal(0, 1, 150)
        low, high = intervals(truth, truth + random.normal(0, 0.5, 150), seed)["rmse"]
        inside += low < 0.5 < high
    assert inside >= 51


def a_run(spark):
    measured = evaluate(answered(spark)[0])
    night = {
        "best": "a",
        "test": {name: measured["a"]["test"][name] for name in ("rows", "rmse", "mae", "r2")},
    }
    nights = [{"run_date": f"2026-01-0{i}", "rows": 300, **night} for i in (1, 2)]
    return {"run_date": "2026-01-02", "regress": measured, "best": "a", "history": nights}


def test_the_page_says_how_far_the_estimates_are_off(spark):
    run, words = a_run(spark), Words("en")
    page = render(run)
    assert "Regression" in page and "Nothing was classified" not in page
    said = " ".join(str(line) for line in regression.sentences(run, words))
    assert "RMSE" in said and "the model is better than that" in said and "best of" in said
    assert history(run, words) is not None and "RMSE" in str(history(run, words))
    assert "回归" in render(run, language="zh")
    poor = {"regress": {"b": run["regress"]["b"]}, "best": "b"}
    said = " ".join(str(line) for line in regression.sentences(poor, words))
    assert "that the model is better is not shown" in said


def test_over_fitting_is_called_so_where_it_matters():
    def said(baseline):
        figures = {"rows": 10, "mae": 1.0, "r2": 0.1, "baseline": {"rmse": baseline}}
        splits = {"train": {**figures, "rmse": 1.0}, "test": {**figures, "rmse": 2.0}}
        run = {"regress": {"a": splits}, "best": "a"}
        return " ".join(str(line) for line in regression.sentences(run, Words("en")))

    assert "over-fitting" in said(2.5)
    assert "over-fitting" not in said(50.0)


def test_kept_models_that_are_further_off_have_dropped():
    def night(rmse):
        return {"a": {"test": {"rows": 100, "rmse": rmse, "rmse_interval": [rmse - 0.2, rmse + 0.2]}}}

    found = compare_numbers(night(1.0), night(1.5), "a")
    assert found["dropped"] and found["margin"] == pytest.approx(0.2 * math.sqrt(2))
    assert not compare_numbers(night(1.0), night(1.2), "a")["dropped"]
    assert not compare_numbers(night(1.5), night(1.0), "a")["dropped"], "nearer is no drop"
    assert compare_numbers({}, night(1.0), "a") == {}


def test_two_runs_stand_side_by_side_by_the_figures_of_numbers(spark, tmp_path):
    run = a_run(spark)
    other = {**run, "best": "b", "run_date": "2026-01-03"}
    found = compare(run, other, (tmp_path, tmp_path))
    assert found["rows"] is None
    (_, figures, *_) = comparison.build(run, other, found, Words("en"))
    said = str(figures)
    assert "RMSE" in said and "Mean absolute error" in said and "Macro-F1" not in said
