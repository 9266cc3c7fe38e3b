"""Regression: every algorithm on every split, and the best one row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from fusionspark.columns import SPLITS, TEST, TRAIN, VALIDATION
from fusionspark.report import curve_figures
from fusionspark.report.blocks import Block, Cell, Column, Figure, Figures, Section, Sentences, Table, Tile
from fusionspark.report.display import NOTHING, dig, integer, number, significant, visible
from fusionspark.report.history import NUMBERS as METRICS
from fusionspark.report.phrases import Words

#: From which over-fitting is called so: RMSE of held-out rows over that of training rows, and the distance of
#: the two over the RMSE of the mean.
LARGE_RATIO, LARGE_GAP = 1.25, 0.1


def build(run: Mapping[str, Any], words: Words) -> Section | None:
    """Show metrics of all regressions, and estimates of the best; nothing where no number is estimated."""
    found = measured(run)
    if not found:
        return None
    best, split, figures = chosen(run, found)
    blocks: list[Block] = [Sentences(sentences(run, words)), _table(found, best, words)]
    points = figures.get("points")
    if isinstance(points, list) and points:
        title = words.plain("estimates", best=best, split=words.name(split))
        spec = curve_figures.estimated(points, best, words)
        note = words.plain("estimates_note", shown=integer(len(points)))
        blocks.append(Figures([Figure("estimates", title, spec, height=460, wide=True, note=note)]))
    return Section("regression", words.plain("regression"), blocks)


def measured(run: Mapping[str, Any]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return the splits of each regression that have labelled rows, splits in their usual order."""
    estimated = run.get("regress")
    found = {}
    for name, splits in estimated.items() if isinstance(estimated, Mapping) else ():
        kept = {split: splits[split] for split in SPLITS if number(dig(splits, split, "rmse")) is not None}
        if kept:
            found[str(name)] = kept
    return found


def chosen(
    run: Mapping[str, Any], found: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> tuple[str, str, Mapping[str, Any]]:
    """Return the best algorithm, its split that counts (test, else validation, else train), its figures."""
    best = run.get("best")
    name = best if isinstance(best, str) and best in found else min(found)
    split = next(split for split in (TEST, VALIDATION, TRAIN) if split in found[name])
    return name, split, found[name][split]


def sentences(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say how far the estimates are off, and whether that is better than the mean."""
    found = measured(run)
    if not found:
        return []
    best, split, figures = chosen(run, found)
    lines = [words("best_only", best=best)]
    if len(found) > 1:
        validated = any(VALIDATION in splits for splits in found.values())
        key = "best_of_numbers" if validated else "best_of_train"
        lines = [words(key, count=len(found), best=best)]
    shown = {metric: significant(figures.get(metric)) for metric in METRICS}
    lines.append(words("off_by", rows=integer(figures.get("rows")), split=words.name(split), **shown))
    if split == TRAIN:
        lines.append(words("not_held_out"))
    floor, rmse = number(dig(figures, "baseline", "rmse")), number(figures.get("rmse"))
    if floor is None or rmse is None:
        return lines
    ends = figures.get("rmse_interval")
    high = number(ends[1]) if isinstance(ends, list | tuple) and len(ends) == 2 else None
    better = (rmse if high is None else high) < floor
    lines.append(words("beats_mean" if better else "ties_mean", baseline=significant(floor)))
    trained = number(dig(found[best], TRAIN, "rmse")) or rmse
    if rmse > LARGE_RATIO * trained and rmse - trained > LARGE_GAP * floor:
        lines.append(words("off_by_more", train=significant(trained), split=words.name(split)))
    return lines


def tiles(run: Mapping[str, Any], words: Words) -> list[Tile]:
    """Return the figures of the best regression for the head of the page."""
    found = measured(run)
    if not found:
        return []
    _, split, figures = chosen(run, found)
    where = words.plain("on_split", split=words.name(split))
    return [
        Tile(words.plain(metric), significant(figures.get(metric)), _between(figures, metric) or where)
        for metric in METRICS
    ]


def _table(found: Mapping[str, Mapping[str, Mapping[str, Any]]], best: str, words: Words) -> Table:
    rows = []
    for name, splits in found.items():
        for i, (split, entry) in enumerate(splits.items()):
            floor = number(dig(entry, "baseline", "rmse"))
            cells = [
                Cell(significant(entry.get(key)), sort=number(entry.get(key)), note=_between(entry, key))
                for key in METRICS
            ]
            rows.append(
                [
                    Cell(visible(name, 60), strong=name == best),
                    Cell(words.name(split), sort=i),
                    Cell(integer(entry.get("rows")), sort=number(entry.get("rows"))),
                    *cells,
                    Cell(NOTHING if floor is None else significant(floor), sort=floor),
                ]
            )
    columns = [
        Column(words.plain("algorithm")),
        Column(words.plain("split")),
        *(Column(words.plain(key), "number") for key in ("rows", *METRICS, "rmse_of_mean")),
    ]
    return Table(words.plain("algorithms"), columns, rows, words.plain("intervals_note"))


def _between(entry: Mapping[str, Any], metric: str) -> str:
    ends = entry.get(f"{metric}_interval")
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return ""
    return f"{significant(ends[0])} – {significant(ends[1])}"
