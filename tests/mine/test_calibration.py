from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionspark.mine.calibration import Calibration, cost_matrix, fit, threshold
from fusionspark.mine.random_features import fourier


def overconfident(rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds twice as large as they should be."""
    rng = np.random.default_rng(0)
    true = rng.normal(0.0, 1.5, rows)
    labels = (rng.uniform(size=rows) < 1 / (1 + np.exp(-true))).astype(int)
    return np.stack([-2 * true, 2 * true], axis=1), labels


def test_platt_finds_the_slope_that_was_planted() -> None:
    scores, labels = overconfident()
    found = fit("platt", scores, labels, probabilities=False)
    assert found is not None
    assert found.curves[1] == pytest.approx([0.5, 0.0], abs=0.06)
    assert found.curves[0] == pytest.approx([0.5, 0.0], abs=0.06)


def test_temperature_finds_the_factor_that_was_planted() -> None:
    scores, labels = overconfident()
    found = fit("temperature", scores, labels, probabilities=False)
    # Two margins m and -m differ by 2 m, so that the planted factor of 2 becomes 4.
    assert found is not None
    assert found.curves[0][0] == pytest.approx(4.0, rel=0.1)


def test_isotonic_curves_rise_and_stay_bounded() -> None:
    scores, labels = overconfident()
    found = fit("isotonic", scores, labels, probabilities=False)
    assert found is not None
    curve = found.curves[1]
    half = len(curve) // 2
    assert half <= 40
    assert np.all(np.diff(curve[:half]) > 0)
    assert np.all(np.diff(curve[half:]) >= 0)


def test_nothing_is_learnt_from_one_class() -> None:
    assert fit("platt", np.zeros((5, 2)), np.ones(5, dtype=int), probabilities=False) is None


def test_a_rare_class_shares_the_curve_of_all() -> None:
    scores, labels = overconfident()
    three = np.column_stack([scores, np.full(len(scores), -3.0)])
    found = fit("platt", three, labels, probabilities=False)
    assert found is not None
    assert len(found.curves) == 3
    assert found.curves[2] != found.curves[1]


def test_costs() -> None:
    matrix = cost_matrix({"sick": {"well": 10}}, ["sick", "well"])
    # Well is the cheaper answer from a probability of 10 / 11 on.
    assert threshold(matrix) == pytest.approx(10 / 11)
    assert threshold(cost_matrix({}, ["a", "b", "c"])) is None


@given(st.integers(1, 6), st.floats(0.05, 2.0), st.integers(0, 5))
@settings(max_examples=20)
def test_random_features_approach_the_kernel(width: int, gamma: float, seed: int) -> None:
    x, y = np.random.default_rng(seed).normal(size=(2, width))
    z = fourier(np.stack([x, y]), width, 20_000, gamma, seed)
    assert z[0] @ z[1] == pytest.approx(np.exp(-gamma * ((x - y) ** 2).sum()), abs=0.04)
    assert z[0] @ z[0] == pytest.approx(1.0, abs=0.04)


def test_a_calibration_is_plain_data() -> None:
    assert Calibration(**vars(Calibration("platt", [[1.0, 0.0]]))) == Calibration("platt", [[1.0, 0.0]])
