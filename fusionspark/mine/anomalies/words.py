"""Why a row is an anomaly, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fusionspark.mine.anomalies.model import (
    CATEGORIES,
    DISTANCE,
    FOREST,
    NUMBERS,
    UNLIKE,
    AnomalyModel,
    Scored,
)

#: p-value of a detector up to which it is named as a reason; and reasons named at most.
NAMED, MOST = 0.05, 4


def reasons(model: AnomalyModel, columns: Mapping[str, Any], scored: Scored, row: int) -> list[str]:
    """The detectors that find the row odd, the oddest first; the oddest alone where none is below `NAMED`."""
    parts = {name: float(p[row]) for name, p in scored.parts.items() if not np.isnan(p[row])}
    ranked = sorted(parts, key=lambda name: (parts[name], name))
    chosen = [name for name in ranked if parts[name] <= NAMED] or ranked[:1]
    named = (*model.numeric, *model.categorical)
    one = {name: [values[row]] for name, values in columns.items() if name in named}
    told = []
    for name in chosen:
        if name in (DISTANCE, FOREST):
            told.append(_place(name, model, columns, row))
        elif name == NUMBERS:
            told.append(_number(model, one))
        elif name == CATEGORIES:
            told.append(_category(model, one))
        else:
            told.append(_text(name, model, one, (int(scored.level[row]), scored.other[row])))
    return [line for line in dict.fromkeys(told) if line][:MOST]


def _place(name: str, model: AnomalyModel, columns: Mapping[str, Any], row: int) -> str:
    if name == FOREST:
        return "an unusual combination of values (isolation forest)"
    cluster = int(columns["cluster"][row])
    times = float(columns["distance"][row]) / model.spread[cluster]
    return f"{times:.1f} times as far from the centre of cluster {cluster} as its rows usually are"


def _text(name: str, model: AnomalyModel, one: Mapping[str, Any], found: tuple[int, Any]) -> str:
    assert model.peers is not None
    level, other = found
    if name == UNLIKE:
        whose = " and ".join(f"{n} = {_shown(one[n][0])}" for n in model.peers.levels[level].names)
        return f"the text is unlike those of {'rows with ' + whose if whose else 'all other rows'}"
    if other is None:
        return ""
    return f"the text reads like {other[0]} = {_shown(other[1])}, not {other[0]} = {_shown(one[other[0]][0])}"


def _number(model: AnomalyModel, one: Mapping[str, Any]) -> str:
    assert model.numbers is not None
    surprise = -np.log(model.numbers.tails(one)[0]) + np.log1p(model.numbers.excess(one)[0])
    name = model.numeric[int(surprise.argmax())]
    value, known = float(one[name][0]), model.numbers.sorted_values[name]
    if np.isnan(value):
        return f"{name} is missing"
    if value > known[-1] or value < known[0]:
        return f"{name} = {value:g} is beyond all training rows ({known[0]:g} to {known[-1]:g})"
    below, above = (known < value).mean(), (known > value).mean()
    side, share = ("above", below) if below > above else ("below", above)
    return f"{name} = {value:g} is {side} {_percent(share)} of the rows"


def _category(model: AnomalyModel, one: Mapping[str, Any]) -> str:
    assert model.categories is not None
    tails = {name: float(tail[0]) for name, tail in model.categories.tails(one).items()}
    # Of a rare value and the pairs with it the value alone says enough.
    name = min(tails, key=lambda n: (tails[n], "\t" in n, n))
    columns = name.split("\t")
    said = " together with ".join(f"{column} = {_shown(one[column][0])}" for column in columns)
    key = "\x1f".join("\x00" if one[column][0] is None else one[column][0] for column in columns)
    rows = model.categories.counts[name].get(key, 0)
    return f"{said} is rare: {rows} of {model.categories.rows} training rows"


def _shown(value: str | None) -> str:
    return "missing" if value is None or value == "\x00" else value


def _percent(share: float) -> str:
    # Rounded down: 99.96% of the rows are not all of them.
    return f"{np.floor(1000 * share) / 10:.1f}%"
