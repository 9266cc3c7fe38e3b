"""Sample pictures with what they are and what they were taken for, and what encoding them cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionspark.report.blocks import Block, PictureCard, PictureCards, Section, Tile, Tiles
from fusionspark.report.display import dig, entries, integer, number, percent, share, visible
from fusionspark.report.phrases import Words

_COUNTS = ("pictures", "distinct", "encoded", "reused", "empty", "failed", "model_loads")
#: How an address of a picture begins that the page may show.
_ADDRESS = "data:image/jpeg;base64,"


def build(run: Mapping[str, Any], words: Words) -> Section | None:
    """Show pictures; None where the run has none."""
    image = run.get("image")
    if not isinstance(image, Mapping):
        return None
    tiles = []
    for key in _COUNTS:
        if number(image.get(key)) is not None:
            part = percent(share(image[key], image.get("pictures"))) if key in ("encoded", "reused") else ""
            tiles.append(Tile(words.name(key), integer(image[key]), part))
    blocks: list[Block] = [Tiles(tiles)] if tiles else []
    cards = []
    for one in entries(dig(run, "pictures", "samples")):
        address = str(one.get("picture", ""))
        if not address.startswith(_ADDRESS):
            continue
        label, prediction = one.get("label"), one.get("prediction")
        right = None if prediction is None or label is None else label == prediction
        cards.append(
            PictureCard(
                address,
                visible(one.get("text") or one.get("row_id"), 80),
                visible(label, 40) if label is not None else "",
                visible(prediction, 40) if right is False else "",
                right,
            )
        )
    if cards:
        blocks.append(PictureCards(cards))
    return Section("pictures", words.plain("pictures"), blocks)
