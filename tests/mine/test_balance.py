"""Blocks of the fused features in distances between rows, by hand."""

import numpy as np
import pytest

from fusionspark.mine.balance import block_factors


def test_a_column_on_one_axis_and_a_block_on_many_get_equal_first_axes():
    rng = np.random.default_rng(2)
    # One yes-or-no column of variance 1, and eight axes that share it.
    yes = np.where(np.arange(400) % 2, 1.0, -1.0)[:, None]
    wide = np.linalg.qr(rng.normal(size=(400, 9)) - rng.normal(size=9))[0][:, :8]
    wide = (wide - wide.mean(axis=0)) * np.sqrt(400 / 8)
    rows = np.concatenate([yes, wide, np.full((400, 2), 7.0)], axis=1)
    blocks = {"table": (0, 1, 1.0), "text": (1, 9, 0.5), "still": (9, 11, 1.0)}
    found = block_factors(rows.astype(np.float32), blocks, seed=1)
    assert found["table"] == pytest.approx(1.0)
    first = np.linalg.svd(wide, compute_uv=False)[0] / 20
    assert found["text"] == pytest.approx(0.5 / first, rel=1e-4)
    assert found["text"] > 1.2, "an eighth of the variance lies on its first axis, and the weight is a half"
    assert found["still"] == 1.0
    assert block_factors(rows[:1].astype(np.float32), blocks, seed=1) == dict.fromkeys(blocks, 1.0)
