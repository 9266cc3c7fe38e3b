"""Configuration and versions: what made this run, so that it can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionspark.report.blocks import Block, Cell, Column, Section, Sentences, Table
from fusionspark.report.display import flattened, visible
from fusionspark.report.phrases import Words

MOST_KEYS = 1000


def build(run: Mapping[str, Any], words: Words) -> Section:
    """Show the resolved configuration and the versions of everything that took part."""
    versions = dict(flattened(run["versions"])) if isinstance(run.get("versions"), Mapping) else {}
    if run.get("spark_version") is not None:
        versions.setdefault("spark", str(run["spark_version"]))
    if run.get("config_digest") is not None:
        versions[words.plain("config_digest")] = str(run["config_digest"])
    blocks: list[Block] = []
    config = run.get("config")
    if isinstance(config, Mapping) and config:
        pairs = list(flattened(config))
        rows = [[Cell(visible(key, 120)), Cell(visible(value, 300))] for key, value in pairs[:MOST_KEYS]]
        note = words.plain("rows_cut", shown=MOST_KEYS, all=len(pairs)) if len(pairs) > MOST_KEYS else ""
        columns = [Column(words.plain("key"), "code"), Column(words.plain("value"), "code")]
        blocks.append(Table(words.plain("configuration"), columns, rows, note))
    if versions:
        rows = [[Cell(visible(key, 120)), Cell(visible(value, 120))] for key, value in versions.items()]
        columns = [Column(words.plain("component")), Column(words.plain("version"), "code")]
        blocks.append(Table(words.plain("versions"), columns, rows))
    if not blocks:
        blocks.append(Sentences([words("nothing_known")], "absent"))
    return Section("setup", words.plain("setup"), blocks)
