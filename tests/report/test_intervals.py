"""Bootstrap intervals, against theory and the case that has one answer."""

import numpy as np
import pytest

from fusionspark.report.intervals import auc_interval, macro_f1_interval


def test_what_never_varies_has_no_width():
    assert macro_f1_interval([[5, 0], [0, 5]], [5, 5], 1) == [1.0, 1.0]
    apart = np.array([[0.9, 0.1], [0.1, 0.9]] * 10)
    assert auc_interval(np.array([0, 1] * 10), apart, 1) == [1.0, 1.0]
    assert macro_f1_interval([], [], 1) is None
    assert auc_interval(np.array([], dtype=int), np.empty((0, 2)), 1) is None
    assert auc_interval(np.array([-1]), np.empty((1, 0)), 1) is None
    assert auc_interval(np.array([0, 0]), np.array([[0.5, 0.5]] * 2), 1) is None, "one class only"


def test_the_width_is_that_of_the_binomial():
    # Of one class against an even other, all errors symmetric, macro-F1 is close to the accuracy.
    low, high = macro_f1_interval([[400, 100], [100, 400]], [500, 500], 3)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 1000), rel=0.15)
    assert low < 0.8 < high


def test_rows_without_prediction_count_as_wrong():
    low, high = macro_f1_interval([[400, 0], [0, 0]], [400, 400], 3)
    assert high < 0.55 and low > 0.45


def test_the_area_of_a_sample_is_narrowed_to_all_rows():
    random = np.random.default_rng(5)
    classes = random.integers(0, 2, 400)
    margin = random.normal(size=400) + classes
    scores = np.stack([-margin, margin], axis=1)
    low, high = auc_interval(classes, scores, 1)
    # Hanley & McNeil (1982) for an area of 0.76 and 200 rows on either side.
    area, q1, q2, n = 0.76, 0.76 / 1.24, 2 * 0.76**2 / 1.76, 200
    error = np.sqrt((area * (1 - area) + (n - 1) * (q1 + q2 - 2 * area**2)) / n**2)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.2)
    narrow = auc_interval(classes, scores, 1, rows=40_000)
    assert narrow[1] - narrow[0] == pytest.approx((high - low) / 10, rel=0.01)
