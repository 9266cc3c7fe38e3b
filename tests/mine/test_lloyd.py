"""k-means without Spark: tasks are threads that meet over real connections."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fusionspark.errors import DataContractError
from fusionspark.mine.exact_rows import ExactRows, grid
from fusionspark.mine.lloyd import Outcome, Settings, fit
from fusionspark.mine.worker_group import TreeGroup, WorkerGroup


def in_tasks(work: Any, size: int) -> list[Any]:
    """Run ``work(rank, group)`` in ``size`` threads, joined as the tasks of a barrier stage are."""
    if size == 1:
        return [work(0, WorkerGroup())]
    meet, said, out = threading.Barrier(size, timeout=20), [""] * size, [None] * size

    def run(rank: int) -> None:
        def all_gather(message: str) -> list[str]:
            said[rank] = message
            meet.wait()
            return said

        group = TreeGroup(rank, size, "127.0.0.1", all_gather)
        try:
            out[rank] = work(rank, group)
        except DataContractError as error:
            out[rank] = error
        finally:
            group.close()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return out


def clustered(parts: list[Any], weights: list[Any] | None = None, **wanted: Any) -> Outcome:
    def work(rank: int, group: WorkerGroup) -> Outcome:
        weight = np.ones(len(parts[rank])) if weights is None else weights[rank]
        return fit(ExactRows(np.array(parts[rank], np.float32), weight), group, Settings(**wanted))

    out = in_tasks(work, len(parts))
    for one in out:
        if isinstance(one, Exception):
            raise one
        assert (one.centres == out[0].centres).all()
    return out[0]


def test_group_adds_takes_the_largest_and_gathers() -> None:
    def work(rank: int, group: WorkerGroup) -> tuple[Any, ...]:
        here = np.array([rank, 1.0])
        rows = np.full((rank % 3, 2), rank, np.float32)
        return (
            group.total(here).tolist(),
            group.largest(-here).tolist(),
            sorted(group.gather(rows)[:, 0].tolist()),
            group.from_first(np.array([rank + 7])).tolist(),
        )

    assert in_tasks(work, 6) == [([15.0, 6.0], [0.0, -1.0], [1, 2, 2, 4, 5, 5], [7])] * 6


def test_by_hand() -> None:
    out = clustered([[[0.0], [2.0], [10.0], [14.0]]], k=2)
    assert sorted(out.centres.ravel()) == [1.0, 12.0]
    # 1 + 1 + 4 + 4
    assert out.cost == 10.0
    assert out.sizes.tolist() == [2, 2]


def test_weights_move_the_mean() -> None:
    out = clustered([[[0.0], [1.0], [10.0]]], [np.array([1.0, 3.0, 2.0])], k=2)
    # Rows less their mean are rounded to float32.
    assert sorted(out.centres.ravel()) == pytest.approx([0.75, 10.0], rel=1e-6)
    assert out.cost == pytest.approx(1 * 0.75**2 + 3 * 0.25**2, rel=1e-5)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("mode", ["k-means||", "k-means++", "random"])
def test_the_same_to_the_last_digit_whoever_holds_which_row(cosine: bool, mode: str) -> None:
    rng = np.random.default_rng(3)
    # More rows than are all taken as candidates, some of them twice, far from the origin.
    rows = rng.normal(100.0 * (not cosine), 1.0, (4500, 9)).astype(np.float32)
    rows[:300] = rows[300:600]
    wanted = {"k": 12, "n_init": 2, "max_iter": 6, "cosine": cosine, "init_mode": mode}
    first = clustered([rows], **wanted)
    for size in (2, 7):
        mixed = rows[rng.permutation(len(rows))]
        # One task holds nothing.
        parts = [*np.array_split(mixed, size - 1), mixed[:0]]
        again = clustered(parts, **wanted)
        assert (again.centres == first.centres).all()
        assert again.sizes.tolist() == first.sizes.tolist()
        assert again.cost == pytest.approx(first.cost, rel=1e-12)


def test_as_good_as_scikit_learn() -> None:
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(8)
    centres = rng.normal(size=(40, 16))
    rows = (centres[rng.integers(0, 40, 6000)] + 0.4 * rng.normal(size=(6000, 16))).astype(np.float32)
    costs = [clustered([rows], k=40, seed=seed).cost for seed in range(3)]
    theirs = [KMeans(40, n_init=1, random_state=seed).fit(rows).inertia_ for seed in range(3)]
    assert np.mean(costs) < 1.02 * np.mean(theirs)


def test_the_cheapest_of_several_starts_is_kept() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(3000, 8)).astype(np.float32)
    alone = [clustered([rows], k=9, seed=seed, init_mode="random") for seed in range(4, 8)]
    together = clustered([rows], k=9, seed=4, init_mode="random", n_init=4)
    best = min(alone, key=lambda out: out.cost)
    assert best.cost < 0.999 * alone[0].cost
    assert together.cost == best.cost
    assert (together.centres == best.centres).all()


def test_fewer_distinct_rows_than_clusters_give_fewer_centres() -> None:
    out = clustered([[[1.0, 0.0]] * 50 + [[2.0, 0.0]] * 50], k=5)
    assert sorted(out.centres[:, 0]) == [1.0, 2.0]
    assert out.cost == 0.0


def test_a_cluster_that_lost_its_rows_gets_the_farthest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from fusionspark.mine import lloyd

    first = np.array([[0.0], [50.0], [-60.0]])
    monkeypatch.setattr(lloyd, "first_centres", lambda *_, **__: first)
    # Rows less their mean, 0: all go to the first centre, and two others are empty.
    out = clustered([[[-9.0], [1.0], [1.0], [7.0]]], k=3)
    assert sorted(out.centres.ravel()) == [-9.0, 1.0, 7.0]


@pytest.mark.parametrize(
    ("rows", "cosine", "said"),
    [
        ([[[1.0]], [[np.nan]], [[np.inf]]], False, "2 of 3 rows for clustering are null or hold NaN"),
        ([[[1.0]], [[0.0]]], True, "1 of 2 rows have length zero"),
        ([np.empty((0, 1)), np.empty((0, 1))], False, "there are none"),
    ],
)
def test_rows_that_cannot_be_clustered(rows: Any, cosine: bool, said: str) -> None:
    with pytest.raises(DataContractError, match=said):
        clustered(rows, k=2, cosine=cosine)


@settings(max_examples=30)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 40), st.integers(1, 3)),
        elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
    ),
    st.randoms(use_true_random=False),
)
def test_sums_do_not_depend_on_the_order(rows: Any, random: Any) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    scale = grid(1e6, len(rows))
    groups = np.arange(len(rows)) % 2
    one = ExactRows(rows.copy(), np.ones(len(rows))).sums(scale, groups, 2)
    other = ExactRows(rows[order].copy(), np.ones(len(rows))).sums(scale, groups[order], 2)
    assert (one == other).all()
    assert one[:, -1].sum() / scale == len(rows)
    assert (ExactRows(rows, np.ones(len(rows))).masses(scale, groups, 2) == one[:, -1]).all()
    assert one[0, 0] / scale == pytest.approx(rows[::2, 0].astype(np.float64).sum(), rel=1e-9, abs=1e-3)


def test_the_nearest_of_two_centres_that_float32_cannot_tell_apart() -> None:
    rows = np.full((5000, 64), 1.0, np.float32)
    centres = np.ones((3, 64))
    centres[1, 0] += 2e-9
    centres[2, 0] += 1e-9
    rows[17, 0] = np.nextafter(np.float32(1), np.float32(2))
    data = ExactRows(rows, np.ones(5000))
    # 1.0 lies on the first; 1 + 1.2e-7 is nearest to 1 + 2e-9.
    assert np.flatnonzero(data.nearest(centres)).tolist() == [17]
    assert data.nearest(centres)[17] == 1


def test_torch_finds_the_same_as_numpy() -> None:
    pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3000, 20)).astype(np.float32)
    centres = rng.normal(size=(9, 20))
    numpy = ExactRows(rows, np.ones(3000)).nearest(centres)
    # The code of a GPU, on a device that every machine has.
    assert (ExactRows(rows, np.ones(3000), "cpu:0").nearest(centres) == numpy).all()
