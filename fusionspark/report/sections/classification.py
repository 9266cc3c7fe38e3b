"""Classification: every algorithm on every split, then the best one class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionspark.columns import TRAIN
from fusionspark.report import curve_figures, figures
from fusionspark.report.blocks import Block, Cell, Column, Figure, Figures, Section, Sentences, Table
from fusionspark.report.display import NOTHING, decimal, dig, integer, number, percent, visible
from fusionspark.report.phrases import Words
from fusionspark.report.sections.chosen import Chosen, algorithms, choose

METRICS = ("accuracy", "macro_f1", "auc")
CURVES = ("roc", "pr", "calibration")
#: Classes drawn one by one; further ones are added up (matrix) or left out (curves, and it says so).
MOST_CLASSES, MOST_CURVES, MOST_ROWS = 24, 10, 500


def build(run: Mapping[str, Any], words: Words) -> Section | None:
    """Show metrics of all algorithms, and confusion matrix, curves and classes of the best.

    Nothing where the label is a number.
    """
    title = words.plain("classification")
    chosen = choose(run)
    if chosen is None and run.get("regress"):
        return None
    if chosen is None:
        return Section("classification", title, [Sentences([words("no_classify")], "absent")])
    found = algorithms(run)
    drawn = []
    for metric in METRICS:
        floor = number(dig(chosen.figures, "majority", metric))
        spec = figures.metric_by_split(found, metric, words, floor)
        if spec:
            name = words.plain("metric_by_split", metric=words.name(metric))
            note = words.plain("floor_note", value=decimal(floor)) if floor is not None else ""
            drawn.append(Figure(f"metric-{metric}", name, spec, height=290, note=note))
    blocks: list[Block] = [Figures(drawn), _table(found, chosen.name, words)]
    drawn_curves = (_confusion(chosen, words), *(_curves(kind, chosen, words) for kind in CURVES))
    detail = [figure for figure in drawn_curves if figure]
    # Two beside each other: a fourth alone in its row looks lost.
    blocks += [Figures(detail[i : i + 2]) for i in range(0, len(detail), 2)]
    blocks += _classes(chosen, words)
    return Section("classification", title, blocks)


def _table(found: Mapping[str, Mapping[str, Any]], best: str, words: Words) -> Table:
    rows = []
    for name, splits in found.items():
        train = number(dig(splits, TRAIN, "accuracy"))
        for i, (split, entry) in enumerate(splits.items()):
            accuracy = number(entry.get("accuracy"))
            gap = train - accuracy if train is not None and accuracy is not None and split != TRAIN else None
            rows.append(
                [
                    Cell(visible(name, 60), strong=name == best),
                    Cell(words.name(split), sort=i),
                    Cell(integer(entry.get("rows")), sort=number(entry.get("rows"))),
                    Cell(percent(accuracy), sort=accuracy, bar=accuracy, note=_between(entry, "accuracy")),
                    *(
                        Cell(
                            decimal(entry.get(key)),
                            sort=number(entry.get(key)),
                            bar=number(entry.get(key)),
                            note=_between(entry, key),
                        )
                        for key in ("macro_f1", "auc")
                    ),
                    Cell(
                        decimal(entry.get("calibration_error")), sort=number(entry.get("calibration_error"))
                    ),
                    Cell(NOTHING if gap is None else f"{100 * gap:+.1f}", sort=gap),
                ]
            )
    columns = [
        Column(words.plain("algorithm")),
        Column(words.plain("split")),
        *(
            Column(words.plain(key), "number")
            for key in ("rows", "accuracy", "macro_f1", "auc", "calibration_error", "gap")
        ),
    ]
    errors = [number(entry.get("auc_error")) for splits in found.values() for entry in splits.values()]
    bound = max((error for error in errors if error is not None), default=None)
    notes = [words.plain("intervals_note")]
    notes += [] if bound is None else [words.plain("auc_error", error=f"{bound:.1e}")]
    return Table(words.plain("algorithms"), columns, rows, " ".join(notes))


def _between(entry: Mapping[str, Any], metric: str) -> str:
    """The interval of a metric as text."""
    found = entry.get(f"{metric}_interval")
    if not isinstance(found, list | tuple) or len(found) != 2:
        return ""
    shown = percent if metric == "accuracy" else decimal
    return f"{shown(found[0])} – {shown(found[1])}"


def _confusion(chosen: Chosen, words: Words) -> Figure | None:
    labels, matrix = dig(chosen.figures, "confusion", "labels"), dig(chosen.figures, "confusion", "matrix")
    if not labels or not matrix:
        return None
    names, counts, others = _most_frequent(labels, matrix, words.plain("other"))
    note = words.plain("confusion_note")
    if others:
        note += " " + words.plain(
            "confusion_cut", kept=len(names) - 1, others=others, other=words.plain("other")
        )
    title = words.plain("confusion", best=chosen.name, split=words.name(chosen.split))
    spec = figures.confusion(names, counts, words)
    return Figure("confusion", title, spec, height=max(380, 120 + 24 * len(names)), note=note)


def _most_frequent(
    labels: Sequence[str], matrix: Sequence[Sequence[int]], other: str
) -> tuple[list[str], list[list[int]], int]:
    """Keep the most frequent classes of a confusion matrix and add the rest up."""
    if len(labels) <= MOST_CLASSES:
        return [str(label) for label in labels], [list(row) for row in matrix], 0
    ranked = sorted(range(len(labels)), key=lambda i: (-sum(matrix[i]), str(labels[i])))
    kept = sorted(ranked[: MOST_CLASSES - 1])
    place = {old: new for new, old in enumerate(kept)}
    size = len(kept) + 1
    counts = [[0] * size for _ in range(size)]
    for i, row in enumerate(matrix):
        for j, cell in enumerate(row):
            counts[place.get(i, size - 1)][place.get(j, size - 1)] += cell
    return [*(str(labels[i]) for i in kept), other], counts, len(labels) - len(kept)


def _curves(kind: str, chosen: Chosen, words: Words) -> Figure | None:
    curves = chosen.figures.get(kind)
    if not isinstance(curves, Mapping) or not curves:
        return None
    classes = chosen.figures.get("classes") or {}
    ranked = sorted(curves, key=lambda name: (-(number(dig(classes, name, "support")) or 0), name))
    kept = sorted(ranked[:MOST_CURVES])
    drawn = {name: curves[name] for name in kept}
    notes = [words.plain("roc_cut", kept=MOST_CURVES)] if len(classes) > MOST_CURVES else []
    if kind == "calibration":
        spec = curve_figures.calibration(drawn, words)
        error = number(chosen.figures.get("calibration_error"))
        notes += [words.plain("calibration_note", error=decimal(error))] if error is not None else []
    elif kind == "pr":
        averages = {name: dig(classes, name, "average_precision") for name in kept}
        spec = curve_figures.precision_recall(drawn, averages, words)
    else:
        spec = curve_figures.roc(drawn, {name: dig(classes, name, "auc") for name in kept}, words)
    title = words.plain(kind, best=chosen.name, split=words.name(chosen.split))
    height = max(380, 120 + 24 * min(len(classes), MOST_CLASSES))
    return Figure(kind, title, spec, height=height, note=" ".join(notes))


def _classes(chosen: Chosen, words: Words) -> list[Block]:
    classes = chosen.figures.get("classes")
    if not isinstance(classes, Mapping) or not classes:
        return []
    ranked = sorted(classes, key=lambda name: (-(number(dig(classes, name, "support")) or 0), str(name)))
    rows = [
        [
            Cell(visible(name, 80)),
            *(
                Cell(
                    decimal(dig(classes, name, key)),
                    sort=number(dig(classes, name, key)),
                    bar=number(dig(classes, name, key)),
                )
                for key in ("precision", "recall", "f1", "auc")
            ),
            Cell(integer(dig(classes, name, "support")), sort=number(dig(classes, name, "support"))),
        ]
        for name in ranked[:MOST_ROWS]
    ]
    columns = [
        Column(words.plain("class")),
        *(Column(words.plain(key), "number") for key in ("precision", "recall", "f1", "auc", "support")),
    ]
    title = words.plain("per_class", best=chosen.name, split=words.name(chosen.split))
    note = words.plain("rows_cut", shown=MOST_ROWS, all=len(ranked)) if len(ranked) > MOST_ROWS else ""
    return [Table(title, columns, rows, note)]
