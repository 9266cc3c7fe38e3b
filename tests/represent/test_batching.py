from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fusionspark.represent.batching import pack, plan, runs


def test_plan_puts_the_longest_first_and_keeps_within_the_budget():
    batches = [part.tolist() for part in plan(np.array([4, 9, 4, 4], dtype=np.int32), budget=12)]
    # 9 alone (two of 9 would be 18), then 3 x 4 = 12.
    assert batches == [[1], [0, 2, 3]]


def test_a_text_above_the_budget_is_a_batch_of_its_own():
    assert [part.tolist() for part in plan(np.array([50, 1, 60], dtype=np.int32), budget=10)] == [
        [2],
        [0],
        [1],
    ]


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(1, 1000))
def test_plan_holds_every_text_once(lengths, budget):
    sizes = np.array(lengths, dtype=np.int32)
    batches = list(plan(sizes, budget))
    positions = np.concatenate(batches) if batches else np.array([])
    assert sorted(positions.tolist()) == list(range(len(lengths)))
    assert all(len(part) == 1 or len(part) * sizes[part].max() <= budget for part in batches)


def test_runs_are_stretches_of_equal_length():
    assert runs(np.array([5, 5, 3, 2, 2, 2], dtype=np.int32)) == [(2, 5), (1, 3), (3, 2)]
    assert runs(np.array([], dtype=np.int32)) == []


def test_padding_stands_on_the_right():
    ids, mask = pack([[7, 8, 9], [5]]).padded(pad_id=0)
    assert ids.tolist() == [[7, 8, 9], [5, 0, 0]]
    assert mask.tolist() == [[True, True, True], [True, False, False]]


def test_split_halves_a_batch_text_by_text():
    left, right = pack([[1, 2], [3, 4], [5]]).split()
    assert (left.ids.tolist(), left.lengths.tolist()) == ([1, 2], [2])
    assert (right.ids.tolist(), right.lengths.tolist()) == ([3, 4, 5], [2, 1])


def test_plan_leaves_little_padding_once_batches_are_large():
    lengths = np.random.default_rng(0).gamma(4, 8, 3000).astype(np.int32) + 3
    batches = list(plan(lengths, 2048))
    padded = sum(len(part) * int(lengths[part].max()) for part in batches)
    assert lengths.sum() / padded > 0.95
    assert len(batches) < 2 * lengths.sum() / 2048, "not at the price of tiny batches"
