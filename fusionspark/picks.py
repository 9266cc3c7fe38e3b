"""What a run date picks from a source: one snapshot of several, and the rows of its days."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from fusionspark.config import RUN_DATE, Source, without_user_info
from fusionspark.errors import ConfigError, nearest
from fusionspark.files import Files

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: Parts of a date in a path, in the order of `datetime.date`, and how many digits each has.
WIDTH = {"%Y": 4, "%m": 2, "%d": 2}


def snapshot(spark: SparkSession, source: Source, run_date: str) -> tuple[Source, str | None]:
    """The source with ``{run_date}`` in its path replaced, and the date of the snapshot that was picked.

    With ``source.snapshot: newest`` that is the newest one at or before the run date, with ``exact`` the one
    of the run date. Of several paths with ``{run_date}`` all must have it. A path without ``{run_date}`` is
    left as it is, and its date is None.

    Raises
    ------
    ConfigError
        No such snapshot; the message names the nearest ones.
    """
    paths = [source.path] if isinstance(source.path, str) else source.path or []
    templates = [path for path in paths if RUN_DATE.search(path)]
    if not templates:
        return source, None
    wanted = dt.date.fromisoformat(run_date)
    files = Files(spark)
    there = set.intersection(*[_dates(files, template) for template in templates])
    fitting = [day for day in there if day == wanted or (source.snapshot == "newest" and day < wanted)]
    if not fitting:
        raise ConfigError(
            f"source {without_user_info(source.path)!r}",
            f"has no snapshot {'at or before' if source.snapshot == 'newest' else 'of'} the run date "
            f"{run_date} ({_nearest(there, wanted)})",
            remedy="check source.path and --run-date"
            + (", or allow older ones with source.snapshot: newest" if source.snapshot == "exact" else ""),
        )
    picked = max(fitting)
    filled = [fill(path, picked) for path in paths]
    return source.model_copy(update={"path": filled[0] if isinstance(source.path, str) else filled}), (
        picked.isoformat()
    )


def fill(template: str, day: dt.date) -> str:
    """Put a date in the place of ``{run_date}`` and ``{run_date:%Y%m%d}``.

    >>> fill("/feed/{run_date:%Y/%m}/tickets-{run_date}.csv", dt.date(2026, 1, 31))
    '/feed/2026/01/tickets-2026-01-31.csv'
    """
    return RUN_DATE.sub(lambda found: day.strftime(found["spec"] or "%Y-%m-%d"), template)


def _dates(files: Files, template: str) -> set[dt.date]:
    """Dates for which a template's path is there, up to its last component with a date in it."""
    dated = list(RUN_DATE.finditer(template))
    upto = template[: (template + "/").index("/", dated[-1].end())]
    # What stands before the first folder with a date may read otherwise in what is found: `..`, a scheme.
    end = upto.rfind("/", 0, dated[0].start()) + 1
    glob, expression = upto[:end], "(?:^|/)"
    order: list[str] = []
    for found in dated:
        between, spec = upto[end : found.start()], found["spec"] or "%Y-%m-%d"
        glob += between + re.sub("%[Ymd]", lambda part: "[0-9]" * WIDTH[part[0]], spec)
        expression += _expression(between) + _expression(spec, WIDTH)
        order += re.findall("%[Ymd]", spec)
        end = found.end()
    whole = re.compile(f"{expression}{_expression(upto[end:])}$")
    dates = set()
    for path in files.glob(glob + upto[end:]):
        matched = whole.search(path)
        said = set(zip(order, matched.groups(), strict=True)) if matched else set()
        # A path that says the month twice means one date only where both agree.
        if len(said) == len(WIDTH):
            parts = dict(said)
            with contextlib.suppress(ValueError):
                dates.add(dt.date(*(int(parts[part]) for part in WIDTH)))
    return dates


def _expression(text: str, width: Mapping[str, int] = MappingProxyType({})) -> str:
    """A part of a path as a regular expression; ``*`` and ``?`` of a glob stay within one folder."""
    pieces = {"*": "[^/]*", "?": "[^/]", **{part: rf"(\d{{{digits}}})" for part, digits in width.items()}}
    return "".join(pieces.get(piece, re.escape(piece)) for piece in re.findall("%[Ymd]|.", text))


def _nearest(there: set[dt.date], wanted: dt.date) -> str:
    """The snapshots or days next to a date, in words."""
    before = max((day for day in there if day < wanted), default=None)
    after = min((day for day in there if day > wanted), default=None)
    said = [
        f"{name} {day}" for name, day in (("the last before it is", before), ("the next is", after)) if day
    ]
    return ", ".join(said) or "there is none of any date"


def of_days(df: DataFrame, source: Source, run_date: str) -> DataFrame:
    """Rows whose ``source.date_column`` lies in the days that the run date picks, and those without a date.

    The last of ``source.days`` days is the run date; 0 means all days up to it. The condition compares the
    bare column with constants, so Spark prunes partitions and Parquet row groups by it. Rows without a date
    belong to no night; they stay, so that collecting them can put them into quarantine.

    Raises
    ------
    ConfigError
        The column is missing or of a type that holds no date.
    """
    if source.date_column is None:
        return df
    return df.where(_in_days(df, source, run_date) | _column(df, source).isNull())


def days(source: Source, run_date: str) -> tuple[dt.date | None, dt.date | None]:
    """First and last day that a run date picks by ``source.date_column``; None where there is no bound."""
    if source.date_column is None:
        return None, None
    last = dt.date.fromisoformat(run_date)
    return (last - dt.timedelta(days=source.days - 1) if source.days else None), last


def files_of_days(paths: Iterable[str], source: Source, run_date: str) -> list[str]:
    """Without the files in folders ``<date_column>=<day>`` of days that the run date does not pick."""
    first, last = days(source, run_date)
    folder = re.compile(f"/{re.escape(quote(source.date_column or ''))}=([^/]+)/")

    def picked(path: str) -> bool:
        matched = folder.search(path)
        day = _as_day(unquote(matched[1])) if matched else None
        return day is None or last is None or (day <= last and (first is None or day >= first))

    return [path for path in paths if picked(path)]


def nearest_days(df: DataFrame, source: Source, run_date: str) -> str:
    """In words, the days next to the run date that have rows; for the message about a night without any."""
    from pyspark.sql import functions as F

    wanted, column = dt.date.fromisoformat(run_date), _column(df, source)
    first, after = _constant(df, source, wanted), _constant(df, source, wanted + dt.timedelta(days=1))
    row = df.agg(F.max(F.when(column < first, column)), F.min(F.when(column >= after, column))).collect()[0]
    return _nearest({day for day in map(_as_day, row) if day}, wanted)


def _in_days(df: DataFrame, source: Source, run_date: str) -> Column:
    first, _ = days(source, run_date)
    column = _column(df, source)
    upto = column < _constant(df, source, dt.date.fromisoformat(run_date) + dt.timedelta(days=1))
    return upto if first is None else upto & (column >= _constant(df, source, first))


def _column(df: DataFrame, source: Source) -> Column:
    from pyspark.sql import functions as F

    name = source.date_column
    if name not in df.columns:
        raise ConfigError(
            "key 'source.date_column'",
            f"the source has no column {name!r}{nearest(str(name), df.columns)}",
            allowed=", ".join(df.columns),
            remedy="mend the name, or make the column with source.derive",
        )
    return F.col(f"`{name}`")


def _constant(df: DataFrame, source: Source, day: dt.date) -> Column:
    """A day as a constant of the date column's own type.

    Any other type would make Spark cast the column, and a cast column prunes nothing.
    """
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    kind = df.schema[str(source.date_column)].dataType
    if isinstance(kind, T.StringType):
        return F.lit(day.isoformat())
    if isinstance(kind, T.IntegralType):
        return F.lit(int(f"{day:%Y%m%d}"))
    if isinstance(kind, T.DateType | T.TimestampType | T.TimestampNTZType):
        return F.lit(day.isoformat()).cast(kind)
    raise ConfigError(
        "key 'source.date_column'",
        f"column {source.date_column!r} is {kind.simpleString()}",
        allowed="date, timestamp, a string that begins YYYY-MM-DD, a whole number YYYYMMDD",
        remedy="make a date with source.derive",
    )


def _as_day(value: Any) -> dt.date | None:
    """A value of the date column as a date; None for one that is none."""
    if isinstance(value, dt.datetime):
        return value.date()
    if value is None or isinstance(value, dt.date):
        return value
    try:
        text = str(value)
        return (
            dt.datetime.strptime(text, "%Y%m%d").date()
            if text.isdigit()
            else dt.date.fromisoformat(text[:10])
        )
    except ValueError:
        return None
