"""The stages of prepare, in order, as one `pyspark.ml.Pipeline`."""

from __future__ import annotations

from typing import Any

from pyspark.ml import Estimator, Pipeline, Transformer
from pyspark.ml.feature import IDF, Normalizer

from fusionspark.columns import CLEAN_TEXT, TABLE_BLOCK, TEXT, TFIDF_BLOCK, TOKENS
from fusionspark.config import Columns, Prepare
from fusionspark.prepare.ngrams import MOST_NGRAMS, TERMS, ngram_columns, ngram_stages
from fusionspark.prepare.table_encoder import TableEncoder
from fusionspark.prepare.text_stages import TextCleaner, WordTokenizer
from fusionspark.prepare.vocabulary import WordCounter

#: Columns that only carry values between two stages of this room.
SCRATCH = ("__counts", "__weighted", *ngram_columns(MOST_NGRAMS))


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
    if columns.numeric or columns.categorical:
        stages.append(
            TableEncoder(
                numericCols=columns.numeric,
                categoricalCols=columns.categorical,
                maxCategories=settings.max_categories,
                outputCol=TABLE_BLOCK,
            )
        )
    return Pipeline(stages=stages)
