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

#: Language of the page -> what is said.
PHRASES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "combination": "an unusual combination of values (isolation forest)",
        "far": "{times:.1f} times as far from the centre of cluster {cluster} as its rows usually are",
        "unlike": "the text is unlike those of {whose}",
        "peers": "rows with {what}",
        "all": "all other rows",
        "and": " and ",
        "reads": "the text reads like {name} = {other}, not {name} = {own}",
        "lost": "{name} is missing",
        "beyond": "{name} = {value:g} is beyond all training rows ({low:g} to {high:g})",
        "above": "{name} = {value:g} is above {share} of the rows",
        "below": "{name} = {value:g} is below {share} of the rows",
        "together": " together with ",
        "rare": "{what} is rare: {rows} of {all} training rows",
        "missing": "missing",
    },
    "zh": {
        "combination": "取值的组合不寻常（孤立森林）",
        "far": "到聚类 {cluster} 中心的距离是该聚类通常距离的 {times:.1f} 倍",
        "unlike": "文本与{whose}的文本不像",
        "peers": "{what} 的各行",
        "all": "其他各行",
        "and": "、",
        "reads": "文本读起来像 {name} = {other}，而不是 {name} = {own}",
        "lost": "缺少 {name}",
        "beyond": "{name} = {value:g} 超出所有训练行的范围（{low:g} 至 {high:g}）",
        "above": "{name} = {value:g} 高于 {share} 的行",
        "below": "{name} = {value:g} 低于 {share} 的行",
        "together": " 与 ",
        "rare": "{what} 很少见：{all} 个训练行中有 {rows} 个",
        "missing": "缺失",
    },
}


def reasons(
    model: AnomalyModel, columns: Mapping[str, Any], scored: Scored, row: int, language: str = "en"
) -> list[str]:
    """The detectors that find the row odd, the oddest first; the oddest alone where none is below `NAMED`.

    ``language`` is one of `PHRASES`.
    """
    say = PHRASES[language]
    parts = {name: float(p[row]) for name, p in scored.parts.items() if not np.isnan(p[row])}
    ranked = sorted(parts, key=lambda name: (parts[name], name))
    chosen = [name for name in ranked if parts[name] <= NAMED] or ranked[:1]
    named = (*model.numeric, *model.categorical)
    one = {name: [values[row]] for name, values in columns.items() if name in named}
    told = []
    for name in chosen:
        if name == FOREST:
            told.append(say["combination"])
        elif name == DISTANCE:
            cluster = int(columns["cluster"][row])
            times = float(columns["distance"][row]) / model.spread[cluster]
            told.append(say["far"].format(times=times, cluster=cluster))
        elif name == NUMBERS:
            told.append(_number(model, one, say))
        elif name == CATEGORIES:
            told.append(_category(model, one, say))
        else:
            told.append(_text(name, model, one, (int(scored.level[row]), scored.other[row]), say))
    return [line for line in dict.fromkeys(told) if line][:MOST]


def _text(
    name: str, model: AnomalyModel, one: Mapping[str, Any], found: tuple[int, Any], say: Mapping[str, str]
) -> str:
    assert model.peers is not None
    level, other = found
    if name == UNLIKE:
        said = [f"{n} = {_shown(one[n][0], say)}" for n in model.peers.levels[level].names]
        whose = say["peers"].format(what=say["and"].join(said)) if said else say["all"]
        return say["unlike"].format(whose=whose)
    if other is None:
        return ""
    column, value = other
    return say["reads"].format(name=column, other=_shown(value, say), own=_shown(one[column][0], say))


def _number(model: AnomalyModel, one: Mapping[str, Any], say: Mapping[str, str]) -> str:
    assert model.numbers is not None
    surprise = -np.log(model.numbers.tails(one)[0]) + np.log1p(model.numbers.excess(one)[0])
    name = model.numeric[int(surprise.argmax())]
    value, known = float(one[name][0]), model.numbers.sorted_values[name]
    if np.isnan(value):
        return say["lost"].format(name=name)
    if value > known[-1] or value < known[0]:
        return say["beyond"].format(name=name, value=value, low=known[0], high=known[-1])
    below, above = (known < value).mean(), (known > value).mean()
    side, share = ("above", below) if below > above else ("below", above)
    return say[side].format(name=name, value=value, share=_percent(share))


def _category(model: AnomalyModel, one: Mapping[str, Any], say: Mapping[str, str]) -> str:
    assert model.categories is not None
    tails = {name: float(tail[0]) for name, tail in model.categories.tails(one).items()}
    # Of a rare value and the pairs with it the value alone says enough.
    name = min(tails, key=lambda n: (tails[n], "\t" in n, n))
    columns = name.split("\t")
    what = say["together"].join(f"{column} = {_shown(one[column][0], say)}" for column in columns)
    key = "\x1f".join("\x00" if one[column][0] is None else one[column][0] for column in columns)
    rows = model.categories.counts[name].get(key, 0)
    return say["rare"].format(what=what, rows=rows, all=model.categories.rows)


def _shown(value: str | None, say: Mapping[str, str]) -> str:
    return say["missing"] if value is None or value == "\x00" else value


def _percent(share: float) -> str:
    # Rounded down: 99.96% of the rows are not all of them.
    return f"{np.floor(1000 * share) / 10:.1f}%"
