"""Steps that work row by row in Python, several of them in one pass.

Spark gives every Python UDF of a plan worker processes of its own and lets idle ones change their part: with
a UDF for each step a tagger would sooner or later be loaded in all of them. One UDF for all steps needs one
worker a core, and a text goes to Python and back once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

#: Values of some rows, by column.
Values = dict[str, list[Any]]
Work = Callable[[Values], Values]

#: Column that only carries what the UDF returns.
_SCRATCH = "__steps"


class PythonStep(Protocol):
    """A stage whose `transform` is one plain function in a worker."""

    def reads(self) -> list[str]:
        """Columns that it needs."""
        ...

    def writes(self) -> dict[str, str]:
        """Columns that it adds, and their types."""
        ...

    def work(self) -> Work:
        """The function: values of the columns read to values of the columns written.

        It is made on the driver, and so is where wrong Params are named.
        """
        ...


def together(dataset: DataFrame, steps: Sequence[PythonStep]) -> DataFrame:
    """Apply the steps in their order, in one Python UDF; lazy. A step may read what one before it writes."""
    needed: list[str] = []
    made: dict[str, str] = {}
    for step in steps:
        needed += [name for name in step.reads() if name not in made and name not in needed]
        made |= step.writes()
    works = [step.work() for step in steps]
    fields = ", ".join(f"`{name}` {kind}" for name, kind in made.items())

    @pandas_udf(fields)  # type: ignore[call-overload]
    def run(parts: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        for part in parts:
            # A single column comes bare.
            columns = (part,) if isinstance(part, pd.Series) else part
            values = {name: column.tolist() for name, column in zip(needed, columns, strict=True)}
            for work in works:
                values |= work(values)
            yield pd.DataFrame({name: pd.Series(values[name], dtype=object) for name in made})

    wide = dataset.withColumn(_SCRATCH, run(*[F.col(f"`{name}`") for name in needed]))
    for name in made:
        wide = wide.withColumn(name, F.col(f"{_SCRATCH}.`{name}`"))
    return wide.drop(_SCRATCH)
