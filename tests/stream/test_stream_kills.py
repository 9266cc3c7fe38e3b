"""A stream that is killed at random moments loses no row and doubles none."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from test_stream import land, made, rows_of, settings, trained

__all__ = ["trained"]

pytestmark = pytest.mark.slow
FILES, ROWS, KILLS = 9, 4, 3


def start(conf: Path) -> subprocess.Popen:
    command = "from fusionspark.cli import entry; entry()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "stream", str(conf)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(process: subprocess.Popen, word: str) -> None:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(word):
            return
    raise AssertionError("".join(said))


def whole(folder: Path) -> list[dict]:
    places = sorted((folder / "out/stream/batches").glob("*/batch.json"))
    return [json.loads(place.read_text()) for place in places]


def test_killed_at_random_moments(spark, tmp_path, trained):
    config = settings(trained, tmp_path, options={"maxFilesPerTrigger": 1}).model_dump()
    config["log"] = {"metrics": str(tmp_path / "stream.prom"), "file": str(tmp_path / "log.jsonl")}
    config["spark"] = {
        "spark.master": "local[2]", "spark.sql.shuffle.partitions": "1", "spark.driver.memory": "1g",
    }  # fmt: skip
    conf = tmp_path / "stream.yaml"
    conf.write_text(yaml.safe_dump(config))
    seed = int.from_bytes(os.urandom(4), "big")
    moments = random.Random(seed)
    landed = 0
    for kill in range(KILLS):
        for _ in range(FILES // KILLS):
            land(spark, made(ROWS, ROWS * landed), tmp_path / "arrivals", f"f{landed}")
            landed += 1
        process = start(conf)
        wait_for(process, "stream: waiting" if kill % 2 else "batch ")
        time.sleep(moments.uniform(0.0, 1.5))
        # The driver alone, or all of the machine.
        if kill % 2:
            process.send_signal(signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, seed

    process = start(conf)
    until = time.monotonic() + 120
    while sum(batch["rows"]["in"] for batch in whole(tmp_path)) < FILES * ROWS:
        assert time.monotonic() < until and process.poll() is None, seed
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert " quarantined; " in out

    ids = Counter(row["row_id"] for row in rows_of(tmp_path, "predictions"))
    assert ids == Counter(row[0] for row in made(FILES * ROWS)), seed
    for rows in (batch["rows"] for batch in whole(tmp_path)):
        # More files than one where the kill came after Spark noted a file and before it noted the batch.
        assert rows == {"in": rows["in"], "out": rows["in"], "quarantined": 0}, seed
        assert rows["in"] % ROWS == 0, seed
    samples = (tmp_path / "stream.prom").read_text()
    assert 'fusionspark_success{title="Moods",command="stream"} 1.0' in samples
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("end", 0)
