"""Data and quarantine: what changed, where the rows went and where the time went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionspark.report.blocks import Block, Cell, Column, Figure, Figures, Section, Sentences, Table
from fusionspark.report.display import (
    NOTHING,
    decimal,
    dig,
    duration,
    entries,
    integer,
    number,
    percent,
    share,
    visible,
)
from fusionspark.report.figures import bars
from fusionspark.report.phrases import Words

#: Reasons shown in the table of quarantined rows.
MOST_REASONS = 200


def build(run: Mapping[str, Any], words: Words) -> Section:
    """Show rows, stages, quarantine and feature blocks."""
    blocks: list[Block] = [*_changes(run, words)]
    blocks += _stages(run, words)
    quarantine = _quarantine(run, words)
    features = [*_leaks(run, words), *_drift(run, words), *_texts(run, words), *_features(run, words)]
    # A table stands beside the stages; a mere sentence comes last, so that it parts no two tables.
    blocks += [quarantine, *features] if isinstance(quarantine, Table) else [*features, quarantine]
    return Section("data", words.plain("data"), blocks)


def _changes(run: Mapping[str, Any], words: Words) -> list[Block]:
    changes = run.get("changes")
    lines = []
    if dig(run, "source", "snapshot") is not None:
        lines.append(words("snapshot", date=dig(run, "source", "snapshot")))
    if isinstance(changes, Mapping):
        since = changes.get("since")
        counts = {kind: integer(changes.get(kind)) for kind in ("new", "changed", "same", "gone")}
        lines.append(words("changes_first") if since is None else words("changes", since=since, **counts))
    return [Sentences(lines)] if lines else []


def _stages(run: Mapping[str, Any], words: Words) -> list[Block]:
    stages = entries(run.get("stages"))
    if not stages:
        return []
    names = [str(stage.get("name")) for stage in stages]
    seconds = [number(stage.get("seconds")) or 0.0 for stage in stages]
    whole = sum(seconds)
    rows = [
        [
            Cell(name, sort=i),
            Cell(decimal(stage.get("seconds"), 2), sort=spent, bar=share(spent, whole)),
            Cell(percent(share(spent, whole)), sort=spent),
            Cell(integer(stage.get("rows")), sort=number(stage.get("rows"))),
            Cell(decimal(share(stage.get("rows"), spent), 0), sort=share(stage.get("rows"), spent)),
        ]
        for i, (name, stage, spent) in enumerate(zip(names, stages, seconds, strict=True))
    ]
    columns = [
        Column(words.plain("stage")),
        *(
            Column(words.plain(key), "number")
            for key in ("seconds", "share_of_time", "rows", "rows_per_second")
        ),
    ]
    spec = bars(names, seconds, [duration(spent) for spent in seconds])
    return [
        Figures(
            [Figure("stages", words.plain("stage_seconds"), spec, height=44 + 34 * len(names), wide=True)]
        ),
        Table(words.plain("stages"), columns, rows),
    ]


def _quarantine(run: Mapping[str, Any], words: Words) -> Block:
    reasons = entries(dig(run, "quarantine", "reasons"))
    if not reasons:
        bad = number(dig(run, "rows", "quarantined"))
        return Sentences([words("no_reasons" if bad == 0 else "nothing_known")], "absent")
    rows = []
    for entry in reasons[:MOST_REASONS]:
        examples = entry.get("examples")
        shown = examples[:5] if isinstance(examples, list) else []
        rows.append(
            [
                Cell(visible(entry.get("stage"))),
                Cell(visible(entry.get("reason"))),
                Cell(integer(entry.get("rows")), sort=number(entry.get("rows"))),
                Cell(", ".join(visible(example, 60) for example in shown)),
            ]
        )
    columns = [
        Column(words.plain("stage")),
        Column(words.plain("reason")),
        Column(words.plain("rows"), "number"),
        Column(words.plain("examples"), "code"),
    ]
    cut = len(reasons) > MOST_REASONS
    note = words.plain("rows_cut", shown=MOST_REASONS, all=len(reasons)) if cut else ""
    return Table(words.plain("reasons"), columns, rows, note)


def _drift(run: Mapping[str, Any], words: Words) -> list[Block]:
    drift = entries(dig(run, "schema", "drift"))
    if not drift:
        return []

    def shown(finding: Mapping[str, Any], key: str) -> Cell:
        value = finding.get(key)
        if value is None:
            return Cell(NOTHING)
        return Cell(percent(value) if number(value) is not None else visible(value, 80), sort=number(value))

    rows = [
        [
            Cell(visible(finding.get("column"), 80)),
            Cell(_difference(finding, words)),
            shown(finding, "before"),
            shown(finding, "now"),
        ]
        for finding in drift[:MOST_REASONS]
    ]
    columns = [
        Column(words.plain("column")),
        Column(words.plain("difference")),
        Column(words.plain("before"), "number"),
        Column(words.plain("now"), "number"),
    ]
    cut = len(drift) > MOST_REASONS
    note = words.plain("rows_cut", shown=MOST_REASONS, all=len(drift)) if cut else ""
    title = words.plain("schema_drift", since=dig(run, "schema", "compared_with"))
    return [Table(title, columns, rows, note)]


def _leaks(run: Mapping[str, Any], words: Words) -> list[Block]:
    found = entries(dig(run, "leaks", "found"))[:MOST_REASONS]
    if not found:
        return []
    rows = [[Cell(visible(one.get("column"), 80)), Cell(decimal(one.get("auc"), 3))] for one in found]
    columns = [Column(words.plain("column")), Column(words.plain("auc"), "number")]
    return [Table(words.plain("leaks"), columns, rows, words.plain("leaks_note"))]


def _difference(finding: Mapping[str, Any], words: Words) -> str:
    kind = str(finding.get("kind"))
    if kind == "category_share":
        return words.plain("drift_category_share", category=finding.get("value"))
    return visible(words.name(f"drift_{kind}"), 80)


def _texts(run: Mapping[str, Any], words: Words) -> list[Block]:
    """What prepare found out about the texts, as far as it was asked to."""
    found = dig(run, "prepare")
    found = found if isinstance(found, Mapping) else {}
    rows: list[list[Cell]] = []

    def add(what: str, count: Any, of: Any = None) -> None:
        part = share(count, of)
        shown = percent(part) if part is not None else NOTHING
        rows.append([Cell(what), Cell(integer(count), sort=number(count)), Cell(shown, sort=part)])

    languages = found.get("languages")
    if isinstance(languages, Mapping):
        texts = sum(number(count) or 0 for count in languages.values())
        for code, count in languages.items():
            add(words.plain("text_language", language=code), count, texts)
    near, out = found.get("near_duplicates"), dig(run, "rows", "out")
    if isinstance(near, Mapping):
        add(words.plain("duplicate_groups"), near.get("groups"))
        add(words.plain("duplicate_rows"), near.get("rows"), out)
        add(words.plain("duplicate_largest"), near.get("largest"))
    masked = found.get("masked")
    if isinstance(masked, Mapping):
        add(words.plain("masked_rows"), masked.get("rows"), out)
        times = masked.get("times")
        for kind, count in times.items() if isinstance(times, Mapping) else ():
            add(words.plain("masked_kind", kind=kind), count)
    tagging = found.get("tagging")
    if isinstance(tagging, Mapping):
        whole, shares = number(tagging.get("words")), tagging.get("shares")
        add(words.plain("tagged_words"), whole)
        for tag, part in shares.items() if isinstance(shares, Mapping) else ():
            if number(part):
                add(words.plain("tagged_as", tag=tag), round((whole or 0) * part), whole)
    if found.get("sentences") is not None:
        add(words.plain("sentences"), found.get("sentences"))
    if not rows:
        return []
    columns = [
        Column(words.plain("finding")),
        Column(words.plain("count"), "number"),
        Column(words.plain("of_all"), "number"),
    ]
    return [Table(words.plain("texts_prepared"), columns, rows)]


def _features(run: Mapping[str, Any], words: Words) -> list[Block]:
    features = run.get("features")
    if not isinstance(features, Mapping) or not features:
        return []
    rows = [
        [
            Cell(visible(name)),
            Cell(integer(dig(block, "dimension")), sort=number(dig(block, "dimension"))),
            Cell(decimal(dig(block, "weight"), 2), sort=number(dig(block, "weight"))),
        ]
        for name, block in features.items()
    ]
    columns = [
        Column(words.plain("block")),
        Column(words.plain("dimension"), "number"),
        Column(words.plain("weight"), "number"),
    ]
    return [Table(words.plain("blocks"), columns, rows)]
