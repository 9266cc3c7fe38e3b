"""Which published runs are old enough to go, and their deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fusionspark.errors import RunLockedError
from fusionspark.pipeline.run_lock import only_run
from fusionspark.tables import RunFolder, published_runs


def expired(models_of: Mapping[str, str], keep: int, *, publishing: str) -> list[str]:
    """Run dates that are beyond the newest ``keep``, oldest first.

    The run that is about to be published stays, and so does each run whose models one that stays uses.

    Parameters
    ----------
    models_of : mapping of str to str
        For each published run date the date of the run whose models it uses, its own where it trained some.
    keep : int
        0 keeps all.
    publishing : str
        Run date that is about to be published.

    Examples
    --------
    >>> expired({"2026-01-01": "2026-01-01", "2026-01-02": "2026-01-02"}, 1, publishing="2026-01-03")
    ['2026-01-01', '2026-01-02']
    >>> expired({"2026-01-01": "2026-01-01", "2026-01-02": "2026-01-01"}, 2, publishing="2026-01-03")
    []
    """
    if not keep:
        return []
    dates = {*models_of, publishing}
    stay = {*sorted(dates)[-keep:], publishing}
    # Models may have been kept over several runs, each of which names the run that trained them.
    stay |= {models_of.get(run_date, run_date) for run_date in stay}
    return sorted(dates - stay)


def models_by_run(home: RunFolder, manifest: Mapping[str, Any]) -> dict[str, str]:
    """For each published run, and the one that ``manifest`` is about to publish, whose models it uses."""
    runs = published_runs(home.spark, home.root, home.table_format)
    manifests = [*((run.run_date, run.manifest()) for run in runs), (home.run_date, manifest)]
    return {run_date: (said.get("models") or {}).get("of") or run_date for run_date, said in manifests}


def retire(home: RunFolder, run_dates: Iterable[str], say: Callable[[str], None]) -> None:
    """Delete runs whole, the manifest first; one that another process works at stays until the next time."""
    for run_date in run_dates:
        old = RunFolder(home.spark, home.root, run_date, home.table_format)
        try:
            with only_run(old, say):
                old.unpublish()
                old.files.delete(old.path)
        except RunLockedError as error:
            say(f"retention: the run of {run_date} stays for now ({error.problem})")
        else:
            say(f"retention: the run of {run_date} is deleted")
