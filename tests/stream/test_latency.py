"""Percentiles of rows that landed in groups."""

import pytest

from fusionspark.stream import latency
from fusionspark.stream.latency import Latency, percentile


@pytest.mark.parametrize(
    "share, seconds", [(0.0, 0.5), (0.01, 0.5), (0.1, 0.5), (0.11, 1.0), (0.9, 1.0), (0.91, 4.0), (1.0, 4.0)]
)
def test_a_group_counts_with_its_rows(share, seconds):
    assert percentile([(4.0, 1), (0.5, 1), (1.0, 8)], share) == seconds


def test_without_rows_there_is_none():
    assert percentile([], 0.5) is None
    assert Latency().figures() == {"p50": None, "p99": None}


def test_the_newest_groups_count(monkeypatch):
    monkeypatch.setattr(latency, "MOST_GROUPS", 2)
    seen = Latency()
    seen.add([(9.0, 1), (1.0, 1)])
    seen.add([(2.00049, 3)])
    assert seen.figures() == {"p50": 2.0, "p99": 2.0}
