"""The page that compares two runs."""

from __future__ import annotations

from pathlib import Path

from fusionspark.report.comparison import compare
from fusionspark.report.display import dig
from fusionspark.report.page import read_run, render_sections, write_whole
from fusionspark.report.phrases import Words
from fusionspark.report.sections import comparison


def write_comparison(
    first: str | Path, second: str | Path, html: str | Path | None = None, *, language: str | None = None
) -> Path:
    """Write the comparison of two runs, by default beside the second, and return its path.

    Parameters
    ----------
    first, second : path
        Run folders, or their run.json.
    language : str, optional
        That of the second run's report unless given.

    Raises
    ------
    ConfigError
        When there is no such run, or no phrases in this language.
    DataContractError
        When a file is not the JSON object that a run writes.
    """
    (path_a, a), (path_b, b) = read_run(first), read_run(second)
    configured = dig(b, "config", "report", "language")
    words = Words(language or configured or "en")
    found = compare(a, b, (path_a.parent, path_b.parent))
    title = words.plain("compared_title", title=b.get("title") or words.plain("default_title"))
    dates = f"{a.get('run_date')} → {b.get('run_date')}"
    page = render_sections(title, dates, comparison.build(a, b, found, words), words)
    name = f"compared-with-{Path(str(a.get('run_date') or 'run')).name}.html"
    return write_whole(path_b.with_name(name) if html is None else Path(html), page)
