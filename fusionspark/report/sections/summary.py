"""The summary: plain sentences and the figures that matter, before anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from fusionspark.columns import TRAIN
from fusionspark.report.blocks import Section, Sentences, Tile, Tiles
from fusionspark.report.display import (
    decimal,
    dig,
    duration,
    entries,
    integer,
    number,
    percent,
    points,
    share,
)
from fusionspark.report.phrases import Words
from fusionspark.report.sections import regression
from fusionspark.report.sections.chosen import Chosen, choose
from fusionspark.report.sections.receipt import receipt_sentences

#: Train minus held-out accuracy from which over-fitting is called some, and strong.
SOME_GAP, LARGE_GAP = 0.03, 0.10


def build(run: Mapping[str, Any], words: Words) -> Section:
    """Say in a few sentences what came out, and whether to believe it."""
    chosen = choose(run)
    lines = [
        *receipt_sentences(run, words),
        *(_model(chosen, words) if chosen else regression.sentences(run, words) or [words("no_classify")]),
        *model_sentences(run, words),
        *rows_sentences(run, words),
        *drift_sentences(run, words),
        *embedding_sentences(run, words),
        *cluster_sentences(run, words),
        *_time(run, words),
    ]
    return Section("summary", words.plain("summary"), [Sentences(lines), Tiles(_tiles(run, chosen, words))])


def _model(chosen: Chosen, words: Words) -> list[Markup]:
    if chosen.count == 1:
        lines = [words("best_only", best=chosen.name)]
    else:
        key = "best_of" if chosen.validated else "best_of_train"
        lines = [words(key, count=chosen.count, best=chosen.name)]
    figures, split = chosen.figures, words.name(chosen.split)
    values = {
        "rows": integer(figures.get("rows")),
        "split": split,
        "accuracy": percent(figures.get("accuracy")),
        "f1": decimal(figures.get("macro_f1")),
        "auc": decimal(figures.get("auc")),
    }
    interval = _interval(figures)
    if interval:
        low, high = interval
        lines.append(words("held_out_interval", low=percent(low), high=percent(high), **values))
    else:
        lines.append(words("held_out", **values))
    if chosen.split == TRAIN:
        lines.append(words("not_held_out"))
    majority, accuracy = chosen.majority, number(figures.get("accuracy"))
    if majority and accuracy is not None:
        label, floor = majority
        gain = accuracy - floor
        if interval and interval[0] <= floor <= interval[1]:
            key = "ties_majority"
        else:
            key = "beats_majority" if gain > 0 else "loses_to_majority"
        given = {"label": label, "majority": percent(floor), "gain": points(gain)}
        lines.append(words(key, **given))
    gap = chosen.gap
    if gap is not None:
        key = "gap_large" if gap >= LARGE_GAP else "gap_some" if gap >= SOME_GAP else "gap_small"
        lines.append(words(key, train=percent(chosen.train.get("accuracy")), gap=points(gap), split=split))
    return lines


def _interval(figures: Mapping[str, Any]) -> tuple[float, float] | None:
    found = figures.get("accuracy_interval")
    if not isinstance(found, list | tuple) or len(found) != 2:
        return None
    low, high = number(found[0]), number(found[1])
    return (low, high) if low is not None and high is not None else None


def model_sentences(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say how old models are that were not trained tonight, and how they still do."""
    models = run.get("models")
    if dig(models, "retrained") is not False:
        return []
    lines = [words("models_kept", of=dig(models, "of"), age=integer(dig(models, "age_days")))]
    metric = dig(models, "metric")
    then, now = (number(dig(models, night, str(metric))) for night in ("then", "now"))
    if then is None or now is None:
        return lines
    values = {"metric": words.name(str(metric)), "then": decimal(then), "now": decimal(now)}
    key = "models_dropped" if dig(models, "dropped") else "models_hold"
    return [*lines, words(key, margin=decimal(dig(models, "margin")), **values)]


def rows_sentences(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say where the rows went."""
    rows = run.get("rows")
    came, went, bad = (number(dig(rows, key)) for key in ("in", "out", "quarantined"))
    if came is None or went is None:
        return []
    given = {"rows_in": integer(came), "rows_out": integer(went), "bad": integer(bad or 0)}
    if came != went + (bad or 0):
        return [words("rows_lost", **given)]
    if not bad:
        return [words("rows_all", rows_in=integer(came))]
    return [words("rows_some", share=percent(share(bad, came), 2), **given)]


def drift_sentences(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say that the source has changed its shape."""
    drift = entries(dig(run, "schema", "drift"))
    if not drift:
        return []
    return [words("source_moved", since=dig(run, "schema", "compared_with"), count=len(drift))]


def texts_per_second(run: Mapping[str, Any]) -> float | None:
    """Return the texts encoded per second of the stage `represent`, model loading included."""
    seconds = [
        stage.get("seconds") for stage in entries(run.get("stages")) if stage.get("name") == "represent"
    ]
    encoded = dig(run, "represent", "encoded")
    # Where most texts are reused, the stage's time is that of looking them up.
    spent = number(dig(run, "represent", "seconds_encode")) or (seconds[0] if seconds else None)
    return share(encoded, spent) if spent and number(encoded) else None


def embedding_sentences(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say what embedding cost and what was cut."""
    texts = number(dig(run, "represent", "texts"))
    if texts is None:
        return []
    counts = {key: integer(dig(run, "represent", key)) for key in ("texts", "distinct", "encoded", "reused")}
    lines = [words("embedded", rate=decimal(texts_per_second(run), 0), **counts)]
    cut = number(dig(run, "represent", "truncated"))
    if cut:
        lines.append(words("embedded_cut", truncated=integer(cut), share=percent(share(cut, texts))))
    return lines


def cluster_sentences(run: Mapping[str, Any], words: Words) -> list[Markup]:
    """Say how far apart the clusters are, in the words of Kaufman and Rousseeuw (1990, table 4)."""
    k, silhouette = number(dig(run, "cluster", "k")), number(dig(run, "cluster", "silhouette"))
    if k is None:
        return []
    if silhouette is None:
        return [words("structure_unknown", k=integer(k))]
    names = ((0.7, "strong"), (0.5, "some"), (0.25, "weak"))
    structure = next((name for floor, name in names if silhouette > floor), "none")
    return [words(f"structure_{structure}", k=integer(k), silhouette=decimal(silhouette, 2))]


def _time(run: Mapping[str, Any], words: Words) -> list[Markup]:
    stages = [stage for stage in entries(run.get("stages")) if number(stage.get("seconds")) is not None]
    if number(run.get("seconds")) is None or not stages:
        return []
    longest = max(stages, key=lambda stage: float(stage["seconds"]))
    return [
        words(
            "took",
            seconds=duration(run["seconds"]),
            stage=str(longest.get("name")),
            stage_seconds=duration(longest["seconds"]),
        )
    ]


def _tiles(run: Mapping[str, Any], chosen: Chosen | None, words: Words) -> list[Tile]:
    tiles = regression.tiles(run, words)
    if chosen:
        figures = chosen.figures
        interval = _interval(figures)
        where = words.plain("on_split", split=words.name(chosen.split))
        note = (
            words.plain("interval_note", low=percent(interval[0]), high=percent(interval[1]))
            if interval
            else where
        )
        tiles.append(Tile(words.plain("accuracy"), percent(figures.get("accuracy")), note))
        floor = number(dig(figures, "majority", "macro_f1"))
        note = words.plain("majority_note", value=decimal(floor)) if floor is not None else where
        tiles.append(Tile(words.plain("macro_f1"), decimal(figures.get("macro_f1")), note))
        tiles.append(Tile(words.plain("auc"), decimal(figures.get("auc")), where))
    rows, bad = run.get("rows"), number(dig(run, "rows", "quarantined"))
    if dig(rows, "out") is not None:
        tiles.append(Tile(words.plain("rows_out"), integer(dig(rows, "out"))))
    if bad is not None:
        part = share(bad, dig(rows, "in"))
        tiles.append(
            Tile(
                words.plain("quarantined"),
                integer(bad),
                percent(part, 2) if bad else "",
                "warn" if bad else "plain",
            )
        )
    rate = texts_per_second(run)
    if rate is not None:
        tiles.append(Tile(words.plain("rate"), decimal(rate, 0)))
    if number(dig(run, "cluster", "silhouette")) is not None:
        k = words.plain("clusters") + ": " + integer(dig(run, "cluster", "k"))
        tiles.append(Tile(words.plain("silhouette"), decimal(dig(run, "cluster", "silhouette"), 2), k))
    if number(run.get("seconds")) is not None:
        tiles.append(Tile(words.plain("duration"), duration(run["seconds"])))
    return tiles
