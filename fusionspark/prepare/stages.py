"""The stages of prepare, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.ml import Estimator, Pipeline, Transformer
from pyspark.ml.feature import Normalizer, SQLTransformer
from pyspark.sql import DataFrame

from fusionspark.columns import (
    CLEAN_TEXT,
    LANGUAGE,
    N_CHARS,
    N_SENTENCES,
    N_WORDS,
    POS_SHARES,
    STATISTICS_BLOCK,
    TABLE_BLOCK,
    TEXT,
    TOKENS,
    WORDS,
)
from fusionspark.config import Columns, Prepare
from fusionspark.prepare.dates import DateParts, part_names
from fusionspark.prepare.history import HistoryFeatures, names
from fusionspark.prepare.python_steps import PythonStep
from fusionspark.prepare.table_encoder import TableEncoder
from fusionspark.prepare.target_encoding import TargetEncoder
from fusionspark.prepare.text_stages import LanguageDetector, LengthCounter, TextCleaner
from fusionspark.prepare.tfidf_stages import SCRATCH as TFIDF_SCRATCH
from fusionspark.prepare.tfidf_stages import tfidf_stages
from fusionspark.prepare.universal_pos import UNIVERSAL_TAGS
from fusionspark.prepare.word_stages import Monitor, WordTagger, WordTokenizer

#: Shares of parts of speech as features of their own; named as a reader of the report would.
_SHARES = {tag: f"share of {tag}" for tag in UNIVERSAL_TAGS}
#: Columns that only carry values between two stages of this room.
_TABLE, _TARGET = "__table", "__target"


def drop_scratch(rows: DataFrame) -> DataFrame:
    """Leave out the columns that only carry values between two stages of this room."""
    shares, starts = set(_SHARES.values()), (TFIDF_SCRATCH, _TARGET, _TABLE)
    return rows.drop(*[name for name in rows.columns if name in shares or name.startswith(starts)])


def text_cleaner(settings: Prepare, text_columns: int) -> TextCleaner:
    """The first of the stages, alone."""
    return TextCleaner(
        inputCol=TEXT,
        outputCol=CLEAN_TEXT,
        foldWidth=settings.fold_width,
        mask=list(settings.mask),
        textColumns=text_columns,
    )


def text_steps(
    settings: Prepare, monitor: Monitor | None = None, *, text_columns: int = 1
) -> list[PythonStep]:
    """Stages that need nothing learnt: clean text; language, words, tags and lengths as far as asked for.

    `python_steps.together` applies them in one pass; each is a stage of its own as well. ``monitor`` is told
    how often taggers are loaded. ``text_columns`` is the number of columns that the text was joined from.
    """
    steps: list[PythonStep] = [text_cleaner(settings, text_columns)]
    detected = settings.language == "auto"
    if detected:
        steps.append(LanguageDetector(inputCol=CLEAN_TEXT, outputCol=LANGUAGE))
    how: dict[str, Any] = {"languageCol": LANGUAGE} if detected else {"language": settings.language}
    how["textColumns"] = text_columns
    if settings.pos_tags:
        tagger = WordTagger(inputCol=CLEAN_TEXT, outputCol=TOKENS, **how)
        tagger.monitor = monitor
        steps.append(tagger)
    else:
        steps.append(WordTokenizer(inputCol=CLEAN_TEXT, outputCol=TOKENS, **how))
    if settings.text_statistics != "none":
        words = WORDS if settings.pos_tags else TOKENS
        steps.append(LengthCounter(inputCol=CLEAN_TEXT, wordsCol=words))
    return steps


def statistics_columns(columns: Columns, settings: Prepare) -> dict[str, list[str]]:
    """Columns of the table `prepared` with statistics of the text -> the features that each gives."""
    if not columns.text or settings.text_statistics == "none":
        return {}
    shares = {POS_SHARES: list(_SHARES.values())} if settings.pos_tags else {}
    return {name: [name] for name in (N_CHARS, N_WORDS, N_SENTENCES)} | shares


def _shares_apart() -> Transformer:
    """Stage that gives every share of a part of speech a column."""
    shares = ", ".join(f"{POS_SHARES}[{i}] AS `{name}`" for i, name in enumerate(_SHARES.values()))
    return SQLTransformer(statement=f"SELECT *, {shares} FROM __THIS__")


def feature_pipeline(columns: Columns, settings: Prepare) -> Pipeline:
    """Stages that learn from training rows: TF-IDF, encoding of structured columns and text statistics."""
    stages: list[Estimator[Any] | Transformer] = []
    if columns.text and settings.tfidf_features:
        stages += tfidf_stages(len(columns.text), settings)
    held = statistics_columns(columns, settings)
    statistics = [name for names in held.values() for name in names]
    if POS_SHARES in held:
        stages.append(_shares_apart())
    beside = settings.text_statistics == "table"
    if statistics and not beside:
        stages.append(_table_encoder(settings, numericCols=statistics, outputCol=STATISTICS_BLOCK))
    numbers = [*number_columns(columns, settings), *(statistics if beside else [])]
    if numbers or columns.categorical:
        stages += _table_stages(numbers, columns.categorical, settings)
    return Pipeline(stages=stages)


def derived_pipeline(columns: Columns, settings: Prepare) -> Pipeline:
    """Stages that make numbers of dates and of the past, with nothing learnt; see `number_columns`."""
    stages: list[Estimator[Any] | Transformer] = []
    if columns.dates:
        stages.append(DateParts(inputCols=columns.dates, referenceCol=columns.date or ""))
    history = settings.table.history
    if history is not None:
        stages.append(
            HistoryFeatures(
                entityCols=history.by,
                timeCol=columns.date,
                valueCols=history.values,
                windows=history.windows,
            )
        )
    return Pipeline(stages=stages)


def number_columns(columns: Columns, settings: Prepare) -> list[str]:
    """Numbers that are features: those of the source, then what `derived_pipeline` makes."""
    history = settings.table.history
    dates = [part for name in columns.dates for part in part_names(name)]
    return [*columns.numeric, *dates, *(names(history.values, history.windows) if history else [])]


def _table_encoder(settings: Prepare, **columns: Any) -> TableEncoder:
    return TableEncoder(
        maxCategories=settings.max_categories,
        hashBuckets=settings.table.hash_buckets if settings.table.rare == "hash" else 0,
        clipShare=settings.table.clip,
        maxSkew=settings.table.skew,
        **columns,
    )


def _table_stages(
    numbers: list[str], categories: list[str], settings: Prepare
) -> list[Estimator[Any] | Transformer]:
    table = settings.table
    encoded = categories if table.rare == "target" else []
    stages: list[Estimator[Any] | Transformer] = [
        _table_encoder(
            settings,
            numericCols=numbers,
            categoricalCols=categories,
            outputCol=_TABLE if encoded else TABLE_BLOCK,
        )
    ]
    blocks = [f"{_TARGET}{i}" for i in range(len(encoded))]
    for name, block in zip(encoded, blocks, strict=True):
        stages.append(
            TargetEncoder(inputCol=name, outputCol=block, folds=table.folds, smoothing=table.smoothing)
        )
    if encoded:
        joined = f"concat({', '.join([_TABLE, *blocks])})"
        stages.append(SQLTransformer(statement=f"SELECT *, {joined} AS {TABLE_BLOCK} FROM __THIS__"))
    return stages


def parted(stages: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Fitted stages of `feature_pipeline` in two: those of the words, and those of the structured columns."""
    words = max((i for i, stage in enumerate(stages, 1) if isinstance(stage, Normalizer)), default=0)
    return list(stages[:words]), list(stages[words:])
