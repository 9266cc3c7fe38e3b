"""Moments of the training rows of each block, in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.functions import array_to_vector
from pyspark.ml.stat import Summarizer
from pyspark.sql import functions as F

from fusionspark.columns import MODEL_DIGEST, ROW_ID
from fusionspark.errors import DataContractError
from fusionspark.fuse import block_columns
from fusionspark.fuse.blocks import Moments
from fusionspark.one_model import check_seen, digest_range
from fusionspark.tables import ordered_for_fit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

#: Parts that the training moments are summed in. Fixed, so that the sums do not depend on the machine.
FIT_PARTITIONS = 4


def training_moments(dataset: DataFrame, names: list[str]) -> list[Row]:
    """Return one row for each partition and combination of widths: ``rows``, ``w<i>`` and ``m<i>``.

    Grouping by the widths makes one pass enough: each group has one width a block, so that it can be
    summed, and unlike widths come back as counts. ``w<i>`` is null where the block is missing.

    Raises
    ------
    ModelMismatchError
        The column ``model_digest`` is there, and names two models or more.
    """
    columns = [F.col(MODEL_DIGEST)] if MODEL_DIGEST in dataset.columns else []
    for i, name in enumerate(names):
        here = block_columns.present(dataset, name)
        columns.append(F.when(here, block_columns.width(dataset, name)).alias(f"w{i}"))
        # A group without the block needs some vector to sum; its sum is never read.
        nothing = array_to_vector(F.array(F.lit(0.0)))
        columns.append(F.when(here, block_columns.as_vector(dataset, name)).otherwise(nothing).alias(f"v{i}"))
    if ROW_ID in dataset.columns:
        ordered = ordered_for_fit(dataset.select(ROW_ID, *columns), FIT_PARTITIONS)
    else:
        ordered = dataset.select(*columns)
    widths = [f"w{i}" for i in range(len(names))]
    metrics = Summarizer.metrics("mean", "variance", "numNonZeros")
    sums = [metrics.summary(F.col(f"v{i}")).alias(f"m{i}") for i in range(len(names))]
    grouped = (
        ordered.withColumn("part", F.spark_partition_id())
        .groupBy("part", *widths)
        .agg(F.count(F.lit(1)).alias("rows"), *digest_range(dataset), *sums)
        .collect()
    )
    check_seen(grouped, dataset, "input of FeatureFuser.fit")
    return sorted(grouped, key=lambda row: (row["part"], [row[width] or 0 for width in widths]))


def part_moments(part: Row, i: int) -> Moments:
    """Return the moments of block ``i`` in one row of `training_moments`."""
    rows, metrics = part["rows"], part[f"m{i}"]
    # MLlib's variance divides by n - 1, and is 0 for a single row.
    deviation = metrics["variance"].toArray() * (rows - 1)
    nonzero = int(metrics["numNonZeros"].toArray().sum())
    return Moments(rows, metrics["mean"].toArray(), deviation, nonzero)


def check_widths(name: str, i: int, parts: list[Row], rows: int, *, handle_invalid: str) -> None:
    """Raise where block ``i`` has no width, or several, or is missing though it may not be."""
    counts: dict[int, int] = {}
    for part in parts:
        if part[f"w{i}"] is not None:
            counts[part[f"w{i}"]] = counts.get(part[f"w{i}"], 0) + part["rows"]
    missing = rows - sum(counts.values())
    if not counts:
        raise DataContractError(
            f"block {name!r}",
            f"missing in all {rows} rows (null, empty, or not finite), so its width cannot be learnt",
            remedy="give the block weight 0, or rows that have it",
        )
    if len(counts) > 1:
        found = ", ".join(f"{count} of width {width}" for width, count in sorted(counts.items()))
        raise DataContractError(
            f"block {name!r}",
            f"rows of unlike width: {found}",
            allowed="one width in all rows",
            remedy="make the column again with one model and one version",
        )
    if missing and handle_invalid == "error":
        raise DataContractError(
            f"block {name!r}",
            f"missing in {missing} of {rows} rows (null, empty, or not finite)",
            allowed="a vector of finite numbers in each row under handleInvalid error",
            remedy="set handleInvalid to keep or skip",
        )
