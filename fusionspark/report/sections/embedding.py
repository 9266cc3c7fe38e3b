"""What embedding the text cost, and what was saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionspark.report.blocks import Block, Cell, Column, Section, Sentences, Table
from fusionspark.report.display import decimal, flattened, integer, number, percent, share, visible
from fusionspark.report.phrases import Words
from fusionspark.report.sections.summary import embedding_sentences, texts_per_second

_COUNTS = ("texts", "distinct", "encoded", "reused", "tokens", "truncated", "model_loads")


def build(run: Mapping[str, Any], words: Words) -> Section:
    """Show the figures of `represent`, also those that this page does not know by name."""
    title = words.plain("embedding")
    represent = run.get("represent")
    if not isinstance(represent, Mapping) or not represent:
        return Section("embedding", title, [Sentences([words("no_represent")], "absent")])
    rows = []
    for key in _COUNTS:
        if number(represent.get(key)) is not None:
            whole = represent.get("texts") if key in ("distinct", "encoded", "reused", "truncated") else None
            part = share(represent[key], whole)
            rows.append(
                [Cell(words.name(key)), Cell(integer(represent[key])), Cell(percent(part) if whole else "")]
            )
    each = share(represent.get("tokens"), represent.get("encoded"))
    if each is not None:
        rows.append([Cell(words.plain("tokens_per_text")), Cell(decimal(each, 1)), Cell("")])
    rate = texts_per_second(run)
    if rate is not None:
        rows.append([Cell(words.plain("rate")), Cell(decimal(rate, 1)), Cell("")])
    for key, value in flattened({k: v for k, v in represent.items() if k not in _COUNTS}):
        rows.append([Cell(words.name(key)), Cell(visible(value, 120)), Cell("")])
    columns = [
        Column(words.plain("figure")),
        Column(words.plain("value"), "number"),
        Column("%", "number"),
    ]
    blocks: list[Block] = [
        Sentences(embedding_sentences(run, words)),
        Table(words.plain("embedding_figures"), columns, rows),
    ]
    return Section("embedding", title, blocks)
