"""The layers hold, and the checker sees each kind of violation when one is planted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import check_imports  # noqa: E402


def plant(root: Path, files: dict[str, str]) -> list[str]:
    """Write a small package with a face and every given file, and check it."""
    for name, source in {"fusionspark/__init__.py": "", "fusionspark/errors.py": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return check_imports.check(root)


def test_this_package_is_in_order() -> None:
    assert check_imports.check(ROOT) == []


def test_every_room_and_the_place_of_streaming_stand_in_the_order() -> None:
    rank = check_imports.RANK
    rooms = ["collect", "prepare", "represent", "fuse", "mine", "report"]
    assert len({rank[room] for room in rooms}) == 1
    units = ("errors", "columns", "config", "tables", "collect", "pipeline", "stream", "cli")
    order = [rank[unit] for unit in units]
    assert order == sorted(set(order))
    assert rank["session"] == rank["tables"]


def test_a_package_without_violations_passes(tmp_path: Path) -> None:
    files = {
        "fusionspark/mine/__init__.py": "",
        "fusionspark/mine/rules.py": "from fusionspark.errors import x\nfrom . import names\n",
        "fusionspark/mine/names.py": "from .. import errors\n\n\ndef f():\n    import torch\n",
        "fusionspark/errors.py": "x = 1\n",
        "fusionspark/pipeline.py": "import fusionspark.mine.rules as r\nfrom fusionspark import errors\n",
        "jobs/run.py": "from fusionspark.cli import main\n",
    }
    assert plant(tmp_path, files) == []


PLANTED = {
    "a room above the pipeline": (
        {"fusionspark/mine.py": "import fusionspark.pipeline\n", "fusionspark/pipeline.py": ""},
        "points up",
    ),
    "one room in another": (
        {"fusionspark/mine.py": "from fusionspark.fuse import x\n", "fusionspark/fuse.py": "x = 1\n"},
        "points sideways",
    ),
    "inside a function": (
        {
            "fusionspark/errors.py": "def f():\n    from fusionspark import columns\n",
            "fusionspark/columns.py": "",
        },
        "errors.py:2: fusionspark.errors imports fusionspark.columns, which points up",
    ),
    "under TYPE_CHECKING": (
        {
            "fusionspark/errors.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
            "    from fusionspark.columns import X\n",
            "fusionspark/columns.py": "",
        },
        "points up",
    ),
    "by a relative import": (
        {
            "fusionspark/mine/__init__.py": "",
            "fusionspark/mine/a.py": "from ..fuse import x\n",
            "fusionspark/fuse.py": "x = 1\n",
        },
        "points sideways",
    ),
    "by name": (
        {
            "fusionspark/mine.py": "import importlib\nimportlib.import_module('fusionspark.fuse')\n",
            "fusionspark/fuse.py": "",
        },
        "points sideways",
    ),
    "cli in stream": (
        {"fusionspark/stream.py": "import fusionspark.cli\n", "fusionspark/cli.py": ""},
        "points up",
    ),
    "the face in a room": (
        {"fusionspark/mine.py": "from fusionspark import KMeans\n"},
        "from fusionspark itself",
    ),
    "an eager face": ({"fusionspark/__init__.py": "from fusionspark import errors\n"}, "__init__.py imports"),
    "a module without a place": ({"fusionspark/extras.py": ""}, "'extras' has no place in the order"),
    "a cycle within a room": (
        {
            "fusionspark/mine/__init__.py": "",
            "fusionspark/mine/a.py": "def f():\n    import fusionspark.mine.b\n",
            "fusionspark/mine/b.py": "import fusionspark.mine.a\n",
        },
        "cycle: fusionspark.mine.a -> fusionspark.mine.b -> fusionspark.mine.a",
    ),
    "a leftover": (
        {"fusionspark/mine/__init__.py": "", "fusionspark/mine/utils.py": ""},
        "mine/utils.py: the name says nothing",
    ),
    "a long module": ({"fusionspark/mine.py": "x = 1\n" * 401}, "401 lines. Allowed: 400"),
    "a heavy library at the top": (
        {"fusionspark/mine.py": "try:\n    import xgboost\nexcept ImportError:\n    pass\n"},
        "xgboost at the top",
    ),
    "pyspark in a pure module": (
        {"fusionspark/columns.py": "import pyspark.sql\n"},
        "columns must stay free of pyspark",
    ),
    "pyspark reached indirectly": (
        {
            "fusionspark/mine/__init__.py": "from fusionspark.mine.a import x\n",
            "fusionspark/mine/a.py": "import pyspark\nx = 1\n",
            "fusionspark/mine/plain.py": "",
        },
        "fusionspark.mine.plain: cannot be imported without pyspark",
    ),
    "pyspark reached through a lower layer": (
        {"fusionspark/mine.py": "import fusionspark.tables\n", "fusionspark/tables.py": "import pyspark\n"},
        "fusionspark.mine: cannot be imported without pyspark",
    ),
    "a module that fails at import": ({"fusionspark/mine.py": "1 / 0\n"}, "ZeroDivisionError"),
    "a job that knows the library": (
        {"jobs/run.py": "import fusionspark.pipeline\n"},
        "jobs/run.py: imports",
    ),
    "a long job": ({"jobs/run.py": "x = 1\n" * 31}, "31 lines. Allowed: 30"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_violation_is_named(tmp_path: Path, planted: str) -> None:
    files, expected = PLANTED[planted]
    assert expected in "\n".join(plant(tmp_path, files))


def test_the_command_ends_with_1_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(tmp_path, {"fusionspark/extras.py": ""})
    assert check_imports.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith("imports: 1 violations\n")
