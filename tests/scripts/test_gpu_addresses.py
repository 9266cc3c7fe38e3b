"""GPU addresses: what the discovery script offers, and what tasks on a cluster get."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyspark
import pytest

from fusionspark.represent.gpu_profile import map_in_arrow

ROOT = Path(__file__).resolve().parents[2]


def discover(folder: Path, gpus: int, own: str) -> subprocess.CompletedProcess[str]:
    """Run the discovery script on a machine that seems to have ``gpus`` GPUs."""
    smi = folder / "nvidia-smi"
    lines = "".join(f"echo {i}\n" for i in range(gpus))
    smi.write_text(f"#!/bin/sh\n{lines}exit {0 if gpus else 9}\n", encoding="utf-8")
    smi.chmod(0o755)
    return subprocess.run(
        [str(ROOT / "scripts" / "gpu_addresses.sh")],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "WORKER_GPUS": own},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gpus", "own", "offered"),
    [(2, "", ["0", "1"]), (2, "1", ["1"]), (0, "", []), (0, "0,1", ["0", "1"])],
    ids=["all of the machine", "a worker's own", "none", "for scheduling only"],
)
def test_addresses(tmp_path: Path, gpus: int, own: str, offered: list[str]) -> None:
    done = discover(tmp_path, gpus, own)
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": offered}


def test_a_gpu_that_is_not_there_is_not_offered(tmp_path: Path) -> None:
    done = discover(tmp_path, 1, "0,3")
    assert done.returncode == 1
    assert "GPU 3 is not here. Allowed: 0" in done.stderr


class Frame:
    """What `map_in_arrow` needs of a DataFrame on a cluster with these settings."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.sparkSession = SimpleNamespace(conf={"spark.master": "yarn", **settings}, version="4.1.0")

    def mapInArrow(self, run: Any, schema: str, **options: Any) -> Any:
        return options["profile"].taskResources


@pytest.mark.skipif(
    pyspark.__version__.startswith("3."), reason="profiles of one stage exist from Spark 4.0 on"
)
@pytest.mark.parametrize(("settings", "cpus"), [({}, 1), ({"spark.task.cpus": "4"}, 4)])
def test_a_stage_with_gpus_keeps_the_cpus_of_its_tasks(settings: dict[str, str], cpus: int) -> None:
    asked = map_in_arrow(Frame(settings), lambda batches: batches, "n int", 0.5)  # type: ignore[arg-type]
    assert {name: request.amount for name, request in asked.items()} == {"cpus": cpus, "gpu": 0.5}


@pytest.mark.slow
@pytest.mark.parametrize("profile", [False, True], ids=["every task", "one stage"])
def test_tasks_get_an_address_each(tmp_path: Path, profile: bool) -> None:
    if profile and pyspark.__version__.startswith("3."):
        pytest.skip("profiles of one stage exist from Spark 4.0 on")
    environment = {
        **os.environ,
        "CLUSTER_DIR": str(tmp_path / "cluster"),
        "VENV": sys.prefix,
        "CLUSTER_MEMORY": "2g",
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    cluster = [str(ROOT / "scripts" / "cluster.sh")]

    def call(*command: str) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=300, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        master = call(*cluster, "up").strip()
        call_status = call(*cluster, "status")
        settings = {"executor.memory": "512m", "executor.memoryOverhead": "512m", "driver.memory": "512m"}
        settings["executor.resource.gpu.amount"] = "1"
        if not profile:
            settings["task.resource.gpu.amount"] = "1"
        submit = [f"{Path(pyspark.__file__).parent}/bin/spark-submit", "--master", master]
        submit += ["--properties-file", str(ROOT / "conf" / "spark-standalone.conf")]
        for key, value in settings.items():
            submit += ["--conf", f"spark.{key}={value}"]
        said = call(*submit, f"{ROOT}/tests/scripts/gpu_probe.py", *(["profile"] if profile else []))
    finally:
        subprocess.run([*cluster, "down"], check=True, env=environment, capture_output=True)
    asked, not_asked = [line for line in said.splitlines() if line.startswith("addresses:")]
    assert asked.startswith("addresses: 0 0 1 1")
    assert not_asked.startswith("addresses: none" if profile else "addresses: 0 0 1 1")
    if "for scheduling only" in call_status:
        assert "{'cpu'}" in asked
