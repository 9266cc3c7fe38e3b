"""Curves of several classes, each against the rest: ROC, precision and recall, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionspark.report.display import for_plotly, number
from fusionspark.report.figures import SERIES, colour
from fusionspark.report.phrases import Words

Curves = Mapping[str, Sequence[Sequence[float]]]
_LEGEND = {"x": 0.98, "xanchor": "right", "y": 0.03, "yanchor": "bottom", "bgcolor": "@veil"}


def roc(curves: Curves, aucs: Mapping[str, float | None], words: Words) -> dict[str, Any]:
    """ROC curves with the line of chance."""
    data = [_diagonal(words.plain("chance")), *_lines(curves, aucs)]
    return _square(data, words.plain("fpr"), words.plain("tpr"), _LEGEND)


def precision_recall(curves: Curves, averages: Mapping[str, float | None], words: Words) -> dict[str, Any]:
    """Precision over recall; the number beside a class is its average precision."""
    data = _lines({name: [[0.0, points[0][1]], *points] for name, points in curves.items()}, averages)
    # Low on the left, where precision rarely is.
    legend = {**_LEGEND, "x": 0.02, "xanchor": "left"}
    return _square(data, words.plain("recall"), words.plain("precision"), legend)


def calibration(curves: Curves, words: Words) -> dict[str, Any]:
    """Share of rows that are of the class over the probability that was said, with the line of truth."""
    data = [_diagonal(words.plain("calibrated"))]
    rows = words.plain("rows")
    shown = "%{x:.3f}, %{y:.3f}<br>%{text}<extra></extra>"
    for i, (name, points) in enumerate(curves.items()):
        line = _line(name, points, i)
        data.append(
            {
                **line,
                "mode": "lines+markers",
                "marker": {"color": colour(i), "size": 6},
                "text": [f"{point[2]:,.0f} {for_plotly(rows)}" for point in points],
                "hovertemplate": f"{for_plotly(name, 20)}<br>{shown}",
            }
        )
    return _square(data, words.plain("said_probability"), words.plain("seen_share"), _LEGEND)


def estimated(points: Sequence[Sequence[float]], name: str, words: Words) -> dict[str, Any]:
    """Each row's estimate over its label, with the line on which the two are equal."""
    across, upward = ([point[i] for point in points] for i in (0, 1))
    low, high = min([*across, *upward]), max([*across, *upward])
    line = {**_diagonal(words.plain("exact")), "x": [low, high], "y": [low, high]}
    marks = {
        "type": "scatter", "mode": "markers", "x": across, "y": upward, "name": for_plotly(name, 24),
        "marker": {"color": colour(0), "size": 6, "opacity": 0.6},
        "hovertemplate": "%{x:,.4~g} → %{y:,.4~g}<extra></extra>",
    }  # fmt: skip
    spec = _square([line, marks], words.plain("true_number"), words.plain("estimate"), _LEGEND)
    for axis in ("xaxis", "yaxis"):
        spec["layout"][axis].pop("range")
    return spec


def over_k(curve: Sequence[Mapping[str, Any]], chosen: int, words: Words) -> dict[str, Any]:
    """Silhouette and cost over the number of clusters; the chosen one has a larger mark."""
    ks = [one["k"] for one in curve]
    size = [12 if k == chosen else 6 for k in ks]
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": words.plain(name),
            "x": ks,
            "y": [one[name] for one in curve],
            "yaxis": axis,
            "line": {"color": colour(i), "width": 2, "dash": "solid" if not i else "dot"},
            "marker": {"color": colour(i), "size": size},
            "hovertemplate": f"k = %{{x}}: %{{y:{shown}}}<extra></extra>",
        }
        for i, (name, axis, shown) in enumerate((("silhouette", "y", ".3f"), ("cost", "y2", ",.4g")))
    ]
    still = {"fixedrange": True, "zeroline": False, "automargin": True}
    layout = {
        "xaxis": {**still, "title": {"text": "k"}, "dtick": 1 if len(ks) < 16 else 5},
        "yaxis": still,
        "yaxis2": {**still, "overlaying": "y", "side": "right", "showgrid": False, "rangemode": "tozero"},
        "legend": {"orientation": "h", "y": 1.04, "yanchor": "bottom", "x": 0},
        "margin": {"l": 8, "r": 12, "t": 36, "b": 8},
    }
    return {"data": data, "layout": layout}


def _lines(curves: Curves, figures: Mapping[str, float | None]) -> list[dict[str, Any]]:
    found = []
    for i, (name, points) in enumerate(curves.items()):
        figure = number(figures.get(name))
        line = _line(name, points, i)
        found.append(line if figure is None else {**line, "name": f"{line['name']} ({figure:.3f})"})
    return found


def _line(name: str, points: Sequence[Sequence[float]], i: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": for_plotly(name, 20),
        "x": [point[0] for point in points],
        "y": [point[1] for point in points],
        "line": {"color": colour(i), "width": 2, "dash": "solid" if i < SERIES else "dash"},
        "hovertemplate": f"{for_plotly(name, 20)}<br>%{{x:.3f}}, %{{y:.3f}}<extra></extra>",
    }


def _diagonal(name: str) -> dict[str, Any]:
    line = {"color": "@muted", "width": 1, "dash": "dot"}
    return {
        "type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "name": name, "line": line,
        "hoverinfo": "skip",
    }  # fmt: skip


def _square(
    data: list[dict[str, Any]], across: str, upward: str, legend: Mapping[str, Any]
) -> dict[str, Any]:
    axis = {"range": [-0.01, 1.01], "zeroline": False, "automargin": True}
    return {
        "data": data,
        "layout": {
            "xaxis": {**axis, "title": {"text": across}},
            "yaxis": {**axis, "title": {"text": upward}},
            "legend": dict(legend),
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        },
    }
