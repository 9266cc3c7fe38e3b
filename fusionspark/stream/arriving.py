"""The rows that arrive: their schema from the models' source, when they landed, and those beyond reading."""

from __future__ import annotations

from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from fusionspark import collect as collecting
from fusionspark import columns as c
from fusionspark.config import Config, without_user_info
from fusionspark.errors import ConfigError
from fusionspark.tables import RunFolder

#: When the file or message of a row landed, and the line as it came where it cannot be parsed.
LANDED, UNREAD = "__landed", "__unread"
FILES, KAFKA = ("parquet", "orc", "json", "csv"), "kafka"
#: Formats in which one bad line says nothing about the others.
_LINES = ("json", "csv", KAFKA)


def schema_of(run: RunFolder, config: Config) -> T.StructType:
    """Columns of the source as the run read them, before `source.derive`.

    Raises
    ------
    ConfigError
        The run says nothing of them.
    """
    known = ((run.stage_facts("collect") or {}).get("schema") or {}).get("columns")
    if not known:
        raise ConfigError(
            f"run {run.path}", "does not say which columns its source had",
            remedy="run `fusionspark run` once more with this version",
        )  # fmt: skip
    kept = {name.removeprefix(collecting.AS_READ): facts["type"] for name, facts in known.items()
            if name.startswith(collecting.AS_READ)}  # fmt: skip
    own = {name: facts["type"] for name, facts in known.items() if not name.startswith(collecting.AS_READ)}
    # A derived column is none of the source, unless it replaces one, whose type was kept then.
    types = {name: kept.get(name, kind) for name, kind in own.items()
             if name in kept or name not in config.source.derive}  # fmt: skip
    ddl = ", ".join(f"`{name}` {kind}" for name, kind in types.items())
    # Spark reads the text itself: Python's own way to do so came with 4.0.
    return run.spark.createDataFrame([], ddl).schema


def arriving(spark: SparkSession, config: Config, schema: T.StructType) -> DataFrame:
    """The streaming table of ``schema``, `LANDED` (timestamp) and, for lines, `UNREAD` (string).

    Raises
    ------
    ConfigError
        A format that cannot be streamed, or a folder that is not there.
    """
    settings, kind = config.stream, config.stream.format or config.source.format
    if kind not in (*FILES, KAFKA):
        raise ConfigError(
            "stream.format", f"{kind!r} cannot be streamed", allowed=", ".join((*FILES, KAFKA)),
            remedy="set stream.format to what arrives, whatever the models were trained on",
        )  # fmt: skip
    if kind != KAFKA and settings.path is None:
        raise ConfigError("stream.path", "is not set", remedy="name the folder into which files arrive")
    lines = kind in _LINES
    wide = T.StructType([*schema.fields, T.StructField(UNREAD, T.StringType())]) if lines else schema
    given: dict[str, Any] = {**(collecting.CSV_OPTIONS if kind == "csv" else {}), **settings.options}
    parsing = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": UNREAD}
    reader = spark.readStream.format(kind).options(**given)
    try:
        if kind == KAFKA:
            parsed = F.from_json(F.col("value").cast("string"), wide, parsing).alias("row")
            messages = reader.load().select(parsed, F.col("timestamp").alias(LANDED))
            return messages.select("row.*", LANDED)
        rows = reader.options(**(parsing if lines else {})).schema(wide).load(settings.path)
        return rows.select("*", F.col("_metadata.file_modification_time").alias(LANDED))
    except PySparkException as error:
        said = str(error).splitlines()[0]
        raise ConfigError(
            f"stream {without_user_info(settings.path) or kind!r}",
            f"cannot be opened as {kind} ({said})",
            remedy="check stream.path, stream.format and stream.options; the folder must be there",
        ) from None


def parted(rows: DataFrame) -> tuple[DataFrame, DataFrame | None]:
    """Rows that were parsed, and the quarantine (`columns.QUARANTINE_DDL`) of lines that could not be."""
    parsed = rows.drop(LANDED)
    if UNREAD not in rows.columns:
        return parsed, None
    digest = F.substring(F.sha2(F.col(UNREAD), 256), 1, 32)
    # Equal lines are told apart by number, as rows without a key are.
    nth = F.row_number().over(Window.partitionBy(UNREAD).orderBy(UNREAD))
    unread = parsed.where(F.col(UNREAD).isNotNull()).select(
        F.concat_ws("-", F.lit("line"), digest, nth).alias(c.ROW_ID),
        F.lit("collect").alias(c.STAGE),
        F.lit("cannot be parsed with the schema of the models' source").alias(c.REASON),
        F.col(UNREAD).alias(c.INPUT),
    )
    return parsed.where(F.col(UNREAD).isNull()).drop(UNREAD), unread
