"""The fusion receipt: whether the text pays, and what every block reaches alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from fusionspark.report.blocks import Block, Cell, Column, Section, Sentences, Table
from fusionspark.report.display import (
    NOTHING,
    decimal,
    dig,
    duration,
    integer,
    number,
    percent,
    significant,
    visible,
)
from fusionspark.report.phrases import Words

#: Of classes, and of numbers.
METRICS, NUMBER_METRICS = ("auc", "macro_f1", "accuracy"), ("r2", "rmse", "mae")


def build(run: Mapping[str, Any], words: Words) -> Section | None:
    """Show the arms of the receipt with their intervals; nothing where a run knows no receipt."""
    found = run.get("receipt")
    if not isinstance(found, Mapping):
        return None
    title = words.plain("receipt")
    arms = found.get("arms")
    if not isinstance(arms, Mapping) or not arms:
        why = words.name(f"why_{found.get('why')}")
        return Section("receipt", title, [Sentences([words("receipt_none", why=why)], "absent")])
    lines = receipt_sentences(run, words)
    cost = number(dig(found, "cost", "seconds"))
    if cost is not None:
        saved = duration(number(dig(found, "cost", "seconds_saved")) or 0.0)
        lines.append(words("receipt_cost", seconds=duration(cost), saved=saved))
    if found.get("of") and found.get("of") != run.get("run_date"):
        lines.append(words("receipt_of", of=found["of"]))
    blocks: list[Block] = [Sentences(lines), _table(found, arms, words)]
    return Section("receipt", title, blocks)


def receipt_sentences(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say in plain words whether the text pays, and whether fusing does."""
    found, lines = run.get("receipt"), []
    metric = words.name(str(dig(found, "metric")))
    text, control, fusion = (dig(found, key) for key in ("text", "shuffled", "fusion"))
    if isinstance(text, Mapping):
        pays = dig(found, "text_pays") is True
        # What fails may be the control: then the difference to the other blocks is not the point.
        lines.append(
            words(
                "receipt_text_pays" if pays else "receipt_text_idle",
                metric=metric,
                without=arm_name(text.get("second"), words),
                value=_of(found, text.get("second"), words),
                **{"with": _of(found, text.get("first"), words)},
                **_gain(text),
            )
        )
        if not pays and text.get("better") and isinstance(control, Mapping):
            lines.append(words("receipt_control_fails", value=_of(found, control.get("second"), words)))
    if isinstance(fusion, Mapping):
        key = "receipt_fusion_pays" if fusion.get("better") else "receipt_fusion_idle"
        test, p = "mcnemar", dig(fusion, "mcnemar", "p")
        if p is None:
            test, p = "bootstrap", dig(fusion, "p")
        block = arm_name(fusion.get("second"), words)
        lines.append(words(key, block=block, test=words.plain(test), p=decimal(p), **_gain(fusion)))
    return lines


def arm_name(arm: Any, words: Words) -> str:
    """Return what the page calls an arm."""
    return words.name(str(arm)) if arm in ("fused", "shuffled") else words.name(f"block_{arm}")


def _of(found: Any, arm: Any, words: Words) -> str:
    return decimal(dig(found, "arms", str(arm), str(dig(found, "metric"))))


def _gain(compared: Mapping[str, Any]) -> dict[str, str]:
    difference, between = number(compared.get("difference")), compared.get("interval")
    low, high = between if isinstance(between, list | tuple) and len(between) == 2 else (None, None)
    return {"gain": _signed(difference), "low": _signed(number(low)), "high": _signed(number(high))}


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.3f}"


def _table(found: Mapping[str, Any], arms: Mapping[str, Any], words: Words) -> Table:
    rows = []
    numbers = any(number(dig(entry, NUMBER_METRICS[0])) is not None for entry in arms.values())
    metrics = NUMBER_METRICS if numbers else METRICS
    for name, entry in arms.items():
        cells = [Cell(visible(arm_name(name, words), 60), strong=name == "fused")]
        cells.append(Cell(words.name(str(dig(entry, "learner")))))
        for metric in metrics:
            shown = {"accuracy": percent, "rmse": significant, "mae": significant}.get(metric, decimal)
            value, between = number(dig(entry, metric)), dig(entry, f"{metric}_interval")
            pair = isinstance(between, list | tuple) and len(between) == 2
            cells.append(Cell(shown(value), sort=value, bar=None if numbers else value))
            cells.append(Cell(f"{shown(between[0])} – {shown(between[1])}" if pair else NOTHING, sort=value))
        rows.append(cells)
    columns = [Column(words.plain("arm")), Column(words.plain("learner"))]
    for metric in metrics:
        columns += [Column(words.name(metric), "number"), Column(words.plain("interval"), "number")]
    note = words.plain(
        "receipt_note",
        samples=integer(found.get("samples")),
        rows=integer(dig(found, "rows", "test")),
        chosen=words.name(str(found.get("chosen_on"))),
    )
    sample = found.get("sample")
    if isinstance(sample, Mapping) and sample:
        splits = ", ".join(f"{words.name(str(split))} {percent(part)}" for split, part in sample.items())
        note += " " + words.plain("receipt_sampled", splits=splits)
    return Table(words.plain("receipt_arms"), columns, rows, note, wide=True)
