"""Metrics from counts, against scikit-learn and by hand; no Spark."""

import json
import subprocess
import sys

import numpy as np
import pytest

from fusionspark.errors import DataContractError
from fusionspark.report.scores import (
    Step,
    calibration_bins,
    calibration_error,
    choose_best,
    confusion_metrics,
    constant_answer,
    curve_from_steps,
    mean_defined,
    ratio,
    wilson_interval,
)


def test_confusion_by_hand():
    # a: 3 rows, 2 right, 1 taken for b; b: 1 row, right.
    found = confusion_metrics(["a", "b"], np.array([[2, 1], [0, 1]]))
    assert found["accuracy"] == 0.75
    assert found["classes"]["a"] == {"precision": 1.0, "recall": 2 / 3, "f1": 0.8, "support": 3}
    assert found["classes"]["b"] == {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1}
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)


def test_confusion_equals_sklearn_on_random_answers():
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

    random = np.random.default_rng(7)
    labels = ["a", "b", "c", "d"]
    for _ in range(20):
        truth = random.choice(labels[:3], size=40)  # d is sometimes answered, never true
        answer = random.choice(labels, size=40)
        found = confusion_metrics(labels, confusion_matrix(truth, answer, labels=labels))
        assert found["accuracy"] == pytest.approx(accuracy_score(truth, answer))
        assert found["macro_f1"] == pytest.approx(f1_score(truth, answer, average="macro", zero_division=0))
        p, r, f, n = precision_recall_fscore_support(truth, answer, labels=labels, zero_division=np.nan)
        for i, name in enumerate(labels):
            entry = found["classes"][name]
            assert entry["support"] == n[i]
            for ours, theirs in ((entry["precision"], p[i]), (entry["recall"], r[i])):
                assert (ours is None and np.isnan(theirs)) or ours == pytest.approx(theirs)
            if entry["f1"] is not None:
                assert entry["f1"] == pytest.approx(f[i])


def test_a_row_without_prediction_counts_as_wrong():
    found = confusion_metrics(["a", "b"], np.array([[1, 0], [0, 1]]), np.array([2, 0]))
    assert (found["rows"], found["unpredicted"], found["accuracy"]) == (4, 2, 0.5)
    assert found["classes"]["a"] == {"precision": 1.0, "recall": 1 / 3, "f1": 0.5, "support": 3}


def test_undefined_values_are_none_and_survive_strict_json():
    found = confusion_metrics(["a", "b"], np.array([[0, 0], [0, 0]]))
    assert found["accuracy"] is None and found["macro_f1"] is None and found["accuracy_interval"] is None
    one = confusion_metrics(["a", "b"], np.array([[3, 0], [0, 0]]))
    assert one["classes"]["b"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert one["macro_f1"] == 1.0
    json.dumps([found, one, confusion_metrics([], np.zeros((0, 0)))], allow_nan=False)


def test_small_helpers():
    assert ratio(3, 4) == 0.75 and ratio(3, 0) is None
    assert mean_defined([None, 0.5]) == 0.5 and mean_defined([]) is None
    low, high = wilson_interval(10, 10)
    assert high == pytest.approx(1.0) and low == pytest.approx(0.7225, abs=1e-4)  # 1 / (1 + 1.96^2 / 10)
    assert wilson_interval(0, 0) is None


def test_the_constant_answer_is_the_floor():
    # 6 of 8 rows are a: precision 6/8, recall 1, F1 = 12/14; the other class has F1 0.
    assert constant_answer(["a", "b"], [6, 2], "a") == {
        "label": "a",
        "accuracy": 0.75,
        "macro_f1": pytest.approx(12 / 14 / 2),
    }
    unseen = constant_answer(["b", "c"], [1, 1], "a")
    assert unseen["accuracy"] == 0.0 and unseen["macro_f1"] == 0.0
    assert constant_answer(["a"], [0], "a")["accuracy"] is None


def test_curves_by_hand():
    # Scores 0.9(+) 0.8(-) 0.7(+) 0.6(-): 3 of the 4 pairs are in order.
    rows = [(0.9, 0, 1, 0, 1.0), (0.8, 1, 1, 1, 0), (0.7, 1, 2, 0, 2 / 3), (0.6, 2, 2, 2, 0)]
    steps = [Step(fp, tp, won, 0, precise, score, score, score) for score, fp, tp, won, precise in rows]
    found = curve_from_steps(steps, 2, 2)
    assert found["auc"] == 0.75
    assert found["roc"] == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["pr"] == [[0.5, 1.0], [0.5, 0.5], [1.0, 0.66667], [1.0, 0.5]]
    assert found["calibration"] == [[0.6, 0, 1], [0.7, 1, 1], [0.8, 0, 1], [0.9, 1, 1]]
    assert calibration_bins(steps, 2) == [[0.65, 0.5, 2], [0.85, 0.5, 2]]
    assert calibration_bins([*steps[:-1], Step(2, 2, 2, 0, 0, -0.1, -0.1, -0.1)]) == []
    assert calibration_error([calibration_bins(steps, 2)]) == pytest.approx((0.15 + 0.35) / 2)
    assert calibration_error([]) is None
    nothing = curve_from_steps([], 0, 4)
    assert (nothing["auc"], nothing["roc"], nothing["pr"], nothing["calibration"]) == (None, [], [], [])


def test_best_is_the_highest_and_ties_go_by_name(caplog):
    def scored(value):
        return {"validation": {"macro_f1": value, "auc": None}, "train": {"macro_f1": 1.0, "auc": 0.5}}

    assert choose_best({"b": scored(0.7), "a": scored(0.7), "c": scored(0.6)}) == "a"
    assert choose_best({"a": scored(None), "b": scored(0.1)}) == "b"
    assert not caplog.records
    assert choose_best({"b": scored(0.7), "a": scored(0.2)}, by="auc") == "a"
    assert "train" in caplog.text
    with pytest.raises(DataContractError, match="macro_f1"):
        choose_best({})


def test_importing_the_spark_free_modules_loads_no_pyspark():
    code = "import sys, fusionspark.report.scores; print('pyspark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
