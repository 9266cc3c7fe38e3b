"""The guard against vectors of two models in one table."""

from __future__ import annotations

from pyspark.sql import DataFrame

from fusionspark.columns import MODEL_DIGEST
from fusionspark.errors import ModelMismatchError


def check_one_model(vectors: DataFrame, table: str) -> None:
    """Raise unless all rows of ``vectors`` name one model; a few milliseconds, the column is constant.

    Raises
    ------
    ModelMismatchError
        Rows of two or more model digests; the message counts the rows of each.
    """
    counts = {row[0]: row["count"] for row in vectors.groupBy(MODEL_DIGEST).count().collect()}
    if len(counts) > 1:
        each = ", ".join(f"{n} rows of {str(digest)[:12]}" for digest, n in sorted(counts.items(), key=str))
        raise ModelMismatchError(
            f"table {table!r}",
            f"mixes vectors of {len(counts)} models: {each}",
            allowed="one model digest in a table",
            remedy="run the stage represent again for all rows",
        )
