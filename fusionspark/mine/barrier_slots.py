"""Whether and how wide a barrier stage can be scheduled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def slots(spark: SparkSession) -> int:
    """Return how many tasks of the default profile can run at the same time; at least 1."""
    scheduler: Any = spark.sparkContext._jsc.sc()  # type: ignore[attr-defined]
    profile = scheduler.resourceProfileManager().defaultResourceProfile()
    return max(1, int(scheduler.maxNumConcurrentTasks(profile)))


def why_no_barrier(spark: SparkSession, tasks: int) -> str:
    """Return why a barrier stage of so many tasks cannot run; empty where it can.

    All tasks of such a stage must start together, so each needs a slot, and Spark refuses it where executors
    come and go (SPARK-24942).
    """
    context: Any = spark.sparkContext
    # Asked as Spark asks itself: the setting alone means nothing on a local master.
    dynamic = context._jvm.org.apache.spark.util.Utils.isDynamicAllocationEnabled(context._jsc.sc().conf())
    if dynamic:
        return (
            "a barrier stage cannot be scheduled with dynamic allocation "
            "(spark.dynamicAllocation.enabled is true)"
        )
    free = slots(spark)
    if tasks > free:
        return f"a barrier stage of {tasks} tasks needs as many slots, and the executors have {free}"
    return ""
