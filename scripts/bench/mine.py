"""Benchmark of the room mine: one part a call, one JSON line last.

    python scripts/bench/mine.py --part kmeans [--rows 100000 --width 384 --k 100 --iterations 10 --turns 3]
    python scripts/bench/mine.py --part rules | anomalies

A part is a module beside this one with ``options(parser)`` and ``measure(spark, arguments) -> dict``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys

#: Part -> module beside this file.
PARTS = {
    "kmeans": "mine_kmeans",
    "rules": "mine_rules",
    "anomalies": "mine_anomalies",
}


def main() -> None:
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--part", choices=sorted(PARTS), required=True)
    part = importlib.import_module(PARTS[first.parse_known_args()[0].part])
    parser = argparse.ArgumentParser(description=__doc__, parents=[first])
    parser.add_argument("--memory", default="8g", help="memory of the driver, which is the executor too")
    part.options(parser)
    given = parser.parse_args()

    from fusionspark.session import open_session

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = open_session("bench-mine", {"spark.driver.memory": given.memory, "spark.master": "local[2]"})
    try:
        found = part.measure(spark, given)
    finally:
        spark.stop()
    import numpy
    import pyspark

    versions = {
        "python": platform.python_version(),
        "pyspark": pyspark.__version__,
        "numpy": numpy.__version__,
    }
    print(json.dumps({"part": given.part, **found, "versions": versions, "inputs": vars(given)}))


if __name__ == "__main__":
    main()
