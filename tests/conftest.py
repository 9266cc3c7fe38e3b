"""One tuned Spark session for the whole suite."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from tiny_bert import tiny_bert

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A machine that is busy with another test may take any time for an example.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

__all__ = ["tiny_bert"]

# A JVM that lives for minutes never earns back what its optimising compiler costs: without it, and without
# generated code, the suite takes half the time. Without that compiler Java reserves only 48 MB for compiled
# code, and a quarter of the suite would go to throwing it away. Programs that tests start inherit this.
os.environ.setdefault(
    "SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC"
)
# Test files run side by side: with a thread for each core in each process, threads would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real files beside the checkout; a test that needs one skips where they are missing."""
    if not DATA.is_dir():
        pytest.skip(f"real data not found at {DATA}")
    return DATA


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    # The master comes from the environment in real use; a test has to choose one.
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # Workers run the interpreter of the tests, whatever `python3` is on the PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = (
        SparkSession.builder.master("local[2]")
        .appName("fusionspark-tests")
        # Two cores and small frames: more shuffle partitions only add task start-up.
        .config("spark.sql.shuffle.partitions", "2")
        # The plan that a test looks at is the plan that runs.
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.driver.memory", "2g")
        # Frames of ten rows never earn back the code that Spark generates for each plan.
        .config("spark.sql.codegen.wholeStage", "false")
        # Spark ends workers that idled for a minute, and new ones would import torch anew.
        .config("spark.python.daemon.module", "fusionspark.worker_daemon")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config("spark.local.dir", str(folder / "local"))
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
