"""An explanation of one row in lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Pieces of text that are listed on either side.
MOST_PIECES = 8


def explain_lines(found: Mapping[str, Any]) -> list[str]:
    """Say what the model answers, then blocks, columns and words by what they add to its score."""
    lines = []
    for row in found["rows"]:
        truth = "" if row["label"] is None else f", true class {row['label']}"
        lines.append(
            f"row {row['row_id']} of {found['run_date']}: {found['algorithm']} says {row['prediction']} "
            f"(score {row['score']:.4f}{truth})"
        )
        if "players" in row:
            lines += _players(row)
        if "words" in row:
            lines += _words(row["words"])
    if found["stopped"]:
        lines.append(f"stopped after {found['seconds']:.0f} s: raise report.explain.seconds for the rest")
    return lines


def _players(row: Mapping[str, Any]) -> list[str]:
    said = row["players"]
    how = "exact" if said["exact"] else "sampled, with error"
    lines = [f"blocks and columns ({how}): {said['base']:+.4f} on average, {said['score']:+.4f} for this row"]
    for part in sorted(said["parts"], key=lambda part: -abs(part["value"])):
        value = row["values"].get(part["player"])
        name = part["player"] if value is None else f"{part['player']} = {value}"
        lines.append(f"  {part['value']:+.4f}{_error(part['error'], said['exact'])}  {name}")
    return lines


def _words(said: Mapping[str, Any]) -> list[str]:
    ends = f"{said['base']:+.4f} without text, {said['score']:+.4f} with it"
    lines = [f"words ({said['texts']} changed texts): {ends}"]
    ranked = sorted(said["pieces"], key=lambda piece: -abs(piece["shap"]))[:MOST_PIECES]
    for piece in ranked:
        error = _error(piece["error"], said["exact"])
        text = " ".join(piece["text"].split())
        lines.append(f"  {piece['shap']:+.4f}{error}  LIME {piece['lime']:+.4f}  {text!r}")
    return lines


def _error(error: float | None, exact: bool) -> str:
    return "" if exact or error is None else f" (±{error:.4f})"
