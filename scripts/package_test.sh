#!/usr/bin/env bash
# The archives of scripts/package.sh on a cluster of this machine whose workers find no Python of their own:
# a run submitted from an empty folder ends with every row.
#
#     scripts/package_test.sh [DIST]      default: dist, as scripts/package.sh left it
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
dist=$(cd "${1:-dist}" && pwd)
VENV=$(cd "${VENV:-.venv}" && pwd)
work=$(mktemp -d)
export VENV CLUSTER_DIR=$work/cluster

finish() {
    local status=$?
    "$root/scripts/cluster.sh" down || true
    rm -rf "$work"
    exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

SPARK_HOME=$("$VENV/bin/python" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
export SPARK_HOME
# A PATH with the tools that Spark's scripts call, and no Python.
mkdir -p "$work/bin" "$work/empty"
for tool in bash sh env cat dirname basename readlink uname nice rm mkdir tar gzip ls chmod cp ps grep sed hostname id nohup setsid tr paste; do
    path=$(command -v $tool) && ln -s "$path" "$work/bin/$tool"
done
JAVA_HOME=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}
export JAVA_HOME

master=$(CLUSTER_PATH=$work/bin scripts/cluster.sh up)
cd "$work/empty"
mkdir environment model
tar xzf "$dist/environment.tar.gz" -C environment
tar xzf "$dist/model.tar.gz" -C model
cp "$root/jobs/run.py" .
environment/bin/python - <<'PY'
import pyarrow as pa, pyarrow.parquet as pq

n = 60
pq.write_table(
    pa.table(
        {
            "id": [f"r{i}" for i in range(n)],
            "text": [("the red cat sat" if i % 2 else "a blue dog ran") + f" {i}" for i in range(n)],
            "size": [float(i) for i in range(n)],
            "mood": ["good" if i % 2 else "bad" for i in range(n)],
        }
    ),
    "rows.parquet",
)
PY
cat >moods.yaml <<YAML
title: Moods
output: $work/empty/out
source: {path: $work/empty/rows.parquet}
columns: {key: id, text: text, numeric: size, label: mood}
represent: {model: ./model}
mine: {classify: {algorithms: [logistic_regression], max_iter: 5}, cluster: {k: 2, max_iter: 3}}
YAML
env -u PYTHONPATH PATH="$work/bin" SPARK_LOCAL_IP=127.0.0.1 \
    PYSPARK_DRIVER_PYTHON="$work/empty/environment/bin/python" PYSPARK_PYTHON=./environment/bin/python \
    "$SPARK_HOME/bin/spark-submit" --master "$master" --properties-file "$root/conf/spark-standalone.conf" \
    --archives "$dist/environment.tar.gz#environment,$dist/model.tar.gz#model" \
    run.py moods.yaml --run-date 2024-01-01
environment/bin/python - <<'PY'
import json, pathlib

run = json.loads(pathlib.Path("out/runs/2024-01-01/run.json").read_text())
assert run["rows"] == {"in": 60, "out": 60, "quarantined": 0}, run["rows"]
assert run["represent"]["encoded"] == 60, run["represent"]
print("package test: 60 rows in, 60 out, all encoded by the archive's own Python")
PY
