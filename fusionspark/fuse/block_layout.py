"""Where each block lies in a joined vector, read from the column's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionspark.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def layout_of(dataset: DataFrame, name: str) -> dict[str, tuple[int, int]]:
    """Return ``{block: (start, end)}`` of a column that a fuser of this room made.

    Raises
    ------
    ConfigError
        The column is missing, or carries no layout.
    """
    if name not in dataset.columns:
        raise ConfigError(
            f"column {name!r}",
            f"no such column{nearest(name, dataset.columns)}",
            allowed=", ".join(dataset.columns),
        )
    described = dataset.schema[name].metadata.get("layout")
    if not described:
        raise ConfigError(
            f"column {name!r}",
            "carries no layout of blocks in its metadata",
            remedy="make it with FeatureFuser, and keep the column's metadata",
        )
    return parse(described)


def parse(described: list[str]) -> dict[str, tuple[int, int]]:
    """Read the layout that a fuser wrote, one ``block:start:end:weight`` an entry.

    >>> parse(["text:0:384:1.0", "a:b:384:386:0.5"])
    {'text': (0, 384), 'a:b': (384, 386)}
    """
    found = {}
    for entry in described:
        name, start, end, _ = entry.rsplit(":", 3)
        found[name] = (int(start), int(end))
    return found
