"""History: tonight beside the nights before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionspark.report.blocks import Block, Cell, Column, Figure, Figures, Section, Table
from fusionspark.report.display import NOTHING, decimal, dig, entries, integer, number, visible
from fusionspark.report.figures import over_nights
from fusionspark.report.history import CLASSES, NUMBERS
from fusionspark.report.phrases import Words

_COUNTS = ("rows", "encoded", "reused")


def build(run: Mapping[str, Any], words: Words) -> Section | None:
    """Show metrics, rows and encoded texts over the nights; nothing on the first one."""
    nights = entries(run.get("history"))
    if len(nights) < 2:
        return None
    dates = [visible(night.get("run_date"), 40) for night in nights]
    kept = NUMBERS if any(dig(night, "test", NUMBERS[0]) is not None for night in nights) else CLASSES
    metrics = {words.plain(key): [number(dig(night, "test", key)) for night in nights] for key in kept}
    counts = {words.plain(key): [number(night.get(key)) for night in nights] for key in _COUNTS}
    drawn = [
        Figure(name, words.plain(name), spec, height=260)
        for name, spec in (
            ("nights_metrics", over_nights(dates, metrics, share=kept is CLASSES)),
            ("nights_rows", over_nights(dates, counts, share=False)),
        )
        if spec is not None
    ]
    blocks: list[Block] = [Figures(drawn)] if drawn else []
    return Section("history", words.plain("history"), [*blocks, _table(nights, kept, words)])


def _table(nights: list[Mapping[str, Any]], kept: Sequence[str], words: Words) -> Table:
    counts = ("rows", "quarantined", "encoded", "reused")
    rows = [
        [
            Cell(visible(night.get("run_date"), 40)),
            *(Cell(integer(night.get(key)), sort=number(night.get(key))) for key in counts),
            Cell(_changes(night.get("changes"))),
            Cell(decimal(night.get("seconds"), 1), sort=number(night.get("seconds"))),
            Cell(visible(night.get("best") or NOTHING, 40)),
            *(Cell(decimal(dig(night, "test", key)), sort=number(dig(night, "test", key))) for key in kept),
            Cell(decimal(night.get("silhouette"), 2), sort=number(night.get("silhouette"))),
            Cell(visible(night.get("models_of") or NOTHING, 40)),
        ]
        # The latest night first: it is what the reader came for.
        for night in reversed(nights)
    ]
    columns = [
        Column(words.plain("run_date")),
        *(Column(words.plain(key), "number") for key in counts),
        Column(words.plain("changed_rows"), "number"),
        Column(words.plain("seconds"), "number"),
        Column(words.plain("algorithm")),
        *(Column(words.plain(key), "number") for key in (*kept, "silhouette")),
        Column(words.plain("models_from")),
    ]
    return Table(words.plain("nights"), columns, rows)


def _changes(changes: Any) -> str:
    found = [number(dig(changes, key)) for key in ("new", "changed", "gone")]
    return NOTHING if None in found else " / ".join(integer(count) for count in found)
