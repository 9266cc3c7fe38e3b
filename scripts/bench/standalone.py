"""The standalone cluster of `scripts/cluster.sh`, for benchmarks: two workers of one core each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Cluster:
    """A cluster that ends with the block; gives the address of its master.

    Parameters
    ----------
    folder : Path
        Of process ids, logs and scratch files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._given = {**os.environ, "VENV": sys.prefix, "CLUSTER_DIR": str(folder), "CLUSTER_GPUS": "0"}
        # Workers import the checkout, too.
        self._given["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])

    def _call(self, verb: str) -> str:
        script = str(ROOT / "scripts" / "cluster.sh")
        done = subprocess.run([script, verb], env=self._given, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    def up(self) -> str:
        """Start it, anew where a worker is missing; returns the address of the master."""
        return self._call("up").strip().splitlines()[-1]

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return [int(file.read_text()) for file in sorted(self.folder.glob("worker-*.pid"))]

    def __enter__(self) -> str:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self._call("down")
