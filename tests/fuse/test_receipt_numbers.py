"""The arms of a number's receipt find what was planted for them, and nothing where nothing is."""

import numpy as np
import pytest
from planted import FINDS, LAYOUT, planted
from scipy import sparse

from fusionspark.fuse.receipt_arms import arms_of
from fusionspark.fuse.receipt_numbers import NumberRows, train_arm

ARMS = {arm.name: arm for arm in arms_of(LAYOUT, ["table"], ["text"])}


def explained(signal, name, rows=600):
    """Share of the test rows' variance that an arm explains of a number with a planted jump of 10."""
    vectors, labels = planted(signal, rows)
    targets = 100 + 10.0 * labels + np.random.default_rng(2).normal(0, 1, rows)
    splits = np.array(["train", "train", "validation", "test"])[np.arange(rows) % 4]
    shared = NumberRows(sparse.csr_matrix(vectors.astype("f4")), np.arange(rows) % 5, splits, targets)
    answer = train_arm(ARMS[name], shared, seed=1)
    test = splits == "test"
    error = answer.said[test, 0] - targets[test]
    return 1 - float(np.mean(error**2) / targets[test].var()), answer.learner


@pytest.mark.parametrize(("signal", "found", "missed"), FINDS)
def test_each_arm_finds_what_its_blocks_say(signal, found, missed):
    for name in found:
        assert explained(signal, name)[0] > 0.35, name
    for name in missed:
        assert explained(signal, name)[0] < 0.15, name


def test_only_trees_see_the_interaction():
    assert explained("xor", "fused")[1] == "boosted_trees"
    assert explained("text", "text")[1] == "ridge_regression"


def test_without_validation_rows_the_usual_penalty_is_taken():
    vectors, labels = planted("text", 60)
    splits = np.where(np.arange(60) % 2, "train", "test").astype(object)
    rows = NumberRows(sparse.csr_matrix(vectors), np.arange(60) % 5, splits, labels.astype(float))
    assert train_arm(ARMS["text"], rows, 1).said.shape == (60, 1)
