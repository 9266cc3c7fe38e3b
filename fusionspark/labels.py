"""The labels that a table holds, in the one order that every room uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionspark.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def labels_of(dataset: DataFrame, label: str) -> list[str]:
    """Return the labels that occur, sorted; in numeric order where all are numbers.

    Raises
    ------
    ConfigError
        The table has no such column.
    """
    from pyspark.sql import functions as F

    if label not in dataset.columns:
        raise ConfigError(f"column {label!r}", f"no such column{nearest(label, dataset.columns)}")
    value = F.col(f"`{label}`")
    found = [
        str(row[0])
        for row in dataset.where(value.isNotNull()).select(value.cast("string")).distinct().collect()
    ]
    try:
        return sorted(found, key=lambda text: (float(text), text))
    except ValueError:
        return sorted(found)
