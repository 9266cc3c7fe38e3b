"""Moments and layout of blocks: no Spark."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionspark.fuse.blocks import Block, Moments, layout, learn


def moments(rows: np.ndarray) -> Moments:
    return Moments(
        len(rows), rows.mean(axis=0), ((rows - rows.mean(axis=0)) ** 2).sum(axis=0), int((rows != 0).sum())
    )


@given(st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=6), min_size=1, max_size=5))
def test_merged_parts_equal_the_whole(parts: list[list[float]]) -> None:
    arrays = [np.array(part).reshape(-1, 1) for part in parts]
    merged, whole = Moments.merge([moments(a) for a in arrays]), moments(np.concatenate(arrays))
    assert merged.rows == whole.rows
    assert merged.nonzero == whole.nonzero
    assert merged.mean == pytest.approx(whole.mean, abs=1e-9)
    assert merged.deviation == pytest.approx(whole.deviation, abs=1e-6)


def test_norm_is_the_root_of_the_mean_squared_centred_norm() -> None:
    # Centred rows (-3, -4) and (3, 4): squared norm 25 each.
    block = learn("b", 1.0, moments(np.array([[0.0, 0.0], [6.0, 8.0]])), 0, vector=True)
    assert block.mean == (3.0, 4.0)
    assert block.norm == 5.0
    assert block.factor(scale=True) == 0.2
    assert block.factor(scale=False) == 1.0


def test_wide_vectors_with_many_zeros_stay_sparse_and_arrays_never_do() -> None:
    rows = np.zeros((2, 512))
    rows[:, 0] = [3.0, 4.0]
    sparse = learn("b", 1.0, moments(rows), 0, vector=True)
    assert sparse.sparse
    assert sparse.norm == pytest.approx(np.sqrt((9 + 16) / 2))
    assert not learn("b", 1.0, moments(rows), 0, vector=False).sparse
    assert not learn("b", 1.0, moments(rows[:, :511]), 0, vector=True).sparse


def test_constant_block_has_norm_zero_and_factor_zero() -> None:
    block = learn("b", 2.0, moments(np.full((3, 2), 0.1)), 0, vector=True)
    assert block.norm == 0.0
    assert block.factor(scale=True) == 0.0
    assert block.factor(scale=False) == 2.0


def test_position_that_never_varied_is_known_also_among_tiny_values() -> None:
    rows = np.array([[0.1, 1e-15], [0.1, 3e-15], [0.1 + 1e-17, 2e-15]])
    assert learn("b", 1.0, moments(rows), 0, vector=False).constant == (0,)
    assert learn("b", 1.0, moments(rows[:, 1:]), 0, vector=False).constant == ()


def test_layout_puts_the_indicator_last_in_its_slice() -> None:
    blocks = [Block("a", 2, 1.0, (0.0, 0.0), 1.0, 1, 0), Block("b", 3, 0.5, None, 1.0, 1, 0)]
    assert layout(blocks, indicator=True) == [("a", 0, 3, 1.0), ("b", 3, 7, 0.5)]
    assert layout(blocks, indicator=False) == [("a", 0, 2, 1.0), ("b", 2, 5, 0.5)]
    assert [Block.from_dict(block.to_dict()) for block in blocks] == blocks
