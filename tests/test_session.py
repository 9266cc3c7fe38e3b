import stat
import subprocess
import sys

import pytest

from fusionspark.errors import EnvironmentMismatchError
from fusionspark.session import check_java, find_java, java_version, open_session


def fake_java(folder, banner):
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{banner}' >&2\n")
    java.chmod(java.stat().st_mode | stat.S_IEXEC)
    return str(java)


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_391"', 8),
        ("nonsense", None),
    ],
)
def test_java_version_is_read_from_the_banner(tmp_path, banner, version):
    assert java_version(fake_java(tmp_path, banner)) == version


def test_no_java_says_where_it_looked_and_what_to_install(tmp_path):
    with pytest.raises(EnvironmentMismatchError, match=r"JAVA_HOME is .*no bin/java.*OpenJDK 17") as caught:
        check_java({"JAVA_HOME": str(tmp_path)})
    assert caught.value.exit_code == 2
    with pytest.raises(EnvironmentMismatchError, match="no java on the PATH"):
        check_java({"PATH": str(tmp_path)})
    assert find_java({"PATH": str(tmp_path)}) is None


def test_wrong_java_is_named_with_its_version(tmp_path):
    fake_java(tmp_path, 'openjdk version "25" 2025-09-16')
    with pytest.raises(EnvironmentMismatchError, match=r"is version 25.*Allowed: Java .*17"):
        check_java({"JAVA_HOME": str(tmp_path)})


def test_the_running_session_is_reused(spark):
    assert open_session("again") is spark or open_session("again").sparkContext is spark.sparkContext


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked with libraries on Linux only")
def test_workers_are_forked_with_their_libraries():
    script = (
        "import sys; from fusionspark.session import open_session\n"
        "spark = open_session('forked', {'spark.master': 'local[1]'})\n"
        "there = spark.sparkContext.parallelize([0], 1).map(lambda _: 'torch' in sys.modules).collect()\n"
        "print(there)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[True]\n"
