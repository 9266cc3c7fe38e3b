#!/usr/bin/env bash
# A standalone Spark cluster on this machine: one master and two workers of one core each, started from
# the pip package alone and bound to the loopback address.
#
#     scripts/cluster.sh up        start it and wait for both workers; prints the master's address
#     scripts/cluster.sh status    print the address, the workers and their cores; exit 1 where it is not up
#     scripts/cluster.sh down      stop it, whatever state it is in
#
# Settings, from the environment:
#     VENV             .venv        the environment whose pyspark runs
#     CLUSTER_DIR      .cluster     process ids, logs, the workers' scratch folders
#     CLUSTER_WORKERS  2            how many workers
#     CLUSTER_CORES    1            cores a worker offers
#     CLUSTER_MEMORY   4g           memory a worker offers
#     CLUSTER_GPUS     1            GPU addresses a worker offers; on a machine without GPUs they are for
#                                   scheduling only, and tasks compute on the CPU
#     CLUSTER_PATH     the PATH     where executors look for programs
#     CLUSTER_HISTORY  0            1: a history server too, of event logs in CLUSTER_DIR/events
#     CLUSTER_PORT, CLUSTER_UI_PORT, CLUSTER_HISTORY_PORT   ports of the master and of the history server; free
#                                   ones are chosen where unset
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
CLUSTER_DIR=${CLUSTER_DIR:-.cluster}
workers=${CLUSTER_WORKERS:-2}
cores=${CLUSTER_CORES:-1}
memory=${CLUSTER_MEMORY:-4g}
gpus=${CLUSTER_GPUS:-1}
history=${CLUSTER_HISTORY:-0}
host=127.0.0.1
wait_seconds=60

fail() {
    printf 'cluster: %s\n' "$*" >&2
    exit 1
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Is this process one of ours? A process id alone may have been given to somebody else since.
is_ours() {
    grep -qaE 'org\.apache\.spark\.deploy\.(master\.Master|worker\.Worker|history\.HistoryServer)' "/proc/$1/cmdline" 2>/dev/null
}

# Start one daemon in a session of its own, so that `down` reaches its executors too.
launch() { # NAME CLASS ARGUMENT...
    local name=$1
    shift
    setsid "$SPARK_HOME/bin/spark-class" "$@" >"$CLUSTER_DIR/$name.log" 2>&1 </dev/null &
    echo $! >"$CLUSTER_DIR/$name.pid"
}

# What a worker offers beside cores and memory, as options of its start.
worker_options() {
    local options="-Dspark.worker.cleanup.enabled=true"
    if [ "$gpus" -gt 0 ]; then
        options+=" -Dspark.worker.resource.gpu.amount=$gpus"
        options+=" -Dspark.worker.resource.gpu.discoveryScript=$PWD/scripts/gpu_addresses.sh"
    fi
    echo "$options"
}

real_gpus() { # prints how many GPUs the machine has
    nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null | wc -l
}

# The addresses of worker NUMBER: its share of the machine's GPUs, or made-up ones where there are none.
gpu_addresses() { # NUMBER
    seq -s, $((($1 - 1) * gpus)) $(($1 * gpus - 1))
}

alive_workers() { # prints how many workers the master knows to be alive; 0 while it does not answer
    python3 - "http://$host:$(cat "$CLUSTER_DIR/ui-port")/json/" <<'PY' 2>/dev/null || echo 0
import json, sys, urllib.request

# No proxy: the master is on this machine.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
state = json.load(opener.open(sys.argv[1], timeout=5))
print(sum(worker["state"] == "ALIVE" for worker in state["workers"]))
PY
}

is_up() {
    [ -f "$CLUSTER_DIR/master-url" ] && [ "$(alive_workers)" -ge "$workers" ]
}

up() {
    if is_up; then
        cat "$CLUSTER_DIR/master-url"
        return
    fi
    down # what is left of a cluster that died half
    [ -x "$VENV/bin/python" ] || fail "no environment at $VENV. Remedy: make venv, or set VENV."
    SPARK_HOME=$("$VENV/bin/python" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
    export SPARK_HOME
    mkdir -p "$CLUSTER_DIR/work" "$CLUSTER_DIR/local" "$CLUSTER_DIR/events"
    local folder port ui_port i
    folder=$(cd "$CLUSTER_DIR" && pwd)
    if [ "$(real_gpus)" -gt 0 ] && [ "$(real_gpus)" -lt $((workers * gpus)) ]; then
        fail "$workers workers with $gpus GPUs each, but there are $(real_gpus). Remedy: set CLUSTER_WORKERS or CLUSTER_GPUS."
    fi
    port=${CLUSTER_PORT:-$(free_port)}
    ui_port=${CLUSTER_UI_PORT:-$(free_port)}
    echo "$ui_port" >"$CLUSTER_DIR/ui-port"

    export SPARK_LOCAL_IP=$host SPARK_PUBLIC_DNS=$host SPARK_LOCAL_DIRS=$folder/local SPARK_DAEMON_MEMORY=512m
    # The interpreter of the executors: the environment's own, whatever the PATH says.
    PYSPARK_PYTHON=$(cd "$VENV/bin" && pwd)/python
    export PYSPARK_PYTHON
    if [ -n "${CLUSTER_PATH:-}" ]; then
        # Executors bring their Python along, and find none here.
        unset PYSPARK_PYTHON
    fi
    if [ "$history" = 1 ]; then
        echo "${CLUSTER_HISTORY_PORT:-$(free_port)}" >"$CLUSTER_DIR/history-port"
        SPARK_HISTORY_OPTS="-Dspark.history.fs.logDirectory=file:$folder/events -Dspark.history.fs.update.interval=2s"
        SPARK_HISTORY_OPTS+=" -Dspark.history.ui.port=$(cat "$CLUSTER_DIR/history-port")"
        export SPARK_HISTORY_OPTS
        launch history org.apache.spark.deploy.history.HistoryServer
    fi
    launch master org.apache.spark.deploy.master.Master --host $host --port "$port" --webui-port "$ui_port"
    for ((i = 1; i <= workers; i++)); do
        WORKER_GPUS=$(gpu_addresses "$i")
        SPARK_WORKER_OPTS=$(worker_options)
        export WORKER_GPUS SPARK_WORKER_OPTS
        PATH=${CLUSTER_PATH:-$PATH} launch "worker-$i" org.apache.spark.deploy.worker.Worker \
            --host $host --webui-port 0 --cores "$cores" --memory "$memory" \
            --work-dir "$folder/work/$i" "spark://$host:$port"
    done

    for ((i = 0; i < wait_seconds * 2; i++)); do
        if [ "$(alive_workers)" -ge "$workers" ]; then
            echo "spark://$host:$port" >"$CLUSTER_DIR/master-url"
            cat "$CLUSTER_DIR/master-url"
            return
        fi
        is_ours "$(cat "$CLUSTER_DIR/master.pid")" || break
        sleep 0.5
    done
    tail -n 20 "$CLUSTER_DIR"/*.log >&2
    down
    fail "$workers workers did not register within $wait_seconds seconds; the logs' last lines are above."
}

# Wait up to five seconds for every process of a group; a zombie that nobody has reaped counts as ended.
await_end() { # PROCESS_GROUP
    local waited
    for ((waited = 0; waited < 50; waited++)); do
        ps -e -o pgid=,stat= | awk -v group="$1" '$1 == group && $2 !~ /^Z/ { found = 1 } END { exit !found }' || return 0
        sleep 0.1
    done
    return 1
}

down() {
    local file pid
    # Workers first, so that the master does not hand their executors out again.
    for file in "$CLUSTER_DIR"/worker-*.pid "$CLUSTER_DIR"/{master,history}.pid; do
        [ -f "$file" ] || continue
        pid=$(cat "$file")
        if is_ours "$pid"; then
            kill -TERM -- "-$pid" 2>/dev/null || true
            await_end "$pid" || { kill -KILL -- "-$pid" 2>/dev/null || true; }
            await_end "$pid" || fail "process group $pid does not end, even on SIGKILL."
        fi
        rm -f "$file"
    done
    rm -rf "$CLUSTER_DIR/master-url" "$CLUSTER_DIR/ui-port" "$CLUSTER_DIR/history-port" "$CLUSTER_DIR/local"
}

status() {
    if ! is_up; then
        echo "cluster: not up"
        return 1
    fi
    echo "$(cat "$CLUSTER_DIR/master-url"): $(alive_workers) workers; page: http://$host:$(cat "$CLUSTER_DIR/ui-port")"
    if [ -f "$CLUSTER_DIR/history-port" ]; then
        echo "history: http://$host:$(cat "$CLUSTER_DIR/history-port"), of spark.eventLog.dir=file:$(cd "$CLUSTER_DIR" && pwd)/events"
    fi
    if [ "$gpus" -gt 0 ] && [ "$(real_gpus)" -ge $((workers * gpus)) ]; then
        echo "GPUs: $gpus a worker"
    elif [ "$gpus" -gt 0 ]; then
        echo "GPUs: $gpus a worker, for scheduling only (this machine has $(real_gpus)); tasks compute on the CPU"
    fi
}

case "${1:-}" in
    up) up ;;
    down) down ;;
    status) status ;;
    *)
        sed -n '2,/^set -euo/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
