"""Plotly figures as plain dictionaries; the page's script draws them in the colours of its theme.

Colours are names (``@series-1``) that the script replaces, so that one figure serves light, dark and
print. Categories stand at whole numbers with their names as tick labels: a class named ``1`` stays a
name, and two long names that are cut to the same text stay two.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from fusionspark.columns import SPLITS
from fusionspark.report.display import for_plotly, number, visible
from fusionspark.report.phrases import Words

#: Colours of the theme; further series start again with another marker.
SERIES = 10
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")


def colour(i: int) -> str:
    """Return the theme's name for the colour of series ``i``."""
    return f"@series-{i % SERIES + 1}"


def _spec(data: list[dict[str, Any]], **layout: Any) -> dict[str, Any]:
    return {"data": data, "layout": layout}


def _names(labels: Sequence[Any], limit: int = 24, **axis: Any) -> dict[str, Any]:
    """Return an axis that shows ``labels`` at 0, 1, 2, ..."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(labels))),
        "ticktext": [for_plotly(label, limit) for label in labels],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        **axis,
    }


def bars(
    labels: Sequence[Any], values: Sequence[float], texts: Sequence[str], *, own_colours: bool = False
) -> dict[str, Any]:
    """Horizontal bars, the first on top, with the value written beside each."""
    colours: Any = [colour(i) for i in range(len(labels))] if own_colours else "@accent"
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": list(values),
        "y": list(range(len(labels))),
        "text": list(texts),
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": colours},
        "hoverinfo": "none",
    }
    # Room on the right for the text outside the longest bar.
    reach = max([*values, 1e-9]) * max([1.22, *(1 + 0.04 * len(text) for text in texts)])
    return _spec(
        [trace],
        xaxis={"range": [0, reach], "showgrid": True, "zeroline": False, "nticks": 5, "fixedrange": True},
        yaxis=_names(labels, autorange="reversed", fixedrange=True),
        bargap=0.35,
        margin={"l": 8, "r": 8, "t": 8, "b": 28},
        showlegend=False,
    )


def metric_by_split(
    metrics: Mapping[str, Mapping[str, Any]], metric: str, words: Words, floor: float | None = None
) -> dict[str, Any] | None:
    """Bars of one metric, grouped by algorithm, one colour a split; None where nothing is defined.

    ``floor`` is drawn as a dotted line: what always answering the most frequent class would reach.
    """
    names = list(metrics)
    crowded = len(names) > 4
    data = []
    for split in SPLITS:
        values = [number((metrics[name].get(split) or {}).get(metric)) for name in names]
        if any(value is not None for value in values):
            data.append(
                {
                    "type": "bar",
                    "name": words.name(split),
                    "x": list(range(len(names))),
                    "y": values,
                    "text": ["" if value is None or crowded else f"{value:.2f}" for value in values],
                    "textposition": "outside",
                    "textfont": {"size": 10},
                    "cliponaxis": False,
                    "marker": {"color": f"@{split}"},
                    "hovertemplate": f"{words.name(split)}: %{{y:.4f}}<extra></extra>",
                }
            )
    if not data:
        return None
    axis = _names(names, 24, fixedrange=True, tickangle=-40 if crowded else 0)
    if not crowded:
        axis["ticktext"] = [_broken(name) for name in names]
    layout: dict[str, Any] = {
        "barmode": "group",
        "bargap": 0.25,
        "xaxis": axis,
        "yaxis": {
            "range": [0, 1.08],
            "tickvals": [0, 0.25, 0.5, 0.75, 1],
            "fixedrange": True,
            "zeroline": False,
        },
        "legend": {"orientation": "h", "y": 1.04, "yanchor": "bottom", "x": 0},
        "margin": {"l": 36, "r": 8, "t": 36, "b": 28},
    }
    if floor is not None:
        layout["shapes"] = [
            {
                "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": floor, "y1": floor,
                "line": {"color": "@muted", "width": 1.5, "dash": "dot"},
            }
        ]  # fmt: skip
    return _spec(data, **layout)


def _broken(name: str, width: int = 13) -> str:
    """Break a name after its underscores, so that it fits below its bars."""
    lines = textwrap.wrap(visible(name, 39).replace("_", "_ "), width)
    return "<br>".join(for_plotly(line.replace("_ ", "_"), width) for line in lines)


def confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]], words: Words) -> dict[str, Any]:
    """Heat map of a confusion matrix: colour is the share of the true class, text the count."""
    shares = []
    for row in matrix:
        whole = sum(row)
        shares.append([cell / whole if whole else None for cell in row])
    hover = [
        [
            f"{words.plain('true_class')}: {for_plotly(truth)}<br>{words.plain('predicted_class')}: "
            f"{for_plotly(answer)}<br>{matrix[i][j]:,}"
            + ("" if shares[i][j] is None else f" ({shares[i][j]:.1%})")
            for j, answer in enumerate(labels)
        ]
        for i, truth in enumerate(labels)
    ]
    trace = {
        "type": "heatmap",
        "z": shares,
        "x": list(range(len(labels))),
        "y": list(range(len(labels))),
        "text": [[f"{cell:,}" for cell in row] for row in matrix],
        "texttemplate": "%{text}" if len(labels) <= 15 else "",
        "hovertext": hover,
        "hoverinfo": "text",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "@heat-low"], [1, "@heat-high"]],
        "xgap": 2,
        "ygap": 2,
        "colorbar": {"thickness": 8, "tickformat": ".0%", "outlinewidth": 0, "nticks": 5},
    }
    limit = 18 if len(labels) <= 8 else 12
    return _spec(
        [trace],
        xaxis=_names(labels, limit, title={"text": words.plain("predicted_class")}, fixedrange=True),
        yaxis=_names(
            labels, limit, title={"text": words.plain("true_class")}, autorange="reversed", fixedrange=True
        ),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )


def row_map(points: Sequence[Mapping[str, Any]], order: Mapping[Any, int], words: Words) -> dict[str, Any]:
    """Scatter of sampled rows, one trace a cluster, with the row's text on hover.

    Parameters
    ----------
    points : sequence of dict
        ``row_id, x, y, cluster, label, text``.
    order : dict
        Position of each cluster in the page, which decides its colour.
    """
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for point in points:
        groups.setdefault(point.get("cluster"), []).append(point)
    data = []
    for cluster in sorted(groups, key=lambda name: (order.get(name, math.inf), str(name))):
        place = order.get(cluster, len(order))
        members = groups[cluster]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": for_plotly(words.plain("cluster_n", n=cluster if cluster is not None else "–")),
                "x": [number(point.get("x")) for point in members],
                "y": [number(point.get("y")) for point in members],
                "hovertext": [_hover(point, words) for point in members],
                "hoverinfo": "text",
                "marker": {
                    "color": colour(place),
                    "symbol": _SYMBOLS[place // SERIES % len(_SYMBOLS)],
                    "size": 7 if len(points) < 800 else 5,
                    "opacity": 0.75,
                    "line": {"width": 0.5, "color": "@surface"},
                },
            }
        )
    plain = {"showticklabels": False, "zeroline": False, "showgrid": True, "title": {"text": ""}}
    return _spec(
        data,
        xaxis=plain,
        yaxis=dict(plain),
        legend={"orientation": "h", "y": -0.04, "yanchor": "top", "x": 0, "itemsizing": "constant"},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        hovermode="closest",
    )


def over_nights(
    nights: Sequence[Any], series: Mapping[str, Sequence[float | None]], *, share: bool
) -> dict[str, Any] | None:
    """Lines over run dates, one a series; None where no series has a value.

    ``share`` keeps the axis to what a share can be.
    """
    shown_as = ".3f" if share else ",.3~f"
    data = [
        {
            "type": "scatter", "mode": "lines+markers", "name": for_plotly(name, 24),
            "x": list(range(len(nights))), "y": list(values), "connectgaps": False,
            "line": {"color": colour(i), "width": 2, "dash": "solid" if i < SERIES else "dash"},
            "marker": {"color": colour(i), "size": 6, "symbol": _SYMBOLS[i % len(_SYMBOLS)]},
            "hovertemplate": f"{for_plotly(name, 24)}<br>%{{text}}: %{{y:{shown_as}}}<extra></extra>",
            "text": [for_plotly(night) for night in nights],
        }
        for i, (name, values) in enumerate(series.items())
        if any(value is not None for value in values)
    ]  # fmt: skip
    if not data:
        return None
    # Ten dates fit below an axis; the others are on hover.
    step = -(-len(nights) // 10)
    shown = range(len(nights) - 1, -1, -step)[::-1]
    axis = _names([nights[i] for i in shown], tickvals=list(shown), fixedrange=True)
    floor: dict[str, Any] = {"range": [0, 1.04]} if share else {"rangemode": "tozero"}
    return _spec(
        data,
        xaxis={**axis, "range": [-0.4, len(nights) - 0.6]},
        yaxis={**floor, "fixedrange": True, "zeroline": False, "automargin": True},
        legend={"orientation": "h", "y": 1.04, "yanchor": "bottom", "x": 0},
        margin={"l": 8, "r": 12, "t": 36, "b": 8},
    )


def _hover(point: Mapping[str, Any], words: Words) -> str:
    head = f"<b>{for_plotly(point.get('row_id'), 40)}</b>"
    if point.get("label") is not None:
        head += f" · {for_plotly(point['label'], 40)}"
    lines = textwrap.wrap(visible(point.get("text") or "", 240), 56)[:6]
    return "<br>".join([head, *(for_plotly(line, 60) for line in lines)])
