"""Metrics of a prediction table in Spark, against scikit-learn and by hand."""

import json
from itertools import pairwise

import numpy as np
import pytest
from pyspark.sql import functions as F

from fusionspark.columns import PREDICTIONS_DDL
from fusionspark.report import metrics
from fusionspark.report.metrics import evaluate


def frame(spark, rows):
    return spark.createDataFrame(rows, PREDICTIONS_DDL)


@pytest.mark.smoke
def test_two_classes_by_hand(spark):
    rows = [
        ("1", "test", "yes", "logistic", "yes", {"yes": 0.9, "no": 0.1}),
        ("2", "test", "no", "logistic", "yes", {"yes": 0.8, "no": 0.2}),
        ("3", "test", "yes", "logistic", "yes", {"yes": 0.7, "no": 0.3}),
        ("4", "test", "no", "logistic", "no", {"yes": 0.2, "no": 0.8}),
        ("5", "test", None, "logistic", "no", {"yes": 0.2, "no": 0.8}),
        ("6", "train", "no", "logistic", "no", {"yes": 0.2, "no": 0.8}),
    ]
    found = evaluate(frame(spark, rows))
    test = found["logistic"]["test"]
    assert list(found["logistic"]) == ["train", "test"]
    assert (test["rows"], test["unlabelled"], test["accuracy"]) == (4, 1, 0.75)
    assert test["confusion"] == {"labels": ["no", "yes"], "matrix": [[1, 1], [0, 2]]}
    assert test["auc"] == 0.75  # 3 of 4 pairs in order, seen from either class
    assert test["classes"]["yes"]["auc"] == 0.75
    assert test["roc"]["yes"][0] == [0, 0] and test["roc"]["yes"][-1] == [1, 1]
    assert test["majority"]["label"] == "no"  # the training rows know only this class
    assert test["majority"]["accuracy"] == 0.5
    assert found["logistic"]["train"]["auc"] is None  # one class only
    assert "auc_error" not in test
    assert test["pr"]["yes"] == [[0.5, 1.0], [0.5, 0.5], [1.0, 0.66667], [1.0, 0.5]]
    assert test["calibration"]["yes"][0] == [0.2, 0, 1]
    low, high = test["macro_f1_interval"]
    assert 0 <= low < test["macro_f1"] < high <= 1
    assert "auc_interval" in test and "auc_interval" not in found["logistic"]["train"]
    json.dumps(found, allow_nan=False)


def random_rows(n, *, ties, seed=3):
    random = np.random.default_rng(seed)
    classes = ["a", "b", "c"]
    rows, truths, scores = [], [], []
    for i in range(n):
        label = classes[random.choice(3, p=[0.6, 0.3, 0.1])]
        logits = random.normal(size=3) + 1.0 * (np.array(classes) == label)
        p = np.exp(logits) / np.exp(logits).sum()
        p = np.round(p, 1) if ties else p
        truths.append(label)
        scores.append(p)
        answer = classes[int(p.argmax())]
        rows.append((str(i), "test", label, "svm", answer, dict(zip(classes, map(float, p), strict=True))))
    return rows, np.array(truths), np.array(scores)


@pytest.mark.parametrize(("ties", "partitions"), [(False, 5), (True, 1)])
def test_auc_equals_sklearn(spark, ties, partitions):
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    rows, truths, scores = random_rows(400, ties=ties)
    found = evaluate(frame(spark, rows).repartition(partitions))["svm"]["test"]
    for i, name in enumerate("abc"):
        expected = roc_auc_score(truths == name, scores[:, i])
        assert found["classes"][name]["auc"] == pytest.approx(expected, abs=1e-12)
        precision = average_precision_score(truths == name, scores[:, i])
        assert found["classes"][name]["average_precision"] == pytest.approx(precision, abs=1e-12)
        assert sum(rows for _, _, rows in found["calibration"][name]) == 400
        fpr, tpr, _ = roc_curve(truths == name, scores[:, i], drop_intermediate=False)
        curve = np.array(found["roc"][name])
        assert 2 < len(curve) <= 100
        assert (np.diff(curve, axis=0) >= 0).all()
        # Every kept point lies on the whole curve.
        whole = {(round(x, 5), round(y, 5)) for x, y in zip(fpr, tpr, strict=True)}
        assert {tuple(point) for point in curve} <= whole
    aucs = [entry["auc"] for entry in found["classes"].values()]
    assert found["auc"] == pytest.approx(sum(aucs) / 3)
    low, high = found["auc_interval"]
    assert low < found["auc"] < high and high - low < 0.1


def test_rounded_scores_stay_within_the_stated_error(spark):
    rows, _, _ = random_rows(400, ties=False)
    exact = evaluate(frame(spark, rows))["svm"]["test"]
    rounded = evaluate(frame(spark, rows), exact_rows=10)["svm"]["test"]
    assert 0 < rounded["auc_error"] < 1e-3
    assert abs(rounded["auc"] - exact["auc"]) <= rounded["auc_error"]
    assert rounded["confusion"] == exact["confusion"]


def test_rounding_keeps_the_order_and_bounds_the_distinct_scores(spark):
    column = metrics._coarse(F.col("s"))
    wide = [
        float(x) for x in np.concatenate([np.linspace(-5, 5, 4001), [1e-300, 0.0, -1e20, np.inf, -np.inf]])
    ]
    found = spark.createDataFrame([(x,) for x in wide], "s double").select("s", column.alias("c")).collect()
    pairs = sorted((row.s, row.c) for row in found)
    assert all(a[1] <= b[1] for a, b in pairwise(pairs))
    assert all(
        abs(s - c) <= 2**-11 * min(abs(s), abs(1 - s)) for s, c in pairs if np.isfinite(s) and abs(s) < 1e15
    )
    dense = spark.range(100_000).select((F.col("id") / 100_000).alias("s"))
    assert dense.select(metrics._coarse(F.col("s"))).distinct().count() < 40_000


def test_margins_missing_scores_and_missing_predictions(spark):
    nan = float("nan")
    rows = [
        ("1", "test", "a", "svc", "a", {"a": 3.0, "b": -3.0}),
        ("2", "test", "b", "svc", "b", {"a": -2.0, "b": 2.0}),
        ("3", "test", "b", "svc", None, {"a": nan, "b": None}),
        ("4", "test", "b", "svc", "b", None),
    ]
    found = evaluate(frame(spark, rows))["svc"]["test"]
    assert found["auc"] == 1.0  # of the rows that have a score
    assert (found["rows"], found["unpredicted"], found["accuracy"]) == (4, 1, 0.75)
    assert found["classes"]["b"]["recall"] == pytest.approx(2 / 3)


def test_no_rows_no_labels_no_scores(spark):
    assert evaluate(frame(spark, [])) == {}
    unlabelled = evaluate(frame(spark, [("1", "test", None, "a", "x", {"x": 1.0})]))["a"]["test"]
    assert (unlabelled["rows"], unlabelled["unlabelled"]) == (0, 1)
    assert unlabelled["accuracy"] is None and unlabelled["majority"] is None
    bare = evaluate(frame(spark, [("1", "test", "x", "a", "x", None), ("2", "test", "y", "a", "x", {})]))
    assert bare["a"]["test"]["accuracy"] == 0.5 and bare["a"]["test"]["auc"] is None


def test_the_same_classes_stand_in_every_split(spark):
    rows = [
        ("1", "train", "a", "m", "a", {"a": 1.0}),
        ("2", "train", "b", "m", "a", {"a": 1.0}),
        ("3", "test", "a", "m", "a", {"a": 1.0}),
    ]
    found = evaluate(frame(spark, rows))["m"]
    assert found["test"]["confusion"] == {"labels": ["a", "b"], "matrix": [[1, 0], [0, 0]]}
    assert found["test"]["macro_f1"] == 1.0


def test_one_shuffle_for_any_number_of_classes(spark):
    wide = frame(spark, [("1", "test", "a", "m", "a", dict.fromkeys("abcdefgh", 0.5))])
    jobs = []
    original = type(wide).collect

    def spy(self):
        plan = self._jdf.queryExecution().executedPlan().toString()
        jobs.append(plan.count("Exchange hashpartitioning"))
        return original(self)

    type(wide).collect = spy
    try:
        evaluate(wide)
    finally:
        type(wide).collect = original
    assert jobs == [1, 1]
