"""What became of the clusters since the run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fusionspark.report.display import decimal, dig, entries, integer, number, visible
from fusionspark.report.phrases import Words


def sentences(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say which clusters stayed, came, went, merged and split, with their rows; empty for a first run."""
    since = dig(run, "cluster", "since")
    if not isinstance(since, Mapping):
        return []
    now = {entry.get("id"): entry for entry in entries(dig(run, "cluster", "clusters"))}
    kept = since.get("kept") or []
    lines = [
        words(
            "clusters_since",
            date=str(since.get("run_date")),
            kept=integer(len(kept)),
            k=integer(dig(run, "cluster", "k")),
        )
    ]
    if number(since.get("stability")) is not None:
        lines.append(
            words(
                "clusters_since_rows",
                shared=integer(since.get("shared")),
                moved=integer(since.get("moved")),
                stability=decimal(since.get("stability"), 2),
            )
        )
    born = [now.get(one, {"id": one}) for one in since.get("born") or []]
    for phrase, which in (("clusters_born", born), ("clusters_died", entries(since.get("died")))):
        if which:
            lines.append(words(phrase, which="; ".join(_shown(one, words) for one in which)))
    for one in entries(since.get("merged")):
        lines.append(_moved("clusters_merged", one, words))
    for one in entries(since.get("split")):
        lines.append(_moved("clusters_split", one, words))
    return lines


def _shown(entry: Mapping[str, Any], words: Words) -> str:
    title = words.plain("cluster_n", n=entry.get("id"))
    name = f" ({visible(entry['name'], 80)})" if entry.get("name") else ""
    return f"{title}{name}, {integer(entry.get('rows'))}"


def _moved(phrase: str, one: Mapping[str, Any], words: Words) -> Markup:
    rows = one.get("rows")
    return words(
        phrase,
        into=_list(one.get("into"), words),
        of=_list(one.get("of"), words),
        rows=integer(sum(rows.values()) if isinstance(rows, Mapping) else None),
    )


def _list(ids: Any, words: Words) -> str:
    found: Sequence[Any] = ids if isinstance(ids, list) else [ids]
    return ", ".join(words.plain("cluster_n", n=one) for one in found)
