"""The history of nights, read from a short file beside each manifest: manifests themselves are long."""

from __future__ import annotations

import json
from typing import Any

from fusionspark.report.history import MOST_NIGHTS, history
from fusionspark.tables import RunFolder

#: The row of a night beside its run.json.
SUMMARY = "summary.json"


def nights_with(run: RunFolder, tonight: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of all nights with that of the run which is about to be published.

    A date run again replaces its row and a back-filled one takes its place in the order. Nights whose run
    was deleted since are taken from the newest manifest that is there.
    """
    files = run.files
    names = [name for name in files.names(run.root) if name != run.run_date]
    folders = [RunFolder(run.spark, run.root, name, run.table_format) for name in names[-MOST_NIGHTS:]]
    published = [folder for folder in folders if folder.is_published()]
    texts = [files.read_text_if_there(f"{folder.path}/{SUMMARY}") for folder in published]
    present = [json.loads(text) for text in texts if text]
    carried = published[-1].manifest().get("history", []) if published else []
    return history(tonight, present, [row for row in carried if row["run_date"] not in names])
