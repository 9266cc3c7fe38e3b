"""Clusters: how many rows, in which words, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from fusionspark.report import figures
from fusionspark.report.blocks import (
    Block,
    ClusterCard,
    ClusterCards,
    Figure,
    Figures,
    Section,
    Sentences,
)
from fusionspark.report.curve_figures import over_k
from fusionspark.report.display import decimal, dig, entries, integer, number, percent, share, visible
from fusionspark.report.phrases import Words
from fusionspark.report.sections import cluster_changes
from fusionspark.report.sections.summary import cluster_sentences

#: Bounds of the page: clusters described one by one, and points on the map.
MOST_CLUSTERS, MOST_POINTS = 60, 3000
#: Rows shown of a cluster, nearest to its centre and most typical in words each.
MOST_ROWS = 5


def build(run: Mapping[str, Any], words: Words) -> Section:
    """Show sizes, map and a card for each cluster."""
    title = words.plain("clusters")
    sizes = _sizes(run)
    lines = cluster_sentences(run, words)
    lines += cluster_changes.sentences(run, words)
    why = dig(run, "cluster", "fit", "why")
    if why:
        lines.append(words("mllib_stood_in", why=str(why)))
    lines += _noise(run, words) + _naming(run, words)
    if not sizes and not lines:
        return Section("clusters", title, [Sentences([words("no_cluster")], "absent")])
    order = {cluster: i for i, cluster in enumerate(sizes)}
    figures_of_run = (_size_bars(sizes, words), _curve(run, words), _map(run, order, words))
    drawn = [figure for figure in figures_of_run if figure]
    blocks: list[Block] = [Sentences(lines)] if lines else []
    if drawn:
        blocks.append(Figures(drawn))
    blocks += _cards(run, sizes, order, words)
    return Section("clusters", title, blocks)


def _noise(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say how much of the sample HDBSCAN left out, where it made the clusters."""
    fit = dig(run, "cluster", "fit")
    noise = number(dig(run, "cluster", "fit", "noise"))
    if noise is None:
        return []
    found, sample = integer(fit.get("found")), integer(fit.get("sample"))
    return [words("density_noise", found=found, sample=sample, noise=percent(noise))]


def _naming(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say which model wrote the names, and of how many clusters its answer was refused."""
    naming = dig(run, "cluster", "naming")
    if not isinstance(naming, Mapping):
        return []
    refused = naming.get("refused")
    count = len(refused) if isinstance(refused, Mapping) else 0
    return [words("named_by", model=naming.get("model"), refused=integer(count))]


def _sizes(run: Mapping[str, Any]) -> dict[Any, int]:
    """Return rows by cluster id, in the order of the ids, from whichever part of the run has them."""
    summaries = entries(dig(run, "cluster", "clusters"))
    found = {entry.get("id"): number(entry.get("rows")) for entry in summaries}
    sizes = dig(run, "cluster", "sizes")
    if not found and isinstance(sizes, list):
        found = {i: number(size) for i, size in enumerate(sizes)}
    if not found and isinstance(sizes, Mapping):
        found = {int(key) if str(key).isdigit() else key: number(size) for key, size in sizes.items()}
    known = {cluster: int(size) for cluster, size in found.items() if size is not None}
    return dict(
        sorted(
            known.items(),
            key=lambda item: (
                not isinstance(item[0], int),
                item[0] if isinstance(item[0], int) else 0,
                str(item[0]),
            ),
        )
    )


def _size_bars(sizes: Mapping[Any, int], words: Words) -> Figure | None:
    if not sizes:
        return None
    shown = dict(list(sizes.items())[:MOST_CLUSTERS])
    whole = sum(sizes.values())
    spec = figures.bars(
        [words.plain("cluster_n", n=cluster) for cluster in shown],
        list(shown.values()),
        [f"{size:,} ({percent(share(size, whole), 0)})" for size in shown.values()],
        own_colours=True,
    )
    return Figure("cluster-sizes", words.plain("cluster_sizes"), spec, height=60 + 30 * len(shown), wide=True)


def _curve(run: Mapping[str, Any], words: Words) -> Figure | None:
    """Return what the number of clusters was chosen by, where the configuration left it open."""
    chosen, k = dig(run, "cluster", "chosen"), number(dig(run, "cluster", "chosen", "k"))
    points = [
        point
        for point in entries(dig(run, "cluster", "chosen", "curve"))
        if number(point.get("k")) is not None and number(point.get("cost")) is not None
    ]
    if k is None or len(points) < 2:
        return None
    note = words.plain(
        "curve_note", k=integer(k), elbow=integer(chosen.get("elbow")), rows=integer(chosen.get("rows"))
    )
    return Figure(
        "cluster-curve", words.plain("curve"), over_k(points, int(k), words), height=320, wide=True, note=note
    )


def _map(run: Mapping[str, Any], order: Mapping[Any, int], words: Words) -> Figure | None:
    found = [
        point
        for point in entries(dig(run, "cluster", "map"))
        if number(point.get("x")) is not None and number(point.get("y")) is not None
    ]
    if not found:
        return None
    shown = found[:MOST_POINTS]
    note = words.plain("map_note", shown=integer(len(shown)))
    if len(shown) < len(found):
        note += " " + words.plain("map_cut", shown=integer(len(shown)), all=integer(len(found)))
    title = words.plain("map_umap" if dig(run, "cluster", "map_method") == "umap" else "map")
    return Figure("map", title, figures.row_map(shown, order, words), height=560, wide=True, note=note)


def _cards(
    run: Mapping[str, Any], sizes: Mapping[Any, int], order: Mapping[Any, int], words: Words
) -> list[Block]:
    summaries = entries(dig(run, "cluster", "clusters"))
    if not summaries:
        return []
    largest = sorted(summaries, key=lambda entry: (-(number(entry.get("rows")) or 0), str(entry.get("id"))))
    top = max([*sizes.values(), 1])
    cards = []
    for entry in largest[:MOST_CLUSTERS]:
        rows = number(entry.get("rows")) or 0.0
        labels = entry.get("labels")
        counted = list(labels.items())[:8] if isinstance(labels, Mapping) else []
        cards.append(
            ClusterCard(
                title=_title(entry, words),
                colour=order.get(entry.get("id"), 0) % figures.SERIES + 1,
                size=words.plain("size_note", rows=integer(rows), share=percent(entry.get("share"))),
                width=round(100 * rows / top, 1),
                terms=[visible(_term(term), 40) for term in (entry.get("terms") or [])[:12]],
                labels=[(visible(label, 40), integer(count)) for label, count in counted],
                columns=_columns(entry, words),
                nearest=_rows(entry.get("nearest")),
                typical=_rows(entry.get("typical")),
            )
        )
    blocks: list[Block] = [ClusterCards(cards)]
    if len(largest) > MOST_CLUSTERS:
        blocks.append(Sentences([words("cluster_cut", shown=MOST_CLUSTERS, all=len(largest))], "absent"))
    return blocks


def _title(entry: Mapping[str, Any], words: Words) -> str:
    number = words.plain("cluster_n", n=entry.get("id"))
    name = entry.get("name")
    return f"{number}: {visible(name, 120)}" if name else number


def _rows(rows: Any) -> list[tuple[str, str]]:
    shown = entries(rows)[:MOST_ROWS]
    return [(visible(row.get("row_id"), 60), visible(row.get("text") or "", 300)) for row in shown]


def _columns(entry: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say which values are frequent in the cluster, and which numbers lie apart."""
    said = [
        words(
            "lift_note",
            value=f"{visible(one.get('column'), 40)} = {visible(one.get('value'), 40)}",
            share=percent(one.get("share")),
            overall=percent(one.get("overall")),
            lift=decimal(one.get("lift"), 1),
        )
        for one in entries(entry.get("lifts"))
    ]
    for one in entries(entry.get("shifts")):
        shift = number(one.get("shift"))
        if shift is None:
            continue
        said.append(
            words(
                "shift_above" if shift > 0 else "shift_below",
                column=visible(one.get("column"), 40),
                mean=decimal(one.get("mean"), 2),
                overall=decimal(one.get("overall"), 2),
                shift=decimal(abs(shift), 1),
            )
        )
    return said


def _term(term: Any) -> Any:
    """Return the word of a term, which may come with its weight."""
    if isinstance(term, Mapping):
        return term.get("term")
    return term[0] if isinstance(term, list | tuple) and term else term
