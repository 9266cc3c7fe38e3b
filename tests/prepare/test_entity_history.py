"""What a row is told of the past of its entity ends before the row."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusionspark.prepare.dates import DateParts, part_names
from fusionspark.prepare.history import HistoryFeatures

START = dt.datetime(2026, 1, 1)
WINDOWS = [2, 0]


def told(spark, rows) -> dict:
    """Features by row number of (entity, hours since START or None, value or None)."""
    data = [
        (i, entity, None if hours is None else START + dt.timedelta(hours=hours), value)
        for i, (entity, hours, value) in enumerate(rows)
    ]
    df = spark.createDataFrame(data, "id int, who string, at timestamp, n double")
    stage = HistoryFeatures(entityCols=["who"], timeCol="at", valueCols=["n"], windows=WINDOWS)
    return {
        row["id"]: tuple(row[name] for name in stage.outputCols()) for row in stage.transform(df).collect()
    }


def expected(rows, i) -> tuple:
    entity, hours, _ = rows[i]
    out: list = []
    for days in WINDOWS:
        if entity is None or hours is None:
            out += [None, None]
            continue
        past = [
            value
            for who, when, value in rows
            if who == entity and when is not None and when < hours and (not days or hours - when <= 24 * days)
        ]
        values = [value for value in past if value is not None and not np.isnan(value)]
        out += [float(len(past)), sum(values) / len(values) if values else None]
    return tuple(out)


ROW = st.tuples(
    st.sampled_from(["ann", "bob", None]),
    st.one_of(st.none(), st.integers(0, 100)),
    st.one_of(st.none(), st.integers(-5, 5).map(float), st.just(float("nan"))),
)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=40), data=st.data())
def test_a_row_sees_what_lies_before_it_and_nothing_else(spark, rows, data):
    got = told(spark, rows)
    for i in range(len(rows)):
        assert got[i] == pytest.approx(expected(rows, i))
    # Whatever the present and the future hold, its features stay.
    i = data.draw(st.integers(0, len(rows) - 1))
    now = rows[i][1]
    if now is not None:
        changed = [(who, when, 99.0 if when is None or when >= now else value) for who, when, value in rows]
        changed += [(rows[i][0], now, 99.0), (rows[i][0], now + 1, 99.0)]
        assert told(spark, changed)[i] == pytest.approx(got[i])


@pytest.mark.smoke
def test_dates_by_hand(spark):
    df = spark.createDataFrame(
        [(dt.datetime(2026, 4, 6, 6), dt.datetime(2026, 4, 8, 18)), (None, None)],
        "born timestamp, seen timestamp",
    )
    rows = DateParts(inputCols=["born"], referenceCol="seen").transform(df).collect()
    # April is a quarter of the year in, 6 April 2026 a Monday, 6 o'clock a quarter of the day in.
    assert [rows[0][name] for name in part_names("born")] == pytest.approx([2.5, 1, 0, 0, 1, 1, 0])
    assert [rows[1][name] for name in part_names("born")] == [None] * 7
