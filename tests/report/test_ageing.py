"""Figures of kept models on two nights, side by side."""

import pytest

from fusionspark.report.ageing import compare, standard_error
from fusionspark.report.scores import confusion_metrics


def night(matrix):
    return {"lr": {"test": {**confusion_metrics(["a", "b"], matrix), "auc": 0.9}}}


def test_bootstrap_error_of_accuracy_is_that_of_a_share():
    # sqrt(0.8 * 0.2 / 1000) = 0.01265
    assert standard_error([[400, 100], [100, 400]], "accuracy") == pytest.approx(0.01265, rel=0.15)
    assert standard_error([[0, 0], [0, 0]], "macro_f1") == 0
    assert standard_error([[10, 0], [0, 10]], "macro_f1") == 0, "nothing was wrong, nothing varies"


def test_a_drop_counts_beyond_chance_only():
    then = night([[450, 50], [50, 450]])  # accuracy 0.90
    slight, strong = night([[445, 55], [55, 445]]), night([[400, 100], [100, 400]])
    found = compare(then, slight, "lr", "accuracy")
    assert (found["then"]["accuracy"], found["now"]["accuracy"]) == (0.9, 0.89)
    # 1.96 * sqrt(0.9 * 0.1 / 1000 + 0.89 * 0.11 / 1000) = 0.0269
    assert found["margin"] == pytest.approx(0.0269, rel=0.15)
    assert found["change"] == pytest.approx(-0.01)
    assert not found["dropped"]
    assert compare(then, strong, "lr", "macro_f1")["dropped"]
    assert not compare(strong, then, "lr", "macro_f1")["dropped"], "a rise is no drop"
    assert compare(then, strong, "lr", "auc")["metric"] == "macro_f1", "a matrix holds no ranks"


@pytest.mark.parametrize(
    "now", [{}, {"lr": {}}, {"lr": {"test": {"rows": 0}}}, {"other": {"test": {"rows": 5}}}]
)
def test_without_labelled_test_rows_there_is_nothing_to_compare(now):
    assert compare(night([[5, 1], [1, 5]]), now, "lr", "macro_f1") == {}
    assert compare({}, {}, None, "macro_f1") == {}
