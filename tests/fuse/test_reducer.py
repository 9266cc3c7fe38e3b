"""A reduced block keeps what it should, and a missing one stays missing."""

import numpy as np
import pytest

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.fuse.reducer import BlockReducer, BlockReducerModel


@pytest.fixture(scope="module")
def rows(spark):
    random = np.random.default_rng(1)
    plane = random.normal(size=(40, 2)) @ random.normal(size=(2, 6))
    data = [(f"r{i:02}", [float(v) for v in row]) for i, row in enumerate(plane)]
    return spark.createDataFrame(
        [*data, ("none", None), ("nan", [float("nan")] * 6)], "row_id string, x array<double>"
    )


def reduced(model, rows):
    out = model.transform(rows).select("row_id", "y").collect()
    return {row.row_id: row.y for row in out}


def test_two_components_keep_all_distances_of_a_plane(rows):
    out = reduced(BlockReducer(inputCol="x", outputCol="y", method="pca", k=2).fit(rows), rows)
    assert out["none"] is None and out["nan"] is None
    given = {row.row_id: row.x for row in rows.collect() if row.row_id.startswith("r")}
    for a, b in (("r00", "r01"), ("r02", "r30"), ("r10", "r39")):
        before = np.linalg.norm(np.subtract(given[a], given[b]))
        assert np.linalg.norm(np.subtract(out[a], out[b])) == pytest.approx(before, rel=1e-6)


def test_a_random_projection_is_drawn_from_the_seed_and_saved(rows, tmp_path):
    fuser = BlockReducer(inputCol="x", outputCol="y", method="random_projection", k=4, seed=3)
    model = fuser.fit(rows)
    assert reduced(model, rows) == reduced(fuser.fit(rows.repartition(5)), rows)
    assert len(reduced(model, rows)["r00"]) == 4
    model.write().overwrite().save(str(tmp_path / "m"))
    assert reduced(BlockReducerModel.load(str(tmp_path / "m")), rows) == reduced(model, rows)


def test_bad_input_is_named(rows):
    with pytest.raises(ConfigError, match="method"):
        BlockReducer(inputCol="x", outputCol="y", method="magic").fit(rows)
    with pytest.raises(DataContractError, match="missing in all rows"):
        BlockReducer(inputCol="x", outputCol="y").fit(rows.where("row_id = 'none'"))
