"""The arms find what was planted for them, and nothing where nothing is."""

import numpy as np
import pytest
from planted import FINDS, LAYOUT, frame, planted
from scipy import sparse

from fusionspark.fuse.receipt_answers import answers, sampled
from fusionspark.fuse.receipt_arms import Rows, arms_of, shuffled_within, train_arm
from fusionspark.fuse.softmax import fit_softmax

ARMS = {arm.name: arm for arm in arms_of(LAYOUT, ["table"], ["text"])}


def accuracy(signal, name, rows=400):
    vectors, labels = planted(signal, rows)
    splits = np.array(["train", "train", "validation", "test"])[np.arange(rows) % 4]
    shared = Rows(sparse.csr_matrix(vectors.astype("f4")), np.arange(rows) % 5, splits, labels, 2)
    answer = train_arm(ARMS[name], shared, seed=1)
    test = splits == "test"
    return float((answer.said[test].argmax(1) == labels[test]).mean()), answer.learner


def test_arms_are_the_blocks_all_of_them_and_all_with_shuffled_texts():
    assert set(ARMS) == {"text", "table", "fused", "shuffled"}
    assert [arm.name for arm in arms_of({"table": (0, 3)}, ["table"], ["text"])] == ["table"]
    assert [arm.name for arm in arms_of({"text": (0, 3)}, ["table"], ["text"])] == ["text", "shuffled"]
    # Lengths of texts are columns for trees, and go with their texts.
    *_, last = arms_of({"text": (0, 3), "lengths": (3, 5)}, ["lengths"], ["text", "lengths"])
    assert (last.name, last.shuffled, list(last.narrow)) == ("shuffled", ("text", "lengths"), ["lengths"])


@pytest.mark.parametrize(("signal", "found", "missed"), FINDS)
def test_each_arm_finds_what_its_blocks_say(signal, found, missed):
    for name in found:
        assert accuracy(signal, name)[0] > 0.8, name
    for name in missed:
        assert 0.35 < accuracy(signal, name)[0] < 0.65, name


def test_only_trees_see_the_interaction():
    assert accuracy("xor", "fused")[1] == "boosted_trees"


def test_texts_change_places_within_their_split_only():
    splits = np.array(["train", "test"] * 20)
    order = shuffled_within(splits, 3)
    assert sorted(order) == list(range(40)) and (splits[order] == splits).all()
    assert (order != np.arange(40)).any()


def test_one_class_and_a_class_without_rows_are_answered_without_nan():
    rows = np.eye(3, dtype=np.float32)
    constant = fit_softmax(rows, np.array([1, 1, 1]), 3, 1e-3).log_probabilities(rows)
    assert constant.argmax(1).tolist() == [1, 1, 1]
    two = fit_softmax(rows, np.array([0, 2, 0]), 4, 1e-3).log_probabilities(rows)
    assert np.isfinite(two).all() and np.exp(two[:, [1, 3]]).max() < 1e-5
    assert np.exp(two).sum(1) == pytest.approx(1)


def test_spark_answers_whatever_the_partitioning(spark):
    features = frame(spark, "text", 80, name="features")
    arms = list(ARMS.values())
    one = answers(features.coalesce(1), arms, ["no", "yes"], seed=1).orderBy("arm", "row_id").collect()
    many = answers(features.repartition(7), arms, ["no", "yes"], seed=1).orderBy("arm", "row_id").collect()
    assert one == many
    assert len(one) == 4 * 40, "validation and test rows of each arm"
    right = [row for row in one if row["arm"] == "text" and row["split"] == "test"]
    hits = sum(row["label"] == ("no", "yes")[int(np.argmax(row["said"]))] for row in right)
    assert hits / len(right) > 0.7


def test_samples_are_by_hash_and_leave_unlabelled_rows_out(spark):
    schema = "row_id string, split string, label string"
    data = [(f"r{i}", "test", "a") for i in range(200)]
    rows = spark.createDataFrame([*data, ("x", "test", None), ("y", "train", "a")], schema)
    half = {row.row_id for row in sampled(rows, {"test": 0.5}, 1).collect()}
    assert 70 < len(half) < 130 and half == {row.row_id for row in sampled(rows, {"test": 0.5}, 1).collect()}
    assert sampled(rows, {"test": 1.0}, 1).count() == 200
