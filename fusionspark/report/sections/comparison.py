"""The comparison page: figures of two runs side by side, settings that differ, rows that changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionspark.report.blocks import Block, Cell, Column, Section, Sentences, Table
from fusionspark.report.comparison import MOST_ROWS
from fusionspark.report.display import NOTHING, decimal, dig, duration, entries, integer, number, visible
from fusionspark.report.history import NUMBERS
from fusionspark.report.phrases import Words
from fusionspark.report.sections import regression
from fusionspark.report.sections.chosen import choose

CLASS_METRICS = ("accuracy", "macro_f1", "auc", "average_precision", "calibration_error")
#: Settings that the page lists.
MOST_SETTINGS = 300


def build(
    first: Mapping[str, Any], second: Mapping[str, Any], found: Mapping[str, Any], words: Words
) -> list[Section]:
    """Return the sections of the page.

    Parameters
    ----------
    first, second : dict
        Contents of run.json.
    found : dict
        What `fusionspark.report.comparison.compare` returned.
    """
    return [
        Section("summary", words.plain("summary"), [_summary(first, second, found, words)]),
        Section("figures", words.plain("compared_figures"), [_figures(first, second, words)]),
        Section("rows", words.plain("compared_rows"), _rows(found, words)),
        Section("configuration", words.plain("compared_settings"), [_settings(found, words)]),
    ]


def _summary(
    first: Mapping[str, Any], second: Mapping[str, Any], found: Mapping[str, Any], words: Words
) -> Sentences:
    lines = [words("compared", first=_named(first), second=_named(second))]
    rows = found.get("rows")
    if not isinstance(rows, Mapping):
        return Sentences([*lines, words("compared_no_rows")])
    counts = {key: integer(rows.get(key)) for key in ("both", "same", "only_first", "only_second")}
    lines.append(words("compared_counts", **counts))
    gain, interval = number(rows.get("gain")), rows.get("interval")
    if gain is not None and interval:
        shown = "better" if interval[0] > 0 else "worse" if interval[1] < 0 else "even"
        lines.append(
            words(
                f"compared_{shown}",
                test=integer(rows.get("test")),
                gain=f"{100 * gain:+.1f}",
                low=f"{100 * interval[0]:+.1f}",
                high=f"{100 * interval[1]:+.1f}",
                fixed=integer(rows.get("fixed")),
                broken=integer(rows.get("broken")),
            )
        )
    settings = entries(found.get("settings"))
    key = "compared_settings_differ" if settings else "compared_settings_same"
    return Sentences([*lines, words(key, count=len(settings))])


def _named(run: Mapping[str, Any]) -> str:
    return " · ".join(str(run[key]) for key in ("title", "run_date") if run.get(key) is not None) or NOTHING


def _figures(first: Mapping[str, Any], second: Mapping[str, Any], words: Words) -> Table:
    rows = []
    bests = [_best(run) for run in (first, second)]
    cells = [Cell(visible(name, 60)) for name, _ in bests]
    rows.append([Cell(words.plain("algorithm")), *cells, Cell(NOTHING)])
    numbers = any(regression.measured(run) for run in (first, second))
    for key in NUMBERS if numbers else CLASS_METRICS:
        rows.append(_row(words.name(key), [number(figures.get(key)) for _, figures in bests], 4))
    for label, path in (
        ("rows_in", ("rows", "in")), ("rows_out", ("rows", "out")), ("quarantined", ("rows", "quarantined")),
        ("encoded_now", ("represent", "encoded")), ("clusters", ("cluster", "k")),
    ):  # fmt: skip
        rows.append(_row(words.name(label), [number(dig(run, *path)) for run in (first, second)], 0))
    apart = [number(dig(run, "cluster", "silhouette")) for run in (first, second)]
    rows.append(_row(words.name("silhouette"), apart, 3))
    seconds = [number(run.get("seconds")) for run in (first, second)]
    shown = [Cell(duration(value), sort=value) for value in seconds]
    rows.append([Cell(words.plain("duration")), *shown, _difference(seconds, 1)])
    columns = [
        Column(words.plain("figure")),
        *(Column(visible(run.get("run_date") or NOTHING, 40), "number") for run in (first, second)),
        Column(words.plain("difference"), "number"),
    ]
    return Table(words.plain("compared_figures"), columns, rows, wide=True)


def _best(run: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The best algorithm of a run and its figures on held-out rows."""
    estimated = regression.measured(run)
    if estimated:
        name, _, figures = regression.chosen(run, estimated)
        return name, figures
    best = choose(run)
    return (NOTHING, {}) if best is None else (best.name, best.figures)


def _row(name: str, values: list[float | None], digits: int) -> list[Cell]:
    shown = [Cell(decimal(value, digits), sort=value) for value in values]
    return [Cell(name), *shown, _difference(values, digits)]


def _difference(values: list[float | None], digits: int) -> Cell:
    first, second = values
    if first is None or second is None:
        return Cell(NOTHING)
    return Cell(f"{second - first:+,.{digits}f}", sort=second - first)


def _rows(found: Mapping[str, Any], words: Words) -> list[Block]:
    rows = found.get("rows")
    changed = entries(dig(rows, "changed"))
    if not isinstance(rows, Mapping):
        return [Sentences([words("compared_no_rows")], "absent")]
    if not changed:
        return [Sentences([words("compared_none_changed")], "absent")]
    cells = [
        [
            Cell(visible(row.get("row_id"), 60)),
            Cell(words.name(f"change_{row.get('change')}")),
            Cell(words.name(str(row.get("split")))),
            Cell(NOTHING if row.get("label") is None else visible(row["label"], 60)),
            Cell(visible(row.get("first"), 60)),
            Cell(visible(row.get("second"), 60)),
            Cell(visible(row.get("text") or NOTHING, 200)),
        ]
        for row in changed[:MOST_ROWS]
    ]
    columns = [
        Column(words.plain("row"), "code"),
        *(
            Column(words.plain(key))
            for key in ("change", "split", "label", "answer_first", "answer_second", "text_of_row")
        ),
    ]
    total = int(number(rows.get("all_changed")) or len(changed))
    note = words.plain("rows_cut", shown=len(cells), all=total) if total > len(cells) else ""
    return [Table(words.plain("compared_rows"), columns, cells, note, wide=True)]


def _settings(found: Mapping[str, Any], words: Words) -> Block:
    settings = entries(found.get("settings"))
    if not settings:
        return Sentences([words("compared_settings_same", count=0)], "absent")
    rows = [
        [Cell(visible(one.get("key"), 120)), *(Cell(_setting(one.get(side))) for side in ("first", "second"))]
        for one in settings[:MOST_SETTINGS]
    ]
    columns = [
        Column(words.plain("setting"), "code"),
        *(Column(words.plain(key), "code") for key in ("answer_first", "answer_second")),
    ]
    cut = len(settings) > MOST_SETTINGS
    note = words.plain("rows_cut", shown=MOST_SETTINGS, all=len(settings)) if cut else ""
    return Table(words.plain("compared_settings"), columns, rows, note, wide=True)


def _setting(value: Any) -> str:
    return NOTHING if value is None else visible(value, 300)
