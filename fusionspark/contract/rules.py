"""What a contract asks of one value, as Spark expressions."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from fusionspark.config import ColumnContract, Contract


@dataclass(frozen=True)
class RowRule:
    """One rule over the values of one column.

    Attributes
    ----------
    column, name : str
        Where it holds, and what it is called: ``type``, ``min``, ``max``, ``allowed`` or ``pattern``.
    allowed : str
        What passes, in words.
    broken : Column
        True where a value breaks the rule; never null.
    tolerance : float
        Share of all rows that may break it. They go to quarantine; more, and the contract is broken.
    """

    column: str
    name: str
    allowed: str
    broken: Column
    tolerance: float

    @property
    def reason(self) -> str:
        """What quarantine says of a row that breaks the rule."""
        return f"contract: {self.name} of {self.column} (allowed: {self.allowed})"


def at(name: str) -> Column:
    """A column by its plain name, whatever characters are in it."""
    return F.col(f"`{name}`")


def missing(df: DataFrame, name: str) -> Column:
    """True where a value is null, NaN or a blank string: sources write one for the other."""
    kind = df.schema[name].dataType
    if isinstance(kind, T.FloatType | T.DoubleType):
        return at(name).isNull() | F.isnan(at(name))
    if isinstance(kind, T.StringType):
        return at(name).isNull() | (F.trim(at(name)) == "")
    return at(name).isNull()


def kind_of(df: DataFrame, name: str, rule: ColumnContract) -> str | None:
    """The type that a column is cast to: the contract's, or double for text that is held against numbers."""
    bounded = rule.min is not None or rule.max is not None
    implied = "double" if bounded and isinstance(df.schema[name].dataType, T.StringType) else None
    return rule.type or implied


def typed(df: DataFrame, name: str, rule: ColumnContract) -> Column:
    """The value in the type that the contract states, null where it is missing or the ANSI cast fails.

    A number with a fraction is no whole number, though a plain cast would cut the fraction off.
    """
    value = F.when(~missing(df, name), at(name))
    kind = kind_of(df, name, rule)
    if kind is None:
        return value
    source = df.schema[name].dataType
    text = isinstance(source, T.StringType)
    cast = F.expr(f"try_cast({'trim' if text else ''}(`{name}`) AS {kind})")
    if kind in ("int", "bigint") and isinstance(source, T.FractionalType):
        cast = F.when(at(name) == cast, cast)
    return F.when(~missing(df, name), cast)


def castable(df: DataFrame, name: str, rule: ColumnContract) -> bool:
    """Whether Spark has a cast from the column's type to the contract's at all; runs no job."""
    try:
        df.select(typed(df, name, rule))
    except AnalysisException:
        return False
    return True


def row_rules(df: DataFrame, contract: Contract) -> list[RowRule]:
    """The rules over single values, in the order of the contract, of the columns that ``df`` has."""
    found = []
    for name, rule in contract.columns.items():
        if name in df.columns and castable(df, name, rule):
            found += _of_column(df, name, rule, contract)
    return found


def _of_column(df: DataFrame, name: str, rule: ColumnContract, contract: Contract) -> list[RowRule]:
    value = typed(df, name, rule)
    tolerance = contract.tolerance if rule.tolerance is None else rule.tolerance
    rules: list[RowRule] = []

    def add(what: str, allowed: str, broken: Column, share: float = tolerance) -> None:
        rules.append(RowRule(name, what, allowed, F.coalesce(broken, F.lit(False)), share))

    kind = kind_of(df, name, rule)
    if kind is not None:
        share = contract.cast_tolerance if rule.tolerance is None else rule.tolerance
        add("type", kind, ~missing(df, name) & value.isNull(), share)
    for what, bound in (("min", rule.min), ("max", rule.max)):
        if bound is not None:
            limit = F.lit(bound).cast(rule.type) if isinstance(bound, str) and rule.type else F.lit(bound)
            add(what, f"{'at least' if what == 'min' else 'at most'} {bound}",
                value < limit if what == "min" else value > limit)  # fmt: skip
    if rule.allowed is not None:
        add("allowed", ", ".join(map(_said, rule.allowed)), ~_is_one_of(df, value, rule.allowed))
    if rule.pattern is not None:
        add("pattern", rule.pattern, ~value.cast("string").rlike(rule.pattern))
    return rules


def _is_one_of(df: DataFrame, value: Column, allowed: list[str | bool | int | float]) -> Column:
    kind = df.select(value.alias("value")).schema["value"].dataType
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in allowed)
    if numbers and isinstance(kind, T.NumericType):
        return value.isin(*allowed)
    return F.trim(value.cast("string")).isin(*[_said(one) for one in allowed])


def _said(value: str | bool | int | float) -> str:
    """As Spark writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
