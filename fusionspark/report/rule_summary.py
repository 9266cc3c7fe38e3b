"""The association rules that the page and run.json show."""

from __future__ import annotations

import math
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

#: Rules shown, those with the smallest rank.
MOST_RULES = 50


def top_rules(rules: DataFrame) -> list[dict[str, Any]]:
    """Return the first rules (`columns.RULES_DDL`) as JSON; an infinite conviction as None."""
    found = []
    for row in rules.where(F.col("rank") <= MOST_RULES).orderBy("rank").collect():
        facts = row.asDict()
        if math.isinf(facts["conviction"]):
            facts["conviction"] = None
        found.append(facts)
    return found
