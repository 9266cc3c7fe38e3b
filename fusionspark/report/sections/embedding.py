"""What embedding the text cost, and what was saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionspark.report.blocks import Block, Cell, Column, Section, Sentences, Table, Tile, Tiles
from fusionspark.report.display import decimal, flattened, integer, number, percent, share, visible
from fusionspark.report.phrases import Words
from fusionspark.report.sections.summary import texts_per_second

_COUNTS = ("texts", "distinct", "encoded", "reused", "truncated", "tokens", "model_loads")
_SHARES = ("distinct", "encoded", "reused", "truncated")


def build(run: Mapping[str, Any], words: Words) -> Section:
    """Show the figures of `represent`, also those that this page does not know by name."""
    title = words.plain("embedding")
    represent = run.get("represent")
    if not isinstance(represent, Mapping) or not represent:
        return Section("embedding", title, [Sentences([words("no_represent")], "absent")])
    each = share(represent.get("tokens"), represent.get("encoded"))
    tiles = []
    for key in _COUNTS:
        if number(represent.get(key)) is not None:
            note = percent(share(represent[key], represent.get("texts"))) if key in _SHARES else ""
            if key == "tokens" and each is not None:
                note = words.plain("tokens_per_text", value=decimal(each, 1))
            tiles.append(Tile(words.plain(key), integer(represent[key]), note))
    if number(represent.get("seconds_saved")):
        tiles.append(Tile(words.plain("seconds_saved"), decimal(represent["seconds_saved"], 1)))
    rate = texts_per_second(run)
    if rate is not None:
        tiles.append(Tile(words.plain("rate"), decimal(rate, 1), words.plain("rate_note")))
    blocks: list[Block] = [Tiles(tiles)] if tiles else []
    rest = {key: value for key, value in represent.items() if key not in (*_COUNTS, "seconds_saved")}
    rows = (
        [[Cell(words.name(key)), Cell(visible(value, 120))] for key, value in flattened(rest)] if rest else []
    )
    if rows:
        columns = [Column(words.plain("figure")), Column(words.plain("value"), "code")]
        blocks.append(Table(words.plain("embedding_figures"), columns, rows, wide=True))
    return Section("embedding", title, blocks)
