"""No row's own label may reach its features."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionspark.prepare.target_encoding import NO_FOLD, TargetEncoder, encodings

LABELS, FOLDS = ["a", "b", "c"], 3
ROWS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(0, FOLDS - 1), st.sampled_from(LABELS)),
    min_size=1,
    max_size=30,
)


def counted(rows):
    found: dict = {}
    for value, fold, label in rows:
        found.setdefault((value, fold), Counter())[label] += 1
    return found


@given(rows=ROWS, data=st.data())
def test_a_row_is_told_the_same_whatever_its_own_label(rows, data):
    i = data.draw(st.integers(0, len(rows) - 1))
    value, fold, _ = rows[i]
    told = set()
    for label in LABELS:
        prior, found = encodings(
            counted([*rows[:i], (value, fold, label), *rows[i + 1 :]]), LABELS, FOLDS, 2.0
        )
        told.add((tuple(prior[fold]), tuple(found[value, fold])))
    assert len(told) == 1


@given(rows=ROWS)
def test_shares_are_shares(rows):
    prior, found = encodings(counted(rows), LABELS, FOLDS, 2.0)
    for shares in [*prior.values(), *found.values()]:
        assert sum(shares) == pytest.approx(1.0)
        assert min(shares) >= 0


def test_shares_by_hand():
    rows = [("x", 0, "a"), ("x", 1, "a"), ("x", 1, "b"), ("y", 0, "b")]
    prior, found = encodings(counted(rows), ["a", "b"], 2, 2.0)
    assert prior == {NO_FOLD: [0.5, 0.5], 0: [0.5, 0.5], 1: [0.5, 0.5]}
    assert found["x", NO_FOLD] == [(2 + 2 * 0.5) / 5, (1 + 2 * 0.5) / 5]
    assert found["x", 0] == [0.5, 0.5], "one a and one b in the other fold"
    assert found["x", 1] == [(1 + 2 * 0.5) / 3, (0 + 2 * 0.5) / 3]
    assert found["y", 0] == [0.5, 0.5], "no other fold knows it"


@pytest.mark.smoke
def test_in_spark_unique_categories_say_nothing_and_unseen_ones_are_safe(spark, tmp_path):
    rows = [(f"r{i}", "train", f"only {i}", "ab"[i % 2]) for i in range(20)]
    rows += [(f"s{i}", "train", "often", "a") for i in range(20)]
    rows += [("t", "test", "often", "b"), ("n", "train", None, "a"), ("u", "test", "never seen", None)]
    df = spark.createDataFrame(rows, "row_id string, split string, kind string, label string").repartition(3)
    encoder = TargetEncoder(inputCol="kind", outputCol="shares", smoothing=1.0)
    model = encoder.fit(df.where("split = 'train'"))
    model.write().overwrite().save(str(tmp_path / "m"))
    again = type(model).load(str(tmp_path / "m"))
    assert (again.uid, again.featureNames) == (encoder.uid, ["kind: share of b"])
    told = {row["row_id"]: row["shares"] for row in again.transform(df).collect()}
    assert len(told) == len(rows)
    assert all(told[f"r{i}"] == [0.0] for i in range(20))
    assert told["n"] == told["u"] == [0.0]
    # 40 training rows with a category, 10 of them b; of the 20 that are `often` none is.
    assert told["t"] == pytest.approx([(0 + 1 * 10 / 40) / 21 - 10 / 40])
    assert all(told[f"s{i}"][0] < -0.1 for i in range(20))
