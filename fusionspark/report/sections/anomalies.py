"""Anomalies: the oddest rows and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionspark.report.blocks import Block, Cell, Column, Section, Sentences, Table
from fusionspark.report.display import decimal, entries, integer, number, percent, visible
from fusionspark.report.phrases import Words


def build(run: Mapping[str, Any], words: Words) -> Section | None:
    """Show the flagged rows with their reasons; nothing for a run that looked for none."""
    found = run.get("anomalies")
    if not isinstance(found, Mapping):
        return None
    lines = [
        words(
            "anomalies_found",
            flagged=integer(found.get("flagged")),
            rows=integer(found.get("rows")),
            share=percent(found.get("share")),
        )
    ]
    blocks: list[Block] = [Sentences(lines)]
    shown = entries(found.get("top"))
    if shown:
        rows = [
            [
                Cell(visible(row.get("row_id"), 60)),
                Cell(decimal(row.get("score"), 4), sort=number(row.get("score"))),
                Cell("; ".join(visible(reason, 160) for reason in row.get("reasons") or [])),
                Cell(visible(row.get("text") or "", 240)),
            ]
            for row in shown
        ]
        columns = [
            Column(words.plain("row"), "code"),
            Column(words.plain("anomaly_score"), "number"),
            Column(words.plain("anomaly_reasons")),
            Column(words.plain("anomaly_text")),
        ]
        note = words.plain("anomalies_note")
        blocks.append(Table(words.plain("anomalies_table"), columns, rows, note, wide=True))
    return Section("anomalies", words.plain("anomalies"), blocks)
