"""The stages in the order of the data, one file each: from the tables of the stages before it to its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fusionspark.pipeline.collect_stage import collect
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.fuse_stage import fuse
from fusionspark.pipeline.mine_stage import mine
from fusionspark.pipeline.prepare_stage import prepare
from fusionspark.pipeline.report_stage import report
from fusionspark.pipeline.represent_stage import represent

#: Stage -> function, in the order of the data.
ROOMS: dict[str, Callable[[Context], dict[str, Any]]] = {
    "collect": collect,
    "prepare": prepare,
    "represent": represent,
    "fuse": fuse,
    "mine": mine,
    "report": report,
}
