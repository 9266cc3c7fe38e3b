#!/usr/bin/env bash
# Every verb on a standalone cluster of two workers does what it does in local mode: run, score, stream, tune and
# replay, compared table by table, over half of the demo's reviews, a few of which break the contract.
#
#     scripts/cluster_test.sh [VERB ...]      default: all of them; `run` comes first in any case
#
# VENV names the environment; CLUSTER_TEST_DIR keeps the outputs there instead of in a temporary folder. The
# reviews are those of scripts/fetch_demo.py.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
read -ra verbs <<<"${*:-score stream tune replay}"
work=${CLUSTER_TEST_DIR:-$(mktemp -d)}
mkdir -p "$work"
rm -f "$work"/*.jsonl
export VENV CLUSTER_DIR=${CLUSTER_DIR:-$work/cluster}

finish() {
    local status=$?
    scripts/cluster.sh down || true
    [ -n "${CLUSTER_TEST_DIR:-}" ] || rm -rf "$work"
    exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

PYSPARK_PYTHON=$(cd "$VENV/bin" && pwd)/python
export PYSPARK_PYTHON
SPARK_HOME=$("$PYSPARK_PYTHON" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
export SPARK_HOME

# Each JVM lives for a minute: its optimising compiler would take more from two cores than it gives.
quick="-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
export SPARK_SUBMIT_OPTS=${SPARK_SUBMIT_OPTS:-$quick}

# The reviews with five rows that break the contract, the same mended, and others that come later.
"$PYSPARK_PYTHON" - data/demo/drug_reviews.parquet "$work" <<'PY'
import os, pathlib, sys, time

import pandas as pd

reviews, work = pd.read_parquet(sys.argv[1])[:500], pathlib.Path(sys.argv[2])
later = reviews.head(120).assign(review_id=reviews.review_id + 1_000_000)
# Half of the texts are new.
later.loc[::2, "review"] = "Once more: " + later.review[::2]
(work / "feed").mkdir(exist_ok=True)
reviews.to_parquet(work / "mended.parquet")
reviews.assign(usefulCount=reviews.usefulCount.where(reviews.index % 100 != 7, -1)).to_parquet(
    work / "reviews.parquet"
)
later[:60].to_parquet(work / "later.parquet")
for part in (0, 1):
    file = work / "feed" / f"{part}.parquet"
    later[60 + 30 * part : 90 + 30 * part].to_parquet(file)
    # A stream takes the older file first.
    os.utime(file, times=2 * (time.time() - 60 + 10 * part,))
PY

# The same dates for both: they are part of the run's identity, not of the machine.
date=2024-01-01 next=2024-01-02

# Arguments of a verb, one a line.
arguments() { # VERB OUTPUT
    # Both ask for GPUs in the stage that embeds; local mode has none to give and goes on without.
    local source=reviews.parquet own=() plain=(--set report.explain.rows=0 --set report.explain.shuffled=0)
    case $1 in
        run) own=(--run-date $date) ;;
        score) own=(--run-date $next "${plain[@]}") source=later.parquet ;;
        stream) own=(--once --set stream.path="$work/feed" --set stream.options.maxFilesPerTrigger=1) ;;
        replay) own=(--run-date $date "${plain[@]}") source=mended.parquet ;;
        tune)
            # Two processes here and there, since a batch is parted among them.
            own=(--run-date $date --set tune.method=all --set tune.processes=2 --set tune.max_steps=3
                --set tune.batch_size=8 --set tune.max_tokens=32 --set tune.precision=float32)
            ;;
    esac
    printf '%s\n' conf/demo.yaml --set "output=$2" --set "source.path=$work/$source" \
        --set "contract.columns={usefulCount: {min: 0}}" --set contract.tolerance=0.1 \
        --set mine.classify.max_iter=20 --set represent.gpu_amount=1 --set "log.file=$2.jsonl" "${own[@]}"
}

locally() { # VERB
    local given
    mapfile -t given < <(arguments "$1" "$work/local")
    "$VENV/bin/fusionspark" "$1" "${given[@]}"
}

on_cluster() { # VERB
    local given
    mapfile -t given < <(arguments "$1" "$work/cluster-out")
    # Tasks that embed ask for the GPU address of their worker, and no other task does.
    SPARK_LOCAL_IP=127.0.0.1 "$SPARK_HOME/bin/spark-submit" --master "$master" \
        --properties-file conf/spark-standalone.conf --conf spark.executor.resource.gpu.amount=1 \
        --conf spark.executor.extraJavaOptions="$quick" \
        "jobs/$1.py" "${given[@]}"
}

# What a verb leaves behind, below an output.
left_by() { # VERB
    case $1 in
        run | replay) echo runs/$date ;;
        score) echo scores/$next ;;
        stream) echo stream ;;
        tune) echo tuned ;;
    esac
}

master=$(scripts/cluster.sh up)
for verb in run "${verbs[@]}"; do
    start=$SECONDS
    echo "cluster test: $verb in local mode"
    locally "$verb"
    middle=$SECONDS
    echo "cluster test: $verb on $master"
    on_cluster "$verb"
    echo "cluster test: $verb took $((middle - start)) s in local mode and $((SECONDS - middle)) s on the cluster"
    "$VENV/bin/python" scripts/compare_runs.py "$work/local/$(left_by "$verb")" "$work/cluster-out/$(left_by "$verb")"
done

# Both workers must have done some of the work, or this was a test of one machine.
executors=$(find "$CLUSTER_DIR/work" -mindepth 4 -maxdepth 4 -name stderr | wc -l)
[ "$executors" -ge 2 ] || { echo "cluster test: only $executors executors ran" >&2; exit 1; }

# The log of either says of each verb that it began and how it ended.
"$PYSPARK_PYTHON" - "$work/local.jsonl" "$work/cluster-out.jsonl" run "${verbs[@]}" <<'PY'
import json, pathlib, sys

for log in sys.argv[1:3]:
    lines = [json.loads(line) for line in pathlib.Path(log).read_text().splitlines()]
    ends = [(line["command"], line["exit_code"]) for line in lines if line["event"] == "end"]
    assert ends == [(verb, 0) for verb in sys.argv[3:]], ends
    assert len({line["run_id"] for line in lines}) == len(ends), "a run id is that of one command"
print(f"logs: {len(ends)} commands each, all ended with 0")
PY
echo "cluster test: the same in local mode and on the cluster, in $SECONDS s"
