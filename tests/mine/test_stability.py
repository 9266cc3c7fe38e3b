"""How far a column has moved, by hand and on small tables."""

import math

import pytest

from fusionspark.mine.stability import count_bins, learn_bins, psi


def test_index_by_hand_and_what_chance_reaches():
    index, chance = psi([100_000, 100_000], [160_000, 40_000])
    # (0.8 - 0.5) ln(0.8 / 0.5) + (0.2 - 0.5) ln(0.2 / 0.5), half a row in each bin apart
    assert index == pytest.approx(0.3 * math.log(1.6) - 0.3 * math.log(0.4), abs=1e-4)
    # The 99.9% quantile of chi-square with one degree of freedom is 10.83.
    assert chance == pytest.approx(10.83 * (2 / 200_000), rel=0.05)
    assert psi([3, 4], [3, 4])[0] == pytest.approx(0)
    assert psi([5, 0], [5, 0]) == (pytest.approx(0), 0.0), "one bin in use cannot move"
    assert psi([0, 0], [1, 2]) == (0.0, 0.0), "no rows, nothing to say"
    few = psi([15, 15], [22, 8])
    assert 0.2 < few[0] < few[1], "thirty rows differ by so much by chance"


@pytest.mark.slow
def test_bins_and_counts_by_hand(spark):
    rows = [(float(i % 10), "abc"[i % 3] if i < 90 else None) for i in range(100)]
    df = spark.createDataFrame(rows, "n double, k string")
    bins = learn_bins(df, ["n"], ["k"])
    assert bins == {"n": {"edges": [float(i) for i in range(9)]}, "k": {"values": ["a", "b", "c"]}}
    # Numbers: ten bins and the missing ones; categories: three values, others, missing.
    assert count_bins(df, bins) == {"n": [10] * 10 + [0], "k": [30, 30, 30, 0, 10]}
    later = spark.createDataFrame([(None, "zzz"), (99.0, "a"), (0.5, None)], "n double, k string")
    assert count_bins(later.repartition(3), bins) == {
        "n": [0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1],
        "k": [1, 0, 0, 1, 1],
    }
    empty = spark.createDataFrame([(None, None)], "n double, k string")
    bins = learn_bins(empty, ["n"], ["k"])
    assert count_bins(empty, bins) == {"n": [0, 1], "k": [0, 1]}
    assert learn_bins(df, [], []) == count_bins(df, {}) == {}
