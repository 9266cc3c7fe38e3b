"""Clusters that keep their ids, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionspark.mine.cluster_identity import adjusted_rand, centred_cosine, identify


def test_numbers_change_and_ids_stay() -> None:
    # Old clusters 4, 7 and 9; the new ones have them in another order, and two rows moved.
    found = identify([[0, 10, 1], [0, 0, 20], [30, 1, 0]], [4, 7, 9], 12)
    assert found.ids == [9, 4, 7]
    assert (found.kept, found.born, found.died) == ([4, 7, 9], [], [])
    assert (found.moved, found.shared, found.next_id) == (2, 62, 12)
    assert (found.merged, found.split) == ([], [])


def test_born_died_merged_and_split() -> None:
    # 0 and 1 become one; 2 becomes two; 3 falls apart into all of them, and its last row into a new one.
    shared = [[50, 0, 0, 0], [40, 0, 0, 0], [0, 60, 30, 0], [2, 2, 2, 1]]
    found = identify(shared, [0, 1, 2, 3], 4)
    # Jaccard: 50/92 and 60/92 are above a third, 1/7 of cluster 3 is not.
    assert found.ids == [0, 2, 4, 5]
    assert (found.kept, found.born, found.died) == ([0, 2], [4, 5], [1, 3])
    assert found.merged == [{"into": 0, "of": [0, 1], "rows": {"0": 50, "1": 40}}]
    assert found.split == [{"of": 2, "into": [2, 4], "rows": {"2": 60, "4": 30}}]
    # All but the 50 and the 60 that stayed.
    assert (found.moved, found.shared, found.next_id) == (187 - 110, 187, 6)


def test_without_shared_rows_the_texts_decide() -> None:
    shared = np.zeros((2, 2), dtype=int)
    alike = centred_cosine([[9.0, 1.0], [9.0, -1.0]], [[9.0, -0.9], [9.0, 1.1]], [5, 5], [5, 5])
    assert alike[0, 1] > 0.99 > -0.9 > alike[0, 0]
    found = identify(shared, [3, 8], 9, alike)
    assert (found.ids, found.stability, found.moved) == ([8, 3], None, 0)
    assert identify(shared, [3, 8], 9).ids == [9, 10]


def test_best_in_all_not_one_by_one() -> None:
    # Cluster 0 would take the first new one, for which 1 then has nothing; in all the other way is better.
    assert identify([[50, 45], [45, 0]], [0, 1], 2).ids == [1, 0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=40))
def test_stability_is_the_adjusted_rand_index(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import adjusted_rand_score

    table = np.zeros((4, 3), dtype=int)
    for one, other in pairs:
        table[one, other] += 1
    wanted = adjusted_rand_score([one for one, _ in pairs], [other for _, other in pairs])
    assert adjusted_rand(table) == pytest.approx(wanted, abs=1e-6)
