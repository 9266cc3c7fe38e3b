"""Association rules: what goes together, across text and table first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionspark.report.blocks import Block, Cell, Column, Section, Sentences, Table
from fusionspark.report.display import NOTHING, decimal, entries, integer, number, percent, visible
from fusionspark.report.phrases import Words


def build(run: Mapping[str, Any], words: Words) -> Section | None:
    """Show the first rules and how they came about; nothing for a run that looked for none."""
    rules = run.get("rules")
    if not isinstance(rules, Mapping):
        return None
    numbers = {
        key: integer(rules.get(key))
        for key in ("rows", "items", "itemsets", "min_rows", "tested", "redundant", "found", "crossing")
    }
    lines = [
        words("rules_found", found=numbers["found"], crossing=numbers["crossing"], rows=numbers["rows"]),
        words(
            "rules_how",
            tested=numbers["tested"],
            min_rows=numbers["min_rows"],
            correction=words.name(str(rules.get("correction"))),
            redundant=numbers["redundant"],
        ),
    ]
    asked = number(rules.get("asked_rows"))
    if asked is not None and asked < (number(rules.get("min_rows")) or 0):
        lines.append(words("rules_raised", asked=integer(asked), min_rows=numbers["min_rows"]))
    if rules.get("of") and rules["of"] != run.get("run_date"):
        lines.append(words("rules_of", of=rules["of"]))
    blocks: list[Block] = [Sentences(lines)]
    shown = entries(rules.get("top"))
    if shown:
        blocks.append(_table(shown, words))
    return Section("rules", words.plain("rules"), blocks)


def _table(shown: list[Mapping[str, Any]], words: Words) -> Table:
    rows = []
    for rule in shown:
        sides = [
            "; ".join(visible(item, 80) for item in rule.get(side) or [])
            for side in ("antecedent", "consequent")
        ]
        rows.append(
            [
                *(Cell(side or NOTHING, strong=bool(rule.get("crosses"))) for side in sides),
                Cell(integer(rule.get("rows")), sort=number(rule.get("rows"))),
                *(
                    Cell(percent(rule.get(key)), sort=number(rule.get(key)), bar=number(rule.get(key)))
                    for key in ("support", "confidence")
                ),
                Cell(decimal(rule.get("lift"), 2), sort=number(rule.get("lift"))),
                Cell(decimal(rule.get("leverage"), 4), sort=number(rule.get("leverage"))),
                Cell(_conviction(rule), sort=number(rule.get("conviction")) or float(10**9)),
                Cell(_small(rule.get("q_value")), sort=number(rule.get("q_value"))),
            ]
        )
    columns = [
        Column(words.plain("rule_if")),
        Column(words.plain("rule_then")),
        *(
            Column(words.plain(key), "number")
            for key in ("rows", "rule_support", "confidence", "lift", "leverage", "conviction", "q_value")
        ),
    ]
    return Table(words.plain("rules_table"), columns, rows, words.plain("rules_note"))


def _conviction(rule: Mapping[str, Any]) -> str:
    # A rule without exceptions has an infinite one, which JSON cannot say.
    return "∞" if number(rule.get("confidence")) == 1 else decimal(rule.get("conviction"), 2)


def _small(value: Any) -> str:
    found = number(value)
    return NOTHING if found is None else f"{found:.2g}"
