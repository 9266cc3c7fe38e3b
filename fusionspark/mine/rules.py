"""Association rules from frequent itemsets: measures, significance, pruning. Needs no Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from fusionspark.errors import ConfigError, nearest
from fusionspark.mine.significance import CORRECTIONS, fisher_greater

if TYPE_CHECKING:
    from fusionspark.mine.itemsets import Itemsets

Items = tuple[str, ...]
#: Kinds of items of which a rule wants both, one on each side, in order to cross from text to table.
TEXT, TABLE = "text", "table"


@dataclass(frozen=True)
class Rule:
    """Where all items of ``antecedent`` are, those of ``consequent`` are more often than elsewhere.

    ``rows`` hold both sides. ``support`` is their share; ``confidence`` their share of the rows with the
    antecedent; ``lift`` how many times more often than if the sides were independent (Brin et al. 1997);
    ``leverage`` the difference of the same two shares (Piatetsky-Shapiro 1991); ``conviction`` how many times
    fewer exceptions (Brin et al. 1997; infinite without any); ``improvement`` the confidence gained over the
    best rule with fewer conditions (Bayardo, Agrawal and Gunopulos 1999). ``p_value`` is of Fisher's exact
    test, ``q_value`` that value corrected for all rules that were tested. ``crosses``: text on one side,
    table on the other.
    """

    antecedent: Items
    consequent: Items
    rows: int
    support: float
    confidence: float
    lift: float
    leverage: float
    conviction: float
    improvement: float
    p_value: float
    q_value: float
    crosses: bool


@dataclass(frozen=True)
class Found:
    """The rules that stay, and how many there were on the way."""

    rules: list[Rule]
    #: Rules that were tested, and so corrected for.
    tested: int
    #: Of these, confident and significant ones.
    significant: int
    #: Of these, with a more general rule that is as confident.
    redundant: int


def association_rules(
    itemsets: Itemsets,
    *,
    min_confidence: float,
    max_antecedent: int,
    max_consequent: int = 1,
    correction: str = "benjamini_hochberg",
    alpha: float = 0.05,
    prune: bool = True,
    kind_of: Callable[[str], str] = lambda item: "",
) -> Found:
    """Every rule within the limits, those that cross from text to table first, then the surest first.

    Parameters
    ----------
    itemsets : Itemsets
        As `frequent_itemsets` gives them: with each set there are all its subsets.
    min_confidence : float
        Rules below are left out, after they were counted among the tested ones.
    max_antecedent, max_consequent : int
        Most items on each side.
    correction : {"benjamini_hochberg", "holm"}
        Of the p-values, over all rules within the two sizes.
    alpha : float
        Rules whose corrected p-value is above are left out; 1 keeps all.
    prune : bool
        Leave redundant rules out: those for which a rule with the same consequent and fewer conditions, none
        at all included, has at least their confidence (improvement of at most 0; Bayardo et al. 1999).
    kind_of : callable
        Kind of an item, of which `TEXT` and `TABLE` matter.

    Raises
    ------
    ConfigError
        Unknown correction.
    """
    if correction not in CORRECTIONS:
        raise ConfigError(
            "mine.rules.correction", f"{correction!r} is unknown{nearest(correction, CORRECTIONS)}",
            allowed=", ".join(CORRECTIONS),
        )  # fmt: skip
    counts, n = itemsets.counts, itemsets.rows
    sides = list(_sides(itemsets, max_antecedent, max_consequent))
    if not sides:
        return Found([], 0, 0, 0)
    both = np.array([counts[_joined(x, y)] for x, y in sides], dtype=np.int64)
    first, second = (np.array([counts[pair[i]] for pair in sides], dtype=np.int64) for i in (0, 1))
    confidence, support = both / first, both / n
    p = fisher_greater(n, first, second, both)
    q = CORRECTIONS[correction](p)
    exceptions = 1.0 - confidence
    with np.errstate(divide="ignore"):
        conviction = np.where(
            both == first, np.inf, (1.0 - second / n) / np.where(both == first, 1.0, exceptions)
        )
    kept = np.flatnonzero((confidence >= min_confidence) & (q <= alpha))
    best = _BestGeneral(itemsets)
    rules, redundant = [], 0
    for i in kept:
        antecedent, consequent = sides[i]
        improvement = float(confidence[i]) - best(antecedent, consequent)
        if prune and improvement <= 0:
            redundant += 1
            continue
        rules.append(
            Rule(
                antecedent,
                consequent,
                int(both[i]),
                float(support[i]),
                float(confidence[i]),
                float(both[i] * n / (first[i] * second[i])),
                float(support[i] - (first[i] / n) * (second[i] / n)),
                float(conviction[i]),
                improvement,
                float(p[i]),
                float(q[i]),
                _crosses(antecedent, consequent, kind_of),
            )
        )
    rules.sort(key=lambda r: (not r.crosses, r.p_value, -r.lift, r.antecedent, r.consequent))
    return Found(rules, len(sides), len(kept), redundant)


def _sides(itemsets: Itemsets, max_antecedent: int, max_consequent: int) -> Iterator[tuple[Items, Items]]:
    """Each frequent itemset in two parts, in every way that the sizes allow; in a fixed order."""
    for items in sorted(itemsets.counts):
        smallest = max(1, len(items) - max_antecedent)
        for size in range(smallest, min(max_consequent, len(items) - 1) + 1):
            for consequent in combinations(items, size):
                yield tuple(item for item in items if item not in consequent), consequent


def _joined(antecedent: Items, consequent: Items) -> Items:
    return tuple(sorted(antecedent + consequent))


class _BestGeneral:
    """Highest confidence of the rules with the same consequent and fewer conditions, looked up once each."""

    def __init__(self, itemsets: Itemsets) -> None:
        self._counts, self._rows = itemsets.counts, itemsets.rows
        self._known: dict[tuple[Items, Items], float] = {}

    def __call__(self, antecedent: Items, consequent: Items) -> float:
        found = self._known.get((antecedent, consequent))
        if found is None:
            found = 0.0
            for fewer in combinations(antecedent, len(antecedent) - 1):
                found = max(found, self._confidence(fewer, consequent))
                if fewer:
                    found = max(found, self(fewer, consequent))
            self._known[antecedent, consequent] = found
        return found

    def _confidence(self, antecedent: Items, consequent: Items) -> float:
        whole = self._counts[antecedent] if antecedent else self._rows
        return self._counts[_joined(antecedent, consequent)] / whole


def _crosses(antecedent: Items, consequent: Items, kind_of: Callable[[str], str]) -> bool:
    left, right = ({kind_of(item) for item in side} for side in (antecedent, consequent))
    return (TEXT in left and TABLE in right) or (TABLE in left and TEXT in right)
