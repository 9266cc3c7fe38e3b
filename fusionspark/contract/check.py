"""The contract against a whole source: the schema without a job, everything else in one aggregation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fusionspark.config import Contract
from fusionspark.contract.rules import RowRule, at, castable, missing, row_rules
from fusionspark.errors import DataContractError, nearest

#: Groups of equal rows that a broken uniqueness names.
_EXAMPLES = 3
#: Characters of an example that are shown.
_LONGEST = 60


@dataclass(frozen=True)
class Finding:
    """One rule and what was found.

    Attributes
    ----------
    rule, column : str
        What was asked, and where; several columns are joined by a comma, the whole source is empty.
    allowed, found : str
        In words.
    rows : int
        Rows that break the rule, also those that the tolerance sends to quarantine.
    examples : tuple of str
        Values that break it, each with the key of its row where there is one.
    kept : bool
        Whether the contract holds.
    """

    rule: str
    column: str
    allowed: str
    found: str
    rows: int
    kept: bool
    examples: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "examples": list(self.examples)}


def check_schema(df: DataFrame, contract: Contract, place: str, *, label: str | None = None) -> None:
    """Raise where a required column is missing or cannot be cast to its type; runs no job.

    Parameters
    ----------
    label : str, optional
        A column that may be missing: rows that are only scored have no label.

    Raises
    ------
    DataContractError
        With a finding for every such column.
    """
    found = []
    used = {name: rule.required for name, rule in contract.columns.items()}
    used |= {name: True for names in contract.unique for name in names}
    if contract.freshness is not None:
        used[contract.freshness.column] = True
    for name, required in used.items():
        if name not in df.columns:
            if required and name != label:
                gone = f"no such column{nearest(name, df.columns)}"
                found.append(Finding("required", name, "the column is there", gone, 0, kept=False))
        elif name in contract.columns and not castable(df, name, contract.columns[name]):
            kind = df.schema[name].dataType.simpleString()
            wanted = str(contract.columns[name].type)
            found.append(Finding("type", name, wanted, f"{kind}, which has no cast to it", 0, kept=False))
    raise_where_broken(found, place)


def check_rows(
    df: DataFrame,
    contract: Contract,
    run_date: str,
    *,
    key: Column | None = None,
    scoring: bool = False,
) -> list[Finding]:
    """Hold every row against the contract in one aggregation, one job whatever the number of rules.

    Only where rows that should be unlike are alike, a second one finds examples of them.

    Parameters
    ----------
    df : DataFrame
        That passed `check_schema`.
    run_date : str
        YYYY-MM-DD, against which freshness is measured.
    key : Column, optional
        String that names a row in examples.
    scoring : bool
        The rows are a batch to score: their number and age are not those of the feed.

    Returns
    -------
    list of Finding
        One for each rule, those that hold too. Empty, and no job, where the contract is.
    """
    rules = row_rules(df, contract)
    present = {name: rule for name, rule in contract.columns.items() if name in df.columns}
    nulls = {name: rule.null_share for name, rule in present.items() if rule.null_share is not None}
    unique = [[name] for name, rule in present.items() if rule.unique] + contract.unique
    band, fresh = (None, None) if scoring else (contract.rows, contract.freshness)
    if not (rules or nulls or unique or band or fresh):
        return []
    named = key if key is not None else F.lit(None).cast("string")
    counted = [F.count(F.lit(1)).alias("rows")]
    for i, rule in enumerate(rules):
        example = F.when(rule.broken, F.struct(at(rule.column).cast("string").alias("value"), named))
        counted += [F.count(example).alias(f"bad{i}"), F.min(example).alias(f"low{i}")]
        counted += [F.max(example).alias(f"high{i}")]
    for i, name in enumerate(nulls):
        counted.append(F.count(F.when(missing(df, name), 1)).alias(f"null{i}"))
    for i, names in enumerate(unique):
        counted.append(F.count_distinct(*map(at, names)).alias(f"unlike{i}"))
        counted.append(F.count(F.when(_whole(names), 1)).alias(f"whole{i}"))
    if fresh:
        counted.append(F.max(F.expr(f"try_cast(`{fresh.column}` AS date)")).alias("newest"))
    told = df.agg(*counted).collect()[0]
    total: int = told["rows"]
    found = [_of_rule(rule, told[f"bad{i}"], total, (told[f"low{i}"], told[f"high{i}"]))
             for i, rule in enumerate(rules)]  # fmt: skip
    for i, (name, most) in enumerate(nulls.items()):
        n = told[f"null{i}"]
        kept = n <= most * total
        found.append(Finding("null share", name, f"at most {most:.4g}", _share(n, total), n, kept))
    for i, names in enumerate(unique):
        n = told[f"whole{i}"] - told[f"unlike{i}"]
        examples = _alike(df, names) if n else ()
        found.append(Finding("unique", ", ".join(names), "no two rows alike", f"{n} too many", n, not n,
                             examples))  # fmt: skip
    if band:
        kept = total >= band.min and (band.max is None or total <= band.max)
        end = "any number" if band.max is None else str(band.max)
        found.append(Finding("rows", "", f"{band.min} to {end}", str(total), total, kept))
    if fresh:
        found.append(_freshness(fresh.column, fresh.days, told["newest"], run_date))
    return found


def raise_where_broken(findings: Sequence[Finding], place: str) -> None:
    """Raise `DataContractError` with all findings that do not hold."""
    broken = [finding for finding in findings if not finding.kept]
    if not broken:
        return
    said = [
        f"{one.rule}{f' of {one.column!r}' if one.column else ''} is {one.found}, allowed {one.allowed}"
        for one in broken[:_EXAMPLES]
    ]
    more = [f"and {len(broken) - len(said)} more"] if len(broken) > len(said) else []
    raise DataContractError(
        f"contract of {place}",
        f"{len(broken)} broken: {'; '.join([*said, *more])}",
        remedy="mend the source, change contract, or let a share of rows go to quarantine with its tolerance",
        findings=[one.to_dict() for one in broken],
    )


def _of_rule(rule: RowRule, bad: int, total: int, extremes: Sequence[Any]) -> Finding:
    kept = bad <= rule.tolerance * total
    examples = [f"{_short(row[0])} (row {_short(row[1])})" if row[1] is not None else _short(row[0])
                for row in extremes if row is not None]  # fmt: skip
    allowed = rule.allowed if not rule.tolerance else f"{rule.allowed}, but for {rule.tolerance:.4g} of rows"
    found = _share(bad, total)
    return Finding(rule.name, rule.column, allowed, found, bad, kept, tuple(dict.fromkeys(examples)))


def _freshness(column: str, days: int, newest: dt.date | None, run_date: str) -> Finding:
    age = None if newest is None else (dt.date.fromisoformat(run_date) - newest).days
    found = "no date at all" if age is None else f"{age} days old on {run_date} ({newest})"
    kept = age is not None and age <= days
    return Finding("freshness", column, f"newest row at most {days} days old", found, 0, kept)


def _whole(names: Sequence[str]) -> Column:
    whole = F.lit(True)
    for name in names:
        whole = whole & at(name).isNotNull()
    return whole


def _alike(df: DataFrame, names: Sequence[str]) -> tuple[str, ...]:
    groups = df.where(_whole(names)).groupBy(*map(at, names)).count().where(F.col("count") > 1)
    rows = groups.orderBy(F.desc("count"), *map(at, names)).limit(_EXAMPLES).collect()
    return tuple(f"{', '.join(_short(value) for value in row[:-1])} ({row[-1]} rows)" for row in rows)


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} rows ({part / whole:.2%})" if whole else "no rows"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
