#!/usr/bin/env bash
# Discovery script for Spark's GPU scheduling: prints {"name": "gpu", "addresses": ["0", ...]}.
#
# It names the GPUs that nvidia-smi lists. WORKER_GPUS="0" or "0,1" in the environment of a worker narrows them
# to its own, so that two workers of one machine never offer the same GPU. Where there is no GPU, the addresses
# in WORKER_GPUS are offered as they are: Spark then schedules as it would with GPUs, and tasks compute on the CPU.
set -euo pipefail

real=$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null | tr -d ' ' | paste -sd, -) || real=
own=${WORKER_GPUS:-$real}
if [ -n "$real" ]; then
    for address in ${own//,/ }; do
        case ",$real," in
        *",$address,"*) ;;
        *)
            echo "gpu_addresses: GPU $address is not here. Allowed: $real. Remedy: mend WORKER_GPUS." >&2
            exit 1
            ;;
        esac
    done
fi
[ -z "$own" ] || own="\"${own//,/\", \"}\""
echo "{\"name\": \"gpu\", \"addresses\": [$own]}"
