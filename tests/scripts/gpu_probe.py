"""A Spark application that says which GPU address each task got, and where it would compute.

With ``profile`` only one stage asks for GPUs (Spark 4), without it every task of the application does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import SparkSession

from fusionspark.represent.device import task_device
from fusionspark.represent.gpu_profile import map_in_arrow


def addresses(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        pass
    # Long enough that no executor takes two tasks before the other has taken one.
    time.sleep(2)
    gpu = (TaskContext.get().resources() or {}).get("gpu")
    yield pa.RecordBatch.from_pydict(
        {"gpu": [",".join(gpu.addresses) if gpu else "none"], "device": [task_device().name]}
    )


if __name__ == "__main__":
    spark = SparkSession.builder.getOrCreate()
    asked = 1.0 if "profile" in sys.argv else 0.0
    rows = spark.range(4, numPartitions=4)
    for gpus in (asked, 0.0):
        found = map_in_arrow(rows, addresses, "gpu string, device string", gpus).collect()
        print("addresses:", " ".join(sorted(row["gpu"] for row in found)), {row["device"] for row in found})
