"""The fusion in numpy says what the fitted stage says."""

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import types as T
from scipy import sparse

from fusionspark.errors import DataContractError
from fusionspark.fuse.feature_fuser import FeatureFuser
from fusionspark.fuse.fused_rows import fuse_rows

WIDE = 600


def a_table():
    random = np.random.default_rng(3)
    dense = random.normal(size=(8, 3))
    dense[:, 1] = 0.7
    counts = sparse.random(8, WIDE, density=0.02, random_state=1, format="csr")
    numbers = random.normal(size=(8, 2)) * 100
    return dense, counts, numbers


@pytest.mark.parametrize("scale", [True, False])
def test_equal_to_the_stage_with_missing_blocks_and_a_constant(spark, scale):
    dense, counts, numbers = a_table()
    holes = {"dense": (2, 5), "numbers": (5,)}
    rows = []
    for i in range(8):
        own = counts[i]
        rows.append((
            i,
            None if i in holes["dense"] else [float(v) for v in dense[i]],
            Vectors.sparse(WIDE, own.indices.tolist(), own.data.tolist()),
            [float("nan"), 1.0] if i in holes["numbers"] else [float(v) for v in numbers[i]],
        ))  # fmt: skip
    numbers_kind = T.ArrayType(T.DoubleType())
    schema = T.StructType().add("row_id", T.IntegerType()).add("dense", numbers_kind)
    schema = schema.add("counts", VectorUDT()).add("numbers", numbers_kind)
    table = spark.createDataFrame(rows, schema)
    fuser = FeatureFuser(
        inputCols=["dense", "counts", "numbers"], weights=[1.0, 0.5, 2.0], outputCol="out", scale=scale
    )
    model = fuser.fit(table)
    assert [block.sparse for block in model.blocks] == [False, True, False]
    assert model.blocks[0].constant == (1,)
    expected = np.array([row["out"].toArray() for row in model.transform(table).orderBy("row_id").collect()])

    dense[list(holes["dense"])] = np.nan
    numbers[5, 0] = np.nan
    given = {"dense": dense, "counts": counts, "numbers": numbers}
    found = fuse_rows(model.blocks, given, scale=model.getScale(), indicator=True)
    assert found.csr().toarray() == pytest.approx(expected, rel=1e-6, abs=1e-6), "float32"
    weights = np.random.default_rng(4).normal(size=(expected.shape[1], 2))
    assert found @ weights == pytest.approx(expected @ weights, abs=1e-9)

    with pytest.raises(DataContractError, match=r"block 'numbers': rows have 1 values.* 2"):
        fuse_rows(model.blocks, {**given, "numbers": numbers[:, :1]}, scale=True, indicator=True)
