"""Run dates: the name of a night."""

from __future__ import annotations

import datetime as dt

from fusionspark.errors import ConfigError


def today() -> str:
    """Run date where none is given: the date in UTC."""
    return dt.datetime.now(dt.timezone.utc).date().isoformat()


def check_run_date(run_date: str) -> str:
    """Return ``run_date`` if it is YYYY-MM-DD; it becomes a folder name and is sorted as text."""
    try:
        if dt.date.fromisoformat(run_date).isoformat() == run_date:
            return run_date
    except ValueError:
        pass
    raise ConfigError(
        "--run-date", f"{run_date!r} is not a date", allowed="YYYY-MM-DD, for example 2026-01-31"
    )
