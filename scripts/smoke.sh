#!/usr/bin/env bash
# The smoke tests on another Spark line, beside the installed one and without touching it.
#
#     scripts/smoke.sh 3.5 [PYTEST OPTION...]
#
# VENV names the environment whose other libraries are used; SMOKE_DIR (default: build/smoke) keeps the
# Spark of each line for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
SMOKE_DIR=${SMOKE_DIR:-build/smoke}
line=${1:?a Spark line, for example 3.5}
shift
mkdir -p "$SMOKE_DIR"
target=$(cd "$SMOKE_DIR" && pwd)/spark-$line
python=$(cd "$VENV/bin" && pwd)/python

if [ ! -f "$target/.complete" ]; then
    rm -rf "$target"
    "$python" -m pip install --quiet --quiet --no-deps --target "$target" "pyspark==$line.*"
    # The py4j that this Spark names: any other may fail to talk to its Java side.
    py4j=$(PYTHONPATH=$target "$python" -c '
from importlib.metadata import requires
print(next(r.split(";")[0].strip() for r in requires("pyspark") if r.startswith("py4j")).replace("(", "").replace(")", "").replace(" ", ""))')
    "$python" -m pip install --quiet --quiet --no-deps --target "$target" "$py4j"
    touch "$target/.complete"
fi

export PYTHONPATH=$target PYSPARK_PYTHON=$python PYSPARK_DRIVER_PYTHON=$python SPARK_HOME=$target/pyspark
export SPARK_LOCAL_IP=127.0.0.1

# Driver, JVM and Python workers must all be of this line; a mixture would test nothing.
"$python" - "$line" <<'PY'
import sys

import pyspark
from pyspark.sql import SparkSession


def version_there(batches):
    import pandas as pd

    import pyspark

    for _ in batches:
        yield pd.DataFrame({"version": [pyspark.__version__]})


spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
worker = spark.range(1).mapInPandas(version_there, "version string").first()["version"]
found = {"driver": pyspark.__version__, "jvm": spark.version, "worker": worker}
spark.stop()
print("smoke:", ", ".join(f"{where} {version}" for where, version in found.items()))
if not all(version.startswith(sys.argv[1] + ".") for version in found.values()):
    sys.exit(f"smoke: wanted {sys.argv[1]} everywhere")
PY
exec "$python" -m pytest -m smoke -n "${JOBS:-2}" --dist loadfile "$@"
