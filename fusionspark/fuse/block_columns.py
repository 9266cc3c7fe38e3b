"""Column expressions over one block, the same for arrays and for MLlib vectors. All run inside the JVM."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fusionspark.errors import ConfigError, DataContractError, nearest
from fusionspark.fuse.blocks import Block

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def is_vector(dataset: DataFrame, name: str) -> bool:
    """Return whether block ``name`` holds MLlib vectors; False means an array of floats or doubles.

    Raises
    ------
    ConfigError
        The column is missing.
    DataContractError
        The column has another type.
    """
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.types import ArrayType, DoubleType, FloatType

    if name not in dataset.columns:
        raise ConfigError(
            f"block {name!r}",
            f"no such column{nearest(name, dataset.columns)}",
            allowed=", ".join(dataset.columns),
            remedy="name a column of the features' input, or give the block weight 0",
        )
    kind = dataset.schema[name].dataType
    if isinstance(kind, VectorUDT):
        return True
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, FloatType | DoubleType):
        return False
    raise DataContractError(
        f"block {name!r}",
        f"the column is of type {kind.simpleString()}",
        allowed="vector, array<float>, array<double>",
        remedy="turn a single number into a vector with MLlib's VectorAssembler",
    )


def values(dataset: DataFrame, name: str) -> Column:
    """Return the block's stored values as an array (for a sparse vector only the non-zeros)."""
    from pyspark.sql import functions as F

    column = F.col(f"`{name}`")
    return F.unwrap_udt(column)["values"] if is_vector(dataset, name) else column


def width(dataset: DataFrame, name: str) -> Column:
    """Return the width of the block in each row; null or -1 where the block is null."""
    from pyspark.sql import functions as F

    stored = F.size(values(dataset, name))
    if not is_vector(dataset, name):
        return stored
    return F.coalesce(F.unwrap_udt(F.col(f"`{name}`"))["size"], stored)


def present(dataset: DataFrame, name: str) -> Column:
    """Return whether the block can be used: not null, not empty, every value a finite number."""
    from pyspark.sql import functions as F

    stored = values(dataset, name)
    kind = "double" if is_vector(dataset, name) else dataset.select(stored).schema[0].dataType.elementType  # type: ignore[attr-defined]
    # array_contains answers null where the array holds a null, and knows NaN as equal to itself.
    usable = width(dataset, name) > 0
    for bad in (float("nan"), float("inf"), float("-inf")):
        usable = usable & ~F.array_contains(stored, F.lit(bad).cast(kind))
    return F.coalesce(usable, F.lit(False))


def as_vector(dataset: DataFrame, name: str) -> Column:
    """Return the block as an MLlib vector."""
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    column = F.col(f"`{name}`")
    return column if is_vector(dataset, name) else array_to_vector(column)


def doubles(numbers: Sequence[float | None]) -> Column:
    """Return a constant array<double>. Spark folds it into one literal; JSON keeps every digit."""
    from pyspark.sql import functions as F

    return F.from_json(F.lit(json.dumps(numbers)), "array<double>")


def fused(dataset: DataFrame, block: Block, *, scale: bool) -> Column:
    """Return the block centred, scaled and weighted, as a vector of ``block.dim`` values.

    A missing block becomes its training mean, a sparse one zeros. A row of another width fails when it
    is read, with the block, the width found and the width learnt.
    """
    from pyspark.ml.functions import array_to_vector, vector_to_array
    from pyspark.sql import functions as F

    here, found = present(dataset, block.name), width(dataset, block.name)
    factor = block.factor(scale=scale)
    wrong = F.raise_error(
        F.concat(
            F.lit(f"block '{block.name}': a row has "),
            found.cast("string"),
            F.lit(
                f" values, the fitted block has {block.dim}. Remedy: make the column as it was made for fit, "
                "or fit again."
            ),
        )
    )
    if block.sparse:
        empty = array_to_vector(F.array_repeat(F.lit(0.0), block.dim))
        return F.when(~here, empty).when(found != block.dim, wrong).otherwise(as_vector(dataset, block.name))
    column = F.col(f"`{block.name}`")
    array = vector_to_array(column) if is_vector(dataset, block.name) else column
    mean = list(block.mean or ())
    if scale:
        still = set(block.constant)
        centres = [None if i in still else centre for i, centre in enumerate(mean)]
        # Only a constant position has no centre here: a row with a null inside counts as missing.
        out = F.zip_with(
            array,
            doubles(centres),
            lambda value, centre: F.coalesce((value - centre) * F.lit(factor), F.lit(0.0)),
        )
        fill = doubles([0.0] * block.dim)
    else:
        out = F.transform(array, lambda value: value * F.lit(factor))
        fill = doubles([value * factor for value in mean])
    return array_to_vector(F.when(~here, fill).when(found != block.dim, wrong).otherwise(out))
