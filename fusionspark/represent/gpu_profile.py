"""GPUs for one stage of a job only, where Spark can give them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

#: Spark schedules stages by resource profile on these cluster managers only; local mode would hang.
_MANAGERS = ("spark://", "yarn", "k8s://")


def stage_profiles_are_legal(master: str, version: str) -> bool:
    """Whether ``mapInArrow(profile=...)`` works with this master on this Spark version.

    >>> stage_profiles_are_legal("spark://host:7077", "4.1.0")
    True
    >>> stage_profiles_are_legal("local[4]", "4.1.0"), stage_profiles_are_legal("yarn", "3.5.6")
    (False, False)
    """
    return int(version.split(".", maxsplit=1)[0]) >= 4 and master.startswith(_MANAGERS)


def map_in_arrow(
    frame: DataFrame,
    run: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]],
    schema: StructType | str,
    gpus: float,
) -> DataFrame:
    """``frame.mapInArrow`` whose tasks ask for ``gpus`` GPUs each, where that is legal; else without."""
    options: dict[str, Any] = {}
    spark = frame.sparkSession
    if gpus > 0 and stage_profiles_are_legal(spark.conf.get("spark.master") or "", spark.version):
        from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

        # A task-only profile: executors keep what they were started with, and nothing new is acquired. It
        # takes the place of the setting too, from which tasks have their threads.
        cpus = int(spark.conf.get("spark.task.cpus", "1") or 1)
        requests = TaskResourceRequests().cpus(cpus).resource("gpu", gpus)
        options["profile"] = ResourceProfileBuilder().require(requests).build
    return frame.mapInArrow(run, schema, **options)
