"""Where rows lie for distances between them, by hand and against scikit-learn."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from fusionspark.mine.block_space import COMPONENTS, BlockSpace


def made(seed: int, rows: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def test_a_column_on_one_axis_and_a_block_on_many_get_equal_first_axes():
    rng = np.random.default_rng(2)
    # One yes-or-no column of variance 1, and eight axes that share it.
    yes = np.where(np.arange(400) % 2, 1.0, -1.0)[:, None]
    wide = np.linalg.qr(rng.normal(size=(400, 9)) - rng.normal(size=9))[0][:, :8]
    wide = (wide - wide.mean(axis=0)) * np.sqrt(400 / 8)
    rows = np.concatenate([yes, wide, np.full((400, 2), 7.0)], axis=1).astype(np.float32)
    blocks = {"table": (0, 1, 1.0), "more": (1, 9, 0.5), "still": (9, 11, 1.0)}
    found = BlockSpace.fit(rows, blocks, directed=["still"], seed=1).factors
    assert found["table"] == pytest.approx(1.0)
    first = np.linalg.svd(wide, compute_uv=False)[0] / 20
    assert found["more"] == pytest.approx(0.5 / first, rel=1e-4)
    assert found["more"] > 1.2, "an eighth of the variance lies on its first axis, and the weight is a half"
    assert found["still"] == 1.0
    assert BlockSpace.fit(rows[:1], blocks, directed=["more"], seed=1).factors == dict.fromkeys(blocks, 1.0)


def test_a_directed_block_becomes_its_principal_components_of_unit_length():
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    rows = np.concatenate([made(1, 500, 200) * np.geomspace(9, 0.01, 200), made(2, 500, 3)], axis=1)
    rows = rows.astype(np.float32)
    blocks = {"text": (0, 200, 1.0), "table": (200, 203, 1.0)}
    space = BlockSpace.fit(rows, blocks, directed=["text"], seed=1)
    found = space.place(rows)
    assert found.shape == (500, COMPONENTS + 3)
    expected = normalize(PCA(COMPONENTS, svd_solver="full").fit_transform(rows[:, :200].astype(float)))
    factor = space.factors["text"]
    assert np.linalg.norm(found[:, :COMPONENTS], axis=1) == pytest.approx(np.full(500, factor), rel=1e-6)
    # Signs of axes are free; cosines of rows are not.
    cosines = found[:, :COMPONENTS] @ found[:, :COMPONENTS].T / factor**2
    assert np.abs(cosines - expected @ expected.T).max() < 2e-3
    assert found[:, COMPONENTS:] == pytest.approx(rows[:, 200:] * space.factors["table"], rel=1e-6)
    first = np.linalg.svd(found[:, :COMPONENTS] - found[:, :COMPONENTS].mean(axis=0), compute_uv=False)[0]
    assert first**2 / 500 == pytest.approx(1.0, rel=1e-4)


def test_sparse_rows_batches_and_a_saved_space_change_nothing():
    rows = made(3, 60, 90)
    rows[rows < 0.5] = 0.0
    blocks = {"tfidf": (0, 80, 1.0), "table": (80, 90, 2.0)}
    space = BlockSpace.fit(rows, blocks, directed=["tfidf", "text"], seed=4)
    whole = space.place(rows)
    again = BlockSpace.from_json(space.to_json())
    assert again.factors == space.factors
    pieces = [again.place(csr_matrix(rows[i : i + 7])) for i in range(0, 60, 7)]
    assert np.concatenate(pieces) == pytest.approx(whole, abs=1e-6)
    assert whole.shape[1] < 90, "sixty rows have fewer principal axes than the block has words"


def test_a_row_without_a_direction_lies_in_the_middle():
    rows = made(5, 40, 8)
    space = BlockSpace.fit(rows, {"text": (0, 8, 1.0)}, directed=["text"], seed=1)
    mean = space.blocks[0].mean
    assert np.abs(space.place(np.stack([mean, mean + 1e-15]))).max() == 0.0
    assert np.linalg.norm(space.place(np.zeros((1, 8)))) == pytest.approx(space.factors["text"])
