"""Clusters keep their ids and names from one run date to the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fusionspark import columns as c
from fusionspark.config import Config
from fusionspark.pipeline.cluster_nights import identity
from fusionspark.pipeline.context import Context
from fusionspark.tables import RunFolder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DIGEST = {"represent": {"model_digest": "abc"}}


def written(spark: SparkSession, folder: RunFolder, groups: dict[str, int]) -> DataFrame:
    """Write clusters, and embeddings that lie where the first letter of the row says."""
    places = {"a": [1.0, 0.0], "b": [0.0, 1.0], "x": [-1.0, -1.0]}
    vectors = [(row, places[row[0]], 1, False, c.OK, "abc") for row in groups]
    folder.write(spark.createDataFrame(vectors, c.EMBEDDINGS_DDL), c.EMBEDDINGS)
    rows = [(row, group, 0.0) for row, group in groups.items()]
    return folder.write(spark.createDataFrame(rows, c.CLUSTERS_DDL), c.CLUSTERS)


@pytest.fixture
def before(spark: SparkSession, tmp_path: Path) -> RunFolder:
    """A published run with the clusters 4 (rows a*) and 7 (rows b*), ids up to 8 taken."""
    folder = RunFolder(spark, str(tmp_path), "2026-01-01").new_attempt()
    written(spark, folder, {**{f"a{i}": 4 for i in range(6)}, **{f"b{i}": 7 for i in range(4)}})
    folder.mark_stage("represent", DIGEST)
    clusters = [{"id": 4, "name": "apples", "rows": 6}, {"id": 7, "name": "", "rows": 4}]
    folder.publish({"cluster": {"clusters": clusters, "next_id": 9}})
    return folder


def tonight(before: RunFolder) -> Context:
    folder = replace(before, run_date="2026-01-02", attempt=None).new_attempt()
    return Context(
        before.spark, Config.model_validate({"columns": {"text": "t"}}), folder, facts={"represent": DIGEST}
    )


def test_rows_of_both_runs_decide(spark: SparkSession, before: RunFolder) -> None:
    ctx = tonight(before)
    # Number 0 has the rows b*, number 2 the rows a*; one row of a* is alone with a new one.
    groups = {"a0": 1, "x0": 1, **{f"a{i}": 2 for i in range(1, 6)}, **{f"b{i}": 0 for i in range(4)}}
    found = identity(ctx, written(spark, ctx.run, groups), 3)
    assert found["ids"] == [7, 9, 4]
    assert (found["next_id"], found["names"]) == (10, {"4": "apples"})
    since: Any = found["since"]
    assert (since["run_date"], since["by"], since["kept"], since["born"], since["died"]) == (
        "2026-01-01", "rows", [4, 7], [9], [],
    )  # fmt: skip
    assert (since["shared"], since["moved"]) == (10, 1)


def test_of_other_rows_the_texts_decide(spark: SparkSession, before: RunFolder) -> None:
    ctx = tonight(before)
    found = identity(ctx, written(spark, ctx.run, {"b9": 0, "b8": 0, "x1": 1, "x2": 1}), 2)
    assert (found["ids"], found["since"]["by"]) == ([7, 9], "texts")
    assert found["since"]["died"] == [{"id": 4, "name": "apples", "rows": 6}]
    assert found["since"]["stability"] is None
    # Vectors of another model say nothing, and all clusters are new.
    other = replace(ctx, facts={"represent": {"represent": {"model_digest": "other"}}})
    strange = identity(other, ctx.run.read(c.CLUSTERS), 2)
    assert (strange["ids"], strange["since"]["by"]) == ([9, 10], None)


def test_a_first_run_and_a_full_one_number_anew(
    spark: SparkSession, before: RunFolder, tmp_path: Path
) -> None:
    ctx = tonight(before)
    assigned = written(spark, ctx.run, {"a0": 0, "b0": 1})
    fresh = {"ids": [0, 1], "next_id": 2, "names": {}, "since": None}
    assert identity(replace(ctx, full=True), assigned, 2) == fresh
    first = replace(ctx, run=replace(ctx.run, root=str(tmp_path / "elsewhere")))
    assert identity(first, assigned, 2) == fresh
