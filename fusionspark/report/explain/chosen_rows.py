"""Which rows are explained."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from fusionspark.columns import LABEL, PREDICTION, ROW_ID

if TYPE_CHECKING:
    import pandas as pd

#: Rules in the order in which they take rows.
CONFIDENT, WRONG, BORDERLINE, ANOMALY = RULES = ("confident", "wrong", "borderline", "anomaly")

#: Columns that hold the largest score of a row and what it leads the second by.
TOP, LEAD = "top", "lead"


def choose_rows(scored: pd.DataFrame, count: int, anomalies: Collection[str] = ()) -> list[tuple[str, str]]:
    """Choose rows worth explaining, in turn from each rule until there are ``count``.

    Most confident (and right, where that is known); most wrong: a wrong answer with the largest lead;
    borderline: the smallest lead; anomalies, in the order given. Ties go to the smaller ``row_id``.

    Parameters
    ----------
    scored : DataFrame
        ``row_id``, ``label`` (may be null), ``prediction`` and ``lead``: the largest score of the row minus
        the second one.
    anomalies : collection of str
        Row ids, the strangest first.

    Returns
    -------
    list of (rule, row_id)
        No row twice.
    """
    known = scored[LABEL].notna()
    wrong = known & (scored[LABEL] != scored[PREDICTION])
    by_lead = scored.assign(__id=scored[ROW_ID].astype(str))

    def ranked(rows: pd.DataFrame, *, largest: bool) -> list[str]:
        order = np.lexsort((rows["__id"], rows[LEAD] * (-1 if largest else 1)))
        return [str(value) for value in rows[ROW_ID].to_numpy()[order]]

    present = set(scored[ROW_ID])
    queues = {
        CONFIDENT: ranked(by_lead[~wrong], largest=True),
        WRONG: ranked(by_lead[wrong], largest=True),
        BORDERLINE: ranked(by_lead, largest=False),
        ANOMALY: [row for row in anomalies if row in present],
    }
    taken: list[tuple[str, str]] = []
    seen: set[str] = set()
    while len(taken) < count and any(queues.values()):
        for rule, queue in queues.items():
            while queue and queue[0] in seen:
                queue.pop(0)
            if queue and len(taken) < count:
                row = queue.pop(0)
                seen.add(row)
                taken.append((rule, row))
    order = {rule: i for i, rule in enumerate(RULES)}
    return sorted(taken, key=lambda entry: order[entry[0]])
