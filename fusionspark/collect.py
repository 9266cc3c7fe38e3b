"""Collect: from any source to one typed table with a stable ``row_id``; bad rows go to quarantine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from fusionspark.columns import CONTENT_HASH, INPUT, LABEL, PICTURE, REASON, ROW_ID, STAGE, TEXT, TEXT_BREAK
from fusionspark.config import Columns, Contract, Source, without_user_info
from fusionspark.contract.rules import row_rules, typed
from fusionspark.errors import ConfigError, DataContractError, nearest
from fusionspark.files import Files

#: What CSV needs to read real exports: a header, quoted line breaks, quotes doubled inside quotes.
CSV_OPTIONS = {"header": True, "multiLine": True, "escape": '"'}

#: A folder of pictures as a source: what Spark calls it, and which files are pictures.
IMAGE_FOLDER = "image_folder"
_PICTURE_FILES = "*.{png,PNG,jpg,JPG,jpeg,JPEG,gif,GIF,bmp,BMP,webp,WEBP,tif,TIF,tiff,TIFF}"

_CONTENT = "__content"
_RAW_ID = "__raw_id"
#: Before the name of a column: its value in the source, where `Source.derive` replaced it.
AS_READ = "__as_read_"


@dataclass(frozen=True)
class Collected:
    """Rows that can go on, and rows that cannot with the reason. Both lazy."""

    rows: DataFrame
    quarantine: DataFrame


def read_source(spark: SparkSession, source: Source) -> DataFrame:
    """Open the source lazily, add derived columns, apply the condition.

    Raises
    ------
    ConfigError
        The path, the format or an expression cannot be used; raised before any Spark job.
    """
    return choose(derive(open_as_is(spark, source), source), source)


def open_as_is(spark: SparkSession, source: Source) -> DataFrame:
    """Open the source lazily, with its own columns."""
    options: dict[str, Any] = {**(CSV_OPTIONS if source.format == "csv" else {}), **source.options}
    place = place_of(source)
    reader = spark.read.format(source.format).options(**options)
    try:
        if source.format == IMAGE_FOLDER:
            return _image_folder(spark, source)
        return reader.load(source.path) if source.path is not None else reader.load()
    except (AnalysisException, IllegalArgumentException, Py4JJavaError) as error:
        raise ConfigError(
            f"source {place!r}",
            f"cannot be opened as {source.format} ({first_line(error)})",
            remedy="check source.path, source.format and source.options",
        ) from None


def _image_folder(spark: SparkSession, source: Source) -> DataFrame:
    """Pictures below ``source.path``: ``path``, ``name`` below it, ``folder``, ``bytes`` and ``modified``.

    With the option ``content: true`` the bytes themselves come too, as ``content``: for pictures on a file
    system that workers cannot open paths of.
    """
    content = bool(source.options.get("content", False))
    options = {name: value for name, value in source.options.items() if name != "content"}
    defaults: dict[str, Any] = {"recursiveFileLookup": True, "pathGlobFilter": _PICTURE_FILES}
    files = spark.read.format("binaryFile").options(**{**defaults, **options}).load(source.path)
    path = F.col("path")
    name = path
    if isinstance(source.path, str):
        root = Files(spark).absolute(source.path).rstrip("/")
        name = F.substring_index(path, f"{root}/", -1)
    return files.select(
        path,
        name.alias("name"),
        F.element_at(F.split(path, "/"), -2).alias("folder"),
        F.col("length").alias("bytes"),
        F.col("modificationTime").alias("modified"),
        *([F.col("content")] if content else []),
    )


def derive(df: DataFrame, source: Source, *, keep: bool = False) -> DataFrame:
    """Add derived columns; ``keep`` leaves the values they replace beside them, for `collect`."""
    for name in source.derive if keep else ():
        if name in df.columns:
            df = df.withColumn(f"{AS_READ}{name}", F.col(f"`{name}`"))
    for name, expression in source.derive.items():
        try:
            df = df.withColumn(name, F.expr(expression))
        except AnalysisException as error:
            raise _unusable(f"source.derive.{name}", expression, df, error) from None
    return df


def choose(df: DataFrame, source: Source) -> DataFrame:
    """Apply the condition."""
    if not source.where:
        return df
    try:
        return df.where(source.where)
    except AnalysisException as error:
        raise _unusable("source.where", source.where, df, error) from None


def place_of(source: Source) -> str:
    """Where a source lies, without credentials: its path, or its format where it has none."""
    return str(without_user_info(source.path) if source.path is not None else f"format {source.format!r}")


def first_line(error: Exception) -> str:
    """First line of what Spark says of an error, without credentials."""
    said = str(getattr(error, "java_exception", None) or error).strip()
    return without_user_info(said.splitlines()[0].rstrip(".")) if said else type(error).__name__


def unreadable(source: Source, error: Exception) -> DataContractError:
    """Say which source could not be read to its end: a torn file, or a value that an expression fails on."""
    return DataContractError(
        f"source {place_of(source)!r}",
        f"a row cannot be read ({first_line(error)})",
        allowed="whole files, and values that source.derive and source.where can work with",
        remedy="mend the file, or let the expression give null (try_cast, try_divide, try_to_date)",
    )


def _unusable(key: str, expression: str, df: DataFrame, error: Exception) -> ConfigError:
    return ConfigError(
        f"key {key!r}",
        f"{expression!r} cannot be used on the source ({first_line(error)})",
        allowed=f"Spark SQL over the columns {', '.join(_own(df))}",
        remedy="mend the expression",
    )


def _own(df: DataFrame) -> list[str]:
    return [name for name in df.columns if not name.startswith(AS_READ)]


def check_columns(
    df: DataFrame,
    columns: Columns,
    place: str,
    *,
    need_label: bool = True,
    last_seen: Callable[[str], str] = lambda name: "",
) -> None:
    """Check that the source has what the configuration names, in types that can be used.

    ``last_seen`` gives the run that had a column which is missing now, or an empty string.

    Raises
    ------
    ConfigError
        A column is missing (the nearest name is proposed) or of a type that its part cannot be made from.
    """
    number = (T.NumericType, T.BooleanType, T.StringType)
    atomic = (T.AtomicType,)
    picture = (T.StringType, T.BinaryType)
    moment = (T.DateType, T.TimestampType, T.TimestampNTZType, T.StringType)
    wanted: list[tuple[str, Iterable[str], tuple[type, ...], str]] = [
        ("key", columns.key, atomic, "a plain value"),
        ("text", columns.text, (T.StringType,), "string"),
        ("image", [columns.image] if columns.image else [], picture, "string (a path) or binary"),
        ("numeric", columns.numeric, number, "a number, boolean or string of digits"),
        ("categorical", columns.categorical, atomic, "a plain value"),
        ("date", [columns.date] if columns.date else [], moment, "date, timestamp or string"),
        ("dates", columns.dates, moment, "date, timestamp or string"),
        ("basket", [columns.basket] if columns.basket else [], atomic, "a plain value"),
        ("item", [columns.item] if columns.item else [], atomic, "a plain value"),
        ("label", [columns.label] if columns.label and need_label else [], atomic, "a plain value"),
    ]
    types = {name: df.schema[name].dataType for name in _own(df)}
    for part, names, allowed, words in wanted:
        for name in names:
            if name not in types:
                seen = last_seen(name)
                raise ConfigError(
                    f"key 'columns.{part}'",
                    f"the source {place} has no column {name!r}{nearest(name, types)}"
                    + (f"; it was there in the run of {seen}" if seen else ""),
                    allowed=", ".join(types),
                    remedy="mend the name, or make the column with source.derive",
                )
            bytes_where_a_value_belongs = isinstance(types[name], T.BinaryType) and part != "image"
            if not isinstance(types[name], allowed) or bytes_where_a_value_belongs:
                raise ConfigError(
                    f"key 'columns.{part}'",
                    f"column {name!r} of {place} is {types[name].simpleString()}",
                    allowed=words,
                    remedy="convert it with source.derive",
                )


def _valid_utf8(column: Column) -> Column:
    """True where the bytes of a string are UTF-8. Arrow would fail the whole task on one that is not."""

    if hasattr(F, "is_valid_utf8"):
        return F.is_valid_utf8(column)
    # Spark 3.5: decoding puts U+FFFD in place of bad bytes, so the round trip differs.
    raw = column.cast("binary")
    return F.encode(F.decode(raw, "UTF-8"), "UTF-8") == raw


def row_key(columns: Columns) -> Column:
    """The key columns as one string; null where any is null. The separator inside a value is escaped."""

    parts = [F.col(f"`{name}`").cast("string") for name in columns.key]
    if len(parts) == 1:
        return parts[0]
    escaped = [F.replace(F.replace(p, F.lit("\\"), F.lit("\\\\")), F.lit("|"), F.lit("\\|")) for p in parts]
    joined = escaped[0]
    for part in escaped[1:]:
        joined = F.concat(joined, F.lit("|"), part)
    return joined


def collect(
    df: DataFrame,
    columns: Columns,
    *,
    date_column: str | None = None,
    taken: DataFrame | None = None,
    contract: Contract | None = None,
) -> Collected:
    """Type the columns, give each row a stable ``row_id`` and part the usable rows from the others.

    A row is quarantined with the first reason that holds: null key, no date by which a run date could pick
    it, text that is not UTF-8, a value that the contract does not allow, a structured value that is not a
    number, an infinite number, a date that cannot be read, or a key that an earlier row has. Of rows with
    one key the one with the smallest content digest stays, whatever the order of the source. NaN counts as
    missing, since that is how pandas writes it. Without key columns the identity is the digest of the
    content, and equal rows are numbered.

    Parameters
    ----------
    df : DataFrame
        As `read_source` returns it, checked by `check_columns`.
    columns : Columns
        Which column plays which part.
    date_column : str, optional
        Column by which run dates pick rows; a row without this date belongs to none.
    taken : DataFrame, optional
        Its ``row_id`` are those of rows that were collected before: they count as earlier rows.
    contract : Contract, optional
        Columns that it gives a type are cast to that; a value that fails the cast is bad, never null.
    """

    contract = contract or Contract()

    def at(name: str) -> Column:
        return F.col(f"`{name}`")

    def value(name: str) -> Column:
        rule = contract.columns.get(name)
        return at(name) if rule is None or rule.type is None else typed(df, name, rule)

    own = _own(df)
    content = F.sha2(F.to_json(F.struct(*[at(name) for name in own])), 256)
    null = F.lit(None).cast("string")
    staged = df.withColumn(_CONTENT, content)
    staged = staged.withColumn(_RAW_ID, row_key(columns) if columns.key else F.col(_CONTENT))
    within = Window.partitionBy(_RAW_ID).orderBy(_CONTENT)
    # Rows without a key must not meet in one giant window partition.
    spread = staged.withColumn(_RAW_ID, F.coalesce(_RAW_ID, F.concat(F.lit("null-key:"), F.col(_CONTENT))))
    staged = spread.withColumn("__nth", F.row_number().over(within))
    if taken is not None:
        staged = _after(staged, taken, columns)

    reasons = []
    if columns.key:
        no_key = F.lit(False)
        for name in columns.key:
            no_key = no_key | at(name).isNull() | (F.trim(at(name).cast("string")) == "")
        reasons.append(F.when(no_key, F.lit("null key")))
    if date_column:
        reasons.append(F.when(at(date_column).isNull(), F.lit(f"no date: {date_column}")))
    strings = [
        *columns.key,
        *columns.text,
        *columns.categorical,
        *([columns.label] if columns.label else []),
    ]
    for name in dict.fromkeys(strings):
        if name in df.columns and df.schema[name].dataType.simpleString() == "string":
            reasons.append(F.when(~_valid_utf8(at(name)), F.lit(f"not UTF-8: {name}")))
    reasons += [F.when(rule.broken, F.lit(rule.reason)) for rule in row_rules(df, contract)]
    numbers = {}
    for name in [*columns.numeric, *([columns.number] if columns.number in df.columns else [])]:
        number = F.expr(f"try_cast(`{name}` AS double)")
        blank = F.trim(at(name).cast("string")) == ""
        reasons.append(
            F.when(at(name).isNotNull() & ~blank & number.isNull(), F.lit(f"not a number: {name}"))
        )
        reasons.append(F.when(F.abs(number) == float("inf"), F.lit(f"not finite: {name}")))
        numbers[name] = F.when(~F.isnan(number), number)
    moments = {}
    for name in dict.fromkeys([*([columns.date] if columns.date else []), *columns.dates]):
        moments[name] = F.expr(f"try_cast(`{name}` AS timestamp)")
        unread = at(name).isNotNull() & moments[name].isNull()
        reasons.append(F.when(unread, F.lit(f"not a date: {name}")))
    if columns.key:
        reasons.append(F.when(F.col("__nth") > 1, F.lit("duplicate key")))
    staged = staged.withColumn(REASON, F.coalesce(*reasons) if reasons else null)

    raw_id = F.col(_RAW_ID) if columns.key else F.concat_ws("-", F.substring(_RAW_ID, 1, 32), F.col("__nth"))
    label = value(columns.label) if columns.label and columns.label in df.columns else null
    if columns.number in numbers:
        label = numbers.pop(columns.number)
    texts = [F.nullif(at(name), F.lit("")) for name in columns.text]
    text = joined_texts(texts) if texts else null
    good = staged.where(F.col(REASON).isNull()).select(
        raw_id.alias(ROW_ID),
        label.cast("string").alias(LABEL),
        text.alias(TEXT),
        *([at(columns.image).alias(PICTURE)] if columns.image else []),
        *[numbers[name].alias(name) for name in columns.numeric],
        *[
            F.nullif(F.trim(value(name).cast("string")), F.lit("")).alias(name)
            for name in columns.categorical
        ],
        *[moment.alias(name) for name, moment in moments.items()],
    )
    # As JSON: a hash over columns passes over nulls, and would miss a value that moved to its neighbour.
    content = F.to_json(F.struct(*[at(name) for name in good.columns if name != ROW_ID]))
    good = good.withColumn(CONTENT_HASH, F.xxhash64(content))
    bad = staged.where(F.col(REASON).isNotNull()).select(
        # A second row with one key needs a name of its own, or a replay could not tell them apart.
        F.when(F.col("__nth") > 1, F.concat_ws("#", raw_id, F.col("__nth"))).otherwise(raw_id).alias(ROW_ID),
        F.lit("collect").alias(STAGE),
        F.col(REASON),
        # As the source has it: whoever mends `source.derive` wants it to meet the value that it failed on.
        F.to_json(
            F.struct(
                *[
                    at(f"{AS_READ}{name}" if f"{AS_READ}{name}" in df.columns else name).alias(name)
                    for name in own
                ]
            )
        ).alias(INPUT),
    )
    return Collected(good, bad)


def joined_texts(texts: Sequence[Column]) -> Column:
    """Texts of a row as one, a `TEXT_BREAK` between any two; null where all are null.

    A text that is missing keeps its place, so that those after it can be told apart.
    """
    if len(texts) == 1:
        return texts[0].cast("string")
    lines = [F.coalesce(F.regexp_replace(text, "\n+", "\n"), F.lit("")) for text in texts]
    return F.when(F.coalesce(*texts).isNotNull(), F.concat_ws(TEXT_BREAK, *lines))


def _after(staged: DataFrame, taken: DataFrame, columns: Columns) -> DataFrame:
    """Number rows on from those that were collected before under the same key or with the same content."""
    known, own_id = (
        (F.col(ROW_ID), F.col(_RAW_ID))
        if columns.key
        else (F.substring_index(ROW_ID, "-", 1), F.substring(_RAW_ID, 1, 32))
    )
    before = taken.groupBy(known.alias("__known")).agg(F.count("*").alias("__earlier"))
    joined = staged.join(before, own_id == F.col("__known"), "left")
    nth = (F.col("__nth") + F.coalesce("__earlier", F.lit(0))).cast("int")
    return joined.withColumn("__nth", nth).drop("__known", "__earlier")
