#!/usr/bin/env bash
# The demo on a standalone cluster of two workers equals the demo in local mode, table by table.
#
#     scripts/cluster_test.sh [CONF]      default: conf/demo.yaml, after scripts/fetch_demo.py
#
# VENV names the environment; CLUSTER_TEST_DIR keeps the two outputs there instead of in a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
conf=${1:-conf/demo.yaml}
work=${CLUSTER_TEST_DIR:-$(mktemp -d)}
mkdir -p "$work"
export VENV CLUSTER_DIR=${CLUSTER_DIR:-$work/cluster}

finish() {
    local status=$?
    scripts/cluster.sh down || true
    [ -n "${CLUSTER_TEST_DIR:-}" ] || rm -rf "$work"
    exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# The same date for both: it is part of the run's identity, not of the machine.
date=2024-01-01
# Both ask for GPUs in the stage that embeds; local mode has none to give and goes on without.
common=(--run-date "$date" --set represent.gpu_amount=1)
PYSPARK_PYTHON=$(cd "$VENV/bin" && pwd)/python
export PYSPARK_PYTHON
SPARK_HOME=$("$PYSPARK_PYTHON" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
export SPARK_HOME

echo "cluster test: the run in local mode"
start=$SECONDS
"$VENV/bin/fusionspark" run "$conf" --set "output=$work/local" "${common[@]}"
echo "cluster test: local mode took $((SECONDS - start)) s"

master=$(scripts/cluster.sh up)
# Tasks that embed ask for the GPU address of their worker, and no other task does.
gpus=(--conf spark.executor.resource.gpu.amount=1)
echo "cluster test: the run on $master"
start=$SECONDS
SPARK_LOCAL_IP=127.0.0.1 "$SPARK_HOME/bin/spark-submit" --master "$master" \
    --properties-file conf/spark-standalone.conf "${gpus[@]}" \
    jobs/run.py "$conf" --set "output=$work/cluster" "${common[@]}"
echo "cluster test: the cluster took $((SECONDS - start)) s"

# Both workers must have done some of the work, or this was a test of one machine.
executors=$(find "$CLUSTER_DIR/work" -mindepth 4 -maxdepth 4 -name stderr | wc -l)
[ "$executors" -ge 2 ] || { echo "cluster test: only $executors executors ran" >&2; exit 1; }

"$VENV/bin/python" scripts/compare_runs.py "$work/local/runs/$date" "$work/cluster/runs/$date"
