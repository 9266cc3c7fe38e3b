"""The stages of prepare, in order, as one `pyspark.ml.Pipeline`."""

from __future__ import annotations

from typing import Any

from pyspark.ml import Estimator, Pipeline, Transformer
from pyspark.ml.feature import IDF, Normalizer, SQLTransformer

from fusionspark.columns import CLEAN_TEXT, TABLE_BLOCK, TEXT, TFIDF_BLOCK, TOKENS
from fusionspark.config import Columns, Prepare
from fusionspark.prepare.dates import DateParts, part_names
from fusionspark.prepare.history import HistoryFeatures, names
from fusionspark.prepare.ngrams import MOST_NGRAMS, TERMS, ngram_columns, ngram_stages
from fusionspark.prepare.table_encoder import TableEncoder
from fusionspark.prepare.target_encoding import TargetEncoder
from fusionspark.prepare.text_stages import TextCleaner, WordTokenizer
from fusionspark.prepare.vocabulary import WordCounter

#: Columns that only carry values between two stages of this room.
SCRATCH = ("__counts", "__weighted", *ngram_columns(MOST_NGRAMS))


def is_scratch(name: str) -> bool:
    """Whether a column only carries values between two stages of this room."""
    return name in SCRATCH or name == _TABLE or name.startswith(_TARGET)


def text_pipeline(settings: Prepare) -> Pipeline:
    """Stages that need nothing learnt: clean text and words."""
    return Pipeline(
        stages=[
            TextCleaner(inputCol=TEXT, outputCol=CLEAN_TEXT),
            WordTokenizer(inputCol=CLEAN_TEXT, outputCol=TOKENS, language=settings.language),
        ]
    )


def feature_pipeline(columns: Columns, settings: Prepare) -> Pipeline:
    """Stages that learn from training rows: TF-IDF of the words, encoding of the structured columns."""
    stages: list[Estimator[Any] | Transformer] = []
    if columns.text and settings.tfidf_features:
        counts, weighted = SCRATCH[:2]
        terms = TOKENS
        if settings.tfidf_ngrams > 1:
            stages += ngram_stages(TOKENS, settings.tfidf_ngrams)
            terms = TERMS
        stages += [
            WordCounter(
                inputCol=terms,
                outputCol=counts,
                vocabSize=settings.tfidf_features,
                minRows=settings.tfidf_min_rows,
            ),
            IDF(inputCol=counts, outputCol=weighted),
            # Unit length, so that a long text does not weigh more than a short one.
            Normalizer(inputCol=weighted, outputCol=TFIDF_BLOCK, p=2.0),
        ]
    if columns.numeric or columns.categorical or columns.dates:
        stages += _table_stages(columns, settings)
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


def _table_stages(columns: Columns, settings: Prepare) -> list[Estimator[Any] | Transformer]:
    table = settings.table
    encoded = columns.categorical if table.rare == "target" else []
    stages: list[Estimator[Any] | Transformer] = [
        TableEncoder(
            numericCols=number_columns(columns, settings),
            categoricalCols=columns.categorical,
            maxCategories=settings.max_categories,
            hashBuckets=table.hash_buckets if table.rare == "hash" else 0,
            clipShare=table.clip,
            maxSkew=table.skew,
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


_TABLE, _TARGET = "__table", "__target"
