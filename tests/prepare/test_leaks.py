"""Columns that alone tell the label."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fusionspark.prepare.leaks import alone, leaks


def test_a_column_that_is_the_answer_is_named_and_noise_is_not():
    draw = np.random.default_rng(0)
    label = draw.choice(["good", "bad", "so so"], 300)
    codes = {"good": 3, "bad": 1, "so so": 2}
    rows = pd.DataFrame(
        {
            "y": label,
            "stars": [codes[one] if i % 10 else None for i, one in enumerate(label)],
            "kind": [f"{one} {i % 5}" for i, one in enumerate(label)],
            "noise": draw.normal(size=300),
            "key": [f"k{i}" for i in range(300)],
            "still": 1.0,
            "nothing": None,
        }
    )
    found = alone(rows, "y", [name for name in rows if name != "y"])
    assert set(found) == {"stars", "kind", "noise", "key"}, "what never varies tells nothing"
    assert found["kind"] > 0.99
    assert found["stars"] > 0.9
    assert found["noise"] < 0.65
    assert found["key"] < 0.65, "a key tells nothing of rows that were held out"
    assert [one["column"] for one in leaks(found, 0.9999)] == ["kind"]
    assert [one["column"] for one in leaks(found, 0.9)] == ["kind", "stars"]


@pytest.mark.parametrize("label", [["a"] * 9, ["a"] * 9 + ["b"] * 2, []])
def test_fewer_than_two_classes_are_no_error(label):
    rows = pd.DataFrame({"y": pd.Series(label, dtype=object), "n": np.arange(len(label), dtype=float)})
    assert alone(rows, "y", ["n"]) == {}
