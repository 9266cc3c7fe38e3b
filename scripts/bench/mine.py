"""Benchmark of the room mine: one part a call, one JSON line last. Ends with 1 where a floor is missed.

    python scripts/bench/mine.py --part kmeans|rules|anomalies|quality|names [options; see --help]

A part is a module beside this one with ``options(parser)`` and ``measure(spark, arguments) -> dict``, whose
``passed`` says whether the floors hold.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# Workers import the checkout, too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])

#: Part -> module beside this file.
PARTS = {name: f"mine_{name}" for name in ("kmeans", "rules", "anomalies", "quality", "names")}
LIBRARIES = ("pyspark", "numpy", "scikit-learn")


def main() -> int:
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--part", choices=sorted(PARTS), required=True)
    named = [argument for argument in sys.argv[1:] if argument not in ("-h", "--help")]
    part = importlib.import_module(PARTS[first.parse_known_args(named)[0].part])
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=part.__doc__, parents=[first], formatter_class=raw)
    parser.add_argument("--memory", default="8g", help="memory of the driver, which is the executor too")
    part.options(parser)
    given = parser.parse_args()

    from fusionspark.session import open_session

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = open_session(f"bench-{given.part}", {"spark.driver.memory": given.memory})
    try:
        found = part.measure(spark, given)
    finally:
        spark.stop()
    versions = {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
    print(json.dumps({"part": given.part, **found, "versions": versions, "inputs": vars(given)}))
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
