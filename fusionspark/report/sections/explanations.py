"""Explanations: what the model relies on as a whole, and why it answers as it does for some rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionspark.report.blocks import (
    Block,
    Cell,
    Column,
    Figure,
    Figures,
    RowCard,
    RowCards,
    Section,
    Sentences,
    Table,
    Tinted,
)
from fusionspark.report.display import NOTHING, decimal, dig, entries, integer, number, visible
from fusionspark.report.figures import bars
from fusionspark.report.phrases import Words

#: Bars of importance, classes beside it, cards, bars and pieces of a card.
MOST_PLAYERS, MOST_CLASSES, MOST_CARDS, MOST_PARTS, MOST_PIECES = 25, 12, 24, 10, 200
#: Ratio from which deleted words are called faithful; rank correlation from which LIME is said to agree.
FAITHFUL, AGREES = 2.0, 0.5


def build(run: Mapping[str, Any], words: Words) -> Section:
    """Show importance, faithfulness and the explained rows."""
    title, facts = words.plain("explanations"), run.get("explain")
    if not isinstance(facts, Mapping) or not facts:
        return Section("explanations", title, [Sentences([words("explain_absent")], "absent")])
    return Section(
        "explanations", title, [_said(facts, words), *_importance(facts, words), *_cards(facts, words)]
    )


def _said(facts: Mapping[str, Any], words: Words) -> Sentences:
    lines = [words("explain_method", algorithm=facts.get("algorithm"))]
    found = facts.get("faithfulness")
    ratio = number(dig(found, "ratio"))
    if ratio is not None:
        lines.append(
            words(
                "explain_faithful" if ratio >= FAITHFUL else "explain_unfaithful",
                top=decimal(dig(found, "top")),
                random=decimal(dig(found, "random")),
                ratio=decimal(ratio, 1),
                rows=integer(dig(found, "rows")),
            )
        )
    if entries(facts.get("rows")):
        lines.append(words("words_legend"))
    if facts.get("stopped") in ("time", "words"):
        lines.append(words(f"explain_stopped_{facts['stopped']}"))
    return Sentences(lines)


def player_name(name: Any, words: Words) -> str:
    """Return how the page calls a block or column."""
    key = f"player_{name}"
    known = words.name(key)
    return visible(name, 80) if known == key else known


def _importance(facts: Mapping[str, Any], words: Words) -> list[Block]:
    found = facts.get("importance")
    players = entries(dig(found, "players"))
    if not isinstance(found, Mapping) or not players:
        return []
    shown = players[:MOST_PLAYERS]
    names = [player_name(entry.get("player"), words) for entry in shown]
    drops = [number(entry.get("drop")) or 0.0 for entry in shown]
    # A shuffle that helps by chance is no bar to the left: it is as good as none.
    spec = bars(names, [max(0.0, drop) for drop in drops], [decimal(drop) for drop in drops])
    note = words.plain(
        "importance_note", rows=integer(found.get("rows")), repeats=integer(found.get("repeats"))
    )
    figure = Figure(
        "importance", words.plain("importance"), spec, height=44 + 34 * len(names), wide=True, note=note
    )
    labels: list[str] = []
    for entry in shown:
        classes = entry.get("classes")
        labels += (
            [str(name) for name in classes if name not in labels] if isinstance(classes, Mapping) else []
        )
    kept = labels[:MOST_CLASSES]
    columns = [
        Column(words.plain("player")),
        *(Column(words.plain(key), "number") for key in ("all_classes", "deviation")),
        *(Column(visible(label, 40), "number") for label in kept),
    ]
    rows = [
        [
            Cell(name),
            Cell(decimal(entry.get("drop")), sort=number(entry.get("drop"))),
            Cell(decimal(entry.get("deviation")), sort=number(entry.get("deviation"))),
            *(
                Cell(decimal(dig(entry, "classes", label)), sort=number(dig(entry, "classes", label)))
                for label in kept
            ),
        ]
        for name, entry in zip(names, shown, strict=True)
    ]
    cut = len(labels) - len(kept)
    table_note = words.plain("rows_cut", shown=len(kept), all=len(labels)) if cut else ""
    return [
        Figures([figure]),
        Table(words.plain("importance_by_class"), columns, rows, table_note, wide=True),
    ]


def _cards(facts: Mapping[str, Any], words: Words) -> list[Block]:
    rows = entries(facts.get("rows"))[:MOST_CARDS]
    if not rows:
        return []
    return [RowCards([_card(row, words) for row in rows])]


def _card(row: Mapping[str, Any], words: Words) -> RowCard:
    label, prediction = row.get("label"), row.get("prediction")
    parts, parts_note = _parts(row, words)
    pieces, pieces_note = _pieces(row.get("words"), words)
    return RowCard(
        title=visible(row.get("row_id"), 60),
        rule=visible(words.name(f"rule_{row.get('rule')}"), 40),
        answer=words.plain("explained_as", prediction=prediction, score=decimal(row.get("score"))),
        truth="" if label is None else words.plain("explained_truth", label=label),
        wrong=label is not None and label != prediction,
        parts=parts,
        parts_note=parts_note,
        pieces=pieces,
        pieces_note=pieces_note,
    )


def _parts(row: Mapping[str, Any], words: Words) -> tuple[list[tuple[str, str, float]], str]:
    found = row.get("players")
    parts = [part for part in entries(dig(found, "parts")) if number(part.get("value")) is not None]
    if not isinstance(found, Mapping) or not parts:
        return [], ""
    parts = sorted(parts, key=lambda part: -abs(part["value"]))[:MOST_PARTS]
    longest = max(abs(part["value"]) for part in parts) or 1.0
    sampled = not found.get("exact")
    shown = []
    for part in parts:
        name = player_name(part.get("player"), words)
        value = dig(row, "values", str(part.get("player")))
        text = f"{part['value']:+.3f}"
        if sampled and number(part.get("error")) is not None:
            text += f" ({part['error']:.3f})"
        name = name if value is None else f"{name} = {visible(value, 40)}"
        shown.append((name, text, part["value"] / longest))
    how = "linear" if found.get("method") == "linear" else "sampled" if sampled else "exact"
    base, score = decimal(found.get("base")), decimal(found.get("score"))
    return shown, words.plain(f"by_players_{how}", base=base, score=score)


def _pieces(found: Any, words: Words) -> tuple[list[Tinted], str]:
    pieces = [piece for piece in entries(dig(found, "pieces")) if number(piece.get("shap")) is not None]
    if not isinstance(found, Mapping) or not pieces:
        return [], ""
    pieces = pieces[:MOST_PIECES]
    longest = max(abs(piece["shap"]) for piece in pieces) or 1.0
    tinted = [
        Tinted(visible(piece.get("text"), 2000), piece["shap"] / longest, _hint(piece, words))
        for piece in pieces
    ]
    errors = [error for piece in pieces if (error := number(piece.get("error"))) is not None]
    note = words.plain(
        "by_words_exact" if found.get("exact") else "by_words",
        texts=integer(found.get("texts")),
        base=decimal(found.get("base")),
        score=decimal(found.get("score")),
        **({} if found.get("exact") else {"error": decimal(max(errors)) if errors else NOTHING}),
    )
    agreement = _rank_correlation(
        [piece["shap"] for piece in pieces], [number(piece.get("lime")) or 0.0 for piece in pieces]
    )
    if agreement is not None:
        key = "lime_agrees" if agreement >= AGREES else "lime_differs"
        note += " " + words.plain(key, agreement=decimal(agreement, 2))
    return tinted, note


def _hint(piece: Mapping[str, Any], words: Words) -> str:
    side = words.plain("speaks_for" if piece["shap"] >= 0 else "speaks_against")
    return f"{side}: SHAP {piece['shap']:+.4f}, LIME {decimal(piece.get('lime'), 4)}"


def _rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation without regard to ties; None below three values."""
    n = len(first)
    if n < 3:
        return None
    ranks = []
    for values in (first, second):
        order = sorted(range(n), key=lambda i: values[i])
        ranks.append({i: place for place, i in enumerate(order)})
    apart = sum((ranks[0][i] - ranks[1][i]) ** 2 for i in range(n))
    return 1 - 6 * apart / (n * (n * n - 1))
