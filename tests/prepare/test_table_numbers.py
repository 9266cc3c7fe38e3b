"""Numbers: clipped, straightened, and safe for what training never saw."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fusionspark.prepare.table_encoder import TableEncoder


@pytest.fixture(scope="module")
def skewed(spark):
    draw = np.random.default_rng(1)
    normal = draw.normal(size=400)
    rows = [(f"r{i}", float(np.exp(2 * z)), float(np.exp(2 * z) - 3), float(z)) for i, z in enumerate(normal)]
    return spark.createDataFrame(rows, "row_id string, counts double, signed double, plain double").cache()


@pytest.mark.smoke
def test_the_rule_for_skew_and_the_transforms_equal_scipys(spark, skewed, tmp_path):
    model = TableEncoder(numericCols=["counts", "signed", "plain"], clipShare=0.0).fit(skewed.repartition(5))
    learnt = model._learnt()["numeric"]
    assert [learnt[name]["shape"] for name in ("counts", "signed", "plain")] == ["log1p", "power", "none"]
    model.write().overwrite().save(str(tmp_path / "m"))
    again = type(model).load(str(tmp_path / "m"))
    rows = again.transform(skewed).collect()
    block = np.array([row["table_block"] for row in rows])
    assert block[:, [0, 2, 4]].mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-9)
    assert block[:, [0, 2, 4]].std(axis=0) == pytest.approx([1, 1, 1])
    signed = np.array([row["signed"] for row in rows])
    assert learnt["signed"]["exponent"] == pytest.approx(stats.yeojohnson_normmax(signed), abs=1e-3)
    straight = stats.yeojohnson(signed, learnt["signed"]["exponent"])
    assert block[:, 2] == pytest.approx((straight - straight.mean()) / straight.std())
    new = spark.createDataFrame([(-5.0, None, 1e300)], "counts double, signed double, plain double")
    assert np.isfinite(again.transform(new).collect()[0]["table_block"]).all()


def test_outliers_are_clipped_to_the_quantiles_by_hand(spark):
    df = spark.createDataFrame([(float(i),) for i in [*range(1, 100), 1_000_000]], "n double")
    model = TableEncoder(numericCols=["n"], clipShare=0.05, maxSkew=0.0).fit(df)
    learnt = model._learnt()["numeric"]["n"]
    assert (learnt["low"], learnt["high"], learnt["median"]) == (5.0, 95.0, 50.0)
    new = spark.createDataFrame([(-7.0,), (5.0,), (95.0,), (1e9,)], "n double")
    first, second, third, fourth = (row["table_block"][0] for row in model.transform(new).collect())
    assert (first, fourth) == (second, third)


def test_rare_categories_share_features_by_their_hash(spark):
    df = spark.createDataFrame([(c,) for c in ["b", "b", "a", "c", None]], "k string")
    model = TableEncoder(categoricalCols=["k"], maxCategories=1, hashBuckets=3).fit(df)
    assert model.featureNames == [
        "k = b", "k is another (1 of 3)", "k is another (2 of 3)", "k is another (3 of 3)", "k is missing",
    ]  # fmt: skip
    rows = {row["k"]: row["table_block"] for row in model.transform(df).collect()}
    assert rows["b"] == [1, 0, 0, 0, 0]
    assert rows[None] == [0, 0, 0, 0, 1]
    assert (sum(rows["a"]), sum(rows["a"][1:4])) == (1, 1)
