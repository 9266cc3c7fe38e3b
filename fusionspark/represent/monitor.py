"""Counters that travel from the workers to the driver through a Spark accumulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.accumulators import AccumulatorParam

if TYPE_CHECKING:
    from pyspark.accumulators import Accumulator
    from pyspark.sql import SparkSession

#: Kept at the lowest or highest value seen, not summed.
_LOWEST = frozenset({"token_budget", "lowest_cosine"})
_HIGHEST = frozenset({"canary_distance"})


class CountersParam(AccumulatorParam[dict[str, Any]]):
    """Merges dicts: numbers add up, lists become sorted sets, a text keeps the last one that says something.

    >>> CountersParam().addInPlace({"rows": 2, "workers": ["a"]}, {"rows": 3, "workers": ["b", "a"]})
    {'rows': 5, 'workers': ['a', 'b']}
    """

    def zero(self, value: dict[str, Any]) -> dict[str, Any]:
        """Start value of a task's own copy."""
        return {}

    def addInPlace(self, value1: dict[str, Any], value2: dict[str, Any]) -> dict[str, Any]:
        """Merge ``value2`` into ``value1``."""
        for name, new in value2.items():
            old = value1.get(name)
            if old is None:
                value1[name] = new
            elif isinstance(new, list):
                value1[name] = sorted({*old, *new})
            elif isinstance(new, str):
                value1[name] = new or old
            elif name in _HIGHEST:
                value1[name] = max(old, new)
            else:
                value1[name] = min(old, new) if name in _LOWEST else old + new
        return value1


def counters_accumulator(spark: SparkSession) -> Accumulator[dict[str, Any]]:
    """A fresh accumulator for the ``monitor`` of a stage.

    Its ``value`` holds ``rows, texts_encoded, tokens, padded_tokens, batches, failed, seconds_tokenize,
    seconds_compute, token_budget, out_of_memory, last_error, model_loads, workers`` (names of the
    processes) as soon as a task has ended. Spark may count a task twice when it is retried.
    """
    return spark.sparkContext.accumulator({}, CountersParam())
