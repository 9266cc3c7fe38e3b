"""Row changes against the run before, counted on rows whose fate is known."""

from __future__ import annotations

import pytest

from fusionspark.collect import collect
from fusionspark.config import Columns
from fusionspark.pipeline.changes import changes
from fusionspark.tables import RunFolder

COLUMNS = Columns(key=["id"], text=["text"], numeric=["n", "m"])


@pytest.fixture
def night(spark, tmp_path):
    """Collect and publish the rows of a date; returns its changes."""

    def publish(date: str, *rows: tuple) -> dict:
        attempt = RunFolder(spark, str(tmp_path), date).new_attempt()
        df = spark.createDataFrame(list(rows), "id string, text string, n double, m double")
        attempt.write(collect(df, COLUMNS).rows, "collected")
        found = changes(attempt)
        attempt.publish({"run_date": date})
        return found

    return publish


def test_rows_are_new_changed_gone_or_the_same_since_the_newest_earlier_run(night):
    a, b, c, d = (("a", "x", 1.0, None), ("b", "x", 1.0, None), ("c", None, None, 2.0), ("d", "x", 1.0, 1.0))
    assert night("2026-01-10", a, b, c) == {"new": 3, "changed": 0, "gone": 0, "same": 0, "since": None}
    moved = ("c", None, 2.0, None)
    assert night("2026-01-20", a, moved, d) == {
        "new": 1, "changed": 1, "gone": 1, "same": 1, "since": "2026-01-10",
    }  # fmt: skip
    late = {"new": 0, "changed": 0, "gone": 1, "same": 2, "since": "2026-01-10"}
    assert night("2026-01-15", a, b) == late, "compared with what was before it"


def test_a_run_without_content_hashes_is_not_compared_with(spark, tmp_path, night):
    old = RunFolder(spark, str(tmp_path), "2026-01-01").new_attempt()
    old.write(spark.sql("SELECT 'a' AS row_id"), "collected")
    old.publish({})
    assert night("2026-01-02", ("a", "x", 1.0, 1.0))["since"] is None
