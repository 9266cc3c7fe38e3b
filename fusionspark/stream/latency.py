"""How long rows took from landing to output."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

#: Groups of rows that landed together, of which percentiles are taken: the newest ones.
MOST_GROUPS = 10_000


def percentile(groups: Iterable[tuple[float, int]], share: float) -> float | None:
    """Least number of seconds that at least ``share`` of the rows took no longer than; None without rows.

    Parameters
    ----------
    groups : iterable of (seconds, rows)

    >>> percentile([(1.0, 98), (5.0, 2)], 0.5), percentile([(1.0, 98), (5.0, 2)], 0.99)
    (1.0, 5.0)
    """
    ordered = sorted(groups)
    wanted, seen = share * sum(rows for _, rows in ordered), 0
    for seconds, rows in ordered:
        seen += rows
        if seen >= wanted:
            return seconds
    return None


class Latency:
    """Seconds of the rows that came last."""

    def __init__(self) -> None:
        self._groups: deque[tuple[float, int]] = deque(maxlen=MOST_GROUPS)

    def add(self, groups: Iterable[tuple[float, int]]) -> None:
        """Take the (seconds, rows) of one more batch."""
        self._groups.extend(groups)

    def figures(self) -> dict[str, float | None]:
        """``p50`` and ``p99`` in seconds."""
        found = {"p50": percentile(self._groups, 0.5), "p99": percentile(self._groups, 0.99)}
        return {name: None if value is None else round(value, 3) for name, value in found.items()}
