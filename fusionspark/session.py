"""Opening a Spark session: the Java check, quiet logs, and no master in code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fusionspark.errors import EnvironmentMismatchError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Java versions that a Spark line runs on (https://spark.apache.org/docs/latest/, "Downloading").
JAVA_FOR_SPARK = {3: (8, 11, 17), 4: (17, 21)}

#: What a session that we start ourselves gets. Under spark-submit the properties file decides instead.
LOCAL_SETTINGS = {
    # The default of 1 GiB is too small for MLlib's multilayer perceptron on fused vectors.
    "spark.driver.memory": "4g",
    # Everything is on one machine: nothing need be reachable from outside.
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    # Small tables: 200 shuffle partitions are 200 task starts.
    "spark.sql.shuffle.partitions": "8",
    # Workers that are forked with their libraries start in no time, however often Spark ends idle ones.
    "spark.python.daemon.module": "fusionspark.worker_daemon",
}

#: What every session gets, because results or logs depend on it.
COMMON_SETTINGS = {
    # Dates must not depend on where the driver stands.
    "spark.sql.session.timeZone": "UTC",
    # Our own progress lines say more than Spark's bar, and both at once garble the terminal.
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}


def java_version(java: str) -> int | None:
    """Major version that ``java -version`` states, or None if it says nothing readable."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(\d+)(?:\.(\d+))?', said.stderr + said.stdout)
    if not found:
        return None
    # Java 8 calls itself 1.8.
    return int(found[2]) if found[1] == "1" and found[2] else int(found[1])


def find_java(environment: Mapping[str, str]) -> str | None:
    """Path of the ``java`` that Spark would start: JAVA_HOME first, then PATH."""
    home = environment.get("JAVA_HOME")
    if home:
        candidate = Path(home) / "bin" / "java"
        return str(candidate) if candidate.exists() else None
    return shutil.which("java", path=environment.get("PATH"))


def check_java(environment: Mapping[str, str] | None = None) -> None:
    """Raise before Spark does, since Spark's own message is a stack trace.

    Raises
    ------
    EnvironmentMismatchError
        No Java, or one that this Spark does not run on.
    """
    import pyspark

    environment = os.environ if environment is None else environment
    line = int(pyspark.__version__.split(".")[0])
    allowed = JAVA_FOR_SPARK.get(line, JAVA_FOR_SPARK[4])
    names = ", ".join(map(str, allowed))
    remedy = "install OpenJDK 17 and set JAVA_HOME to its folder"
    java = find_java(environment)
    if java is None:
        home = environment.get("JAVA_HOME")
        where = f"JAVA_HOME is {home!r}, which has no bin/java" if home else "no java on the PATH"
        raise EnvironmentMismatchError("Java", where, allowed=f"Java {names}", remedy=remedy)
    version = java_version(java)
    if version not in allowed:
        raise EnvironmentMismatchError(
            "Java",
            f"{java} is version {version or 'unknown'}, which Spark {pyspark.__version__} does not run on",
            allowed=f"Java {names}",
            remedy=remedy,
        )


def open_session(name: str, settings: Mapping[str, str] | None = None) -> SparkSession:
    """Return the running session, or start one.

    Parameters
    ----------
    name : str
        Application name in the Spark UI, and description of the jobs that no stage names.
    settings : mapping of str to str, optional
        Spark settings of the configuration; they win over the defaults of this module.

    Notes
    -----
    The master is never set here: ``spark-submit``, ``spark-defaults.conf`` or pyspark's own default
    (``local[*]``) decide.
    """
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if not submitted:
        check_java()
        # Workers must find the libraries of this environment, whatever `python3` is on the PATH.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        # Spark would otherwise warn, in two lines, about how it found the address of this machine.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    from pyspark.sql import SparkSession

    fresh = SparkSession.getActiveSession() is None and not submitted
    merged = {**COMMON_SETTINGS, **(LOCAL_SETTINGS if fresh else {}), **(settings or {})}
    builder = SparkSession.builder.appName(name)
    for key, value in merged.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    if not spark.sparkContext.getLocalProperty("spark.jobGroup.id"):
        # Jobs outside the stages, which name their own.
        spark.sparkContext.setJobGroup("fusionspark", f"fusionspark: {name}")
    return spark
