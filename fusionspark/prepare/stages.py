"""The stages of prepare, in order."""

from __future__ import annotations

from typing import Any

from pyspark.ml import Estimator, Pipeline, Transformer
from pyspark.ml.feature import IDF, Normalizer, SQLTransformer

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
    TFIDF_BLOCK,
    TOKENS,
    WORDS,
)
from fusionspark.config import Columns, Prepare
from fusionspark.prepare.ngrams import MOST_NGRAMS, TERMS, ngram_columns, ngram_stages
from fusionspark.prepare.python_steps import PythonStep
from fusionspark.prepare.table_encoder import TableEncoder
from fusionspark.prepare.text_stages import LanguageDetector, LengthCounter, TextCleaner
from fusionspark.prepare.universal_pos import UNIVERSAL_TAGS
from fusionspark.prepare.vocabulary import WordCounter
from fusionspark.prepare.word_stages import Monitor, WordTagger, WordTokenizer

#: Shares of parts of speech as features of their own; named as a reader of the report would.
_SHARES = {tag: f"share of {tag}" for tag in UNIVERSAL_TAGS}
#: Columns that only carry values between two stages of this room.
_COUNTS, _WEIGHTED = "__counts", "__weighted"
SCRATCH = (_COUNTS, _WEIGHTED, *ngram_columns(MOST_NGRAMS), *_SHARES.values())


def text_cleaner(settings: Prepare) -> TextCleaner:
    """The first of the stages, alone."""
    return TextCleaner(
        inputCol=TEXT, outputCol=CLEAN_TEXT, foldWidth=settings.fold_width, mask=list(settings.mask)
    )


def text_steps(settings: Prepare, monitor: Monitor | None = None) -> list[PythonStep]:
    """Stages that need nothing learnt: clean text; language, words, tags and lengths as far as asked for.

    `python_steps.together` applies them in one pass; each is a stage of its own as well. ``monitor`` is told
    how often taggers are loaded.
    """
    steps: list[PythonStep] = [text_cleaner(settings)]
    detected = settings.language == "auto"
    if detected:
        steps.append(LanguageDetector(inputCol=CLEAN_TEXT, outputCol=LANGUAGE))
    languages = {"languageCol": LANGUAGE} if detected else {"language": settings.language}
    if settings.pos_tags:
        tagger = WordTagger(inputCol=CLEAN_TEXT, outputCol=TOKENS, **languages)
        tagger.monitor = monitor
        steps.append(tagger)
    else:
        steps.append(WordTokenizer(inputCol=CLEAN_TEXT, outputCol=TOKENS, **languages))
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
        terms = TOKENS
        if settings.tfidf_ngrams > 1:
            stages += ngram_stages(TOKENS, settings.tfidf_ngrams)
            terms = TERMS
        stages += [
            WordCounter(
                inputCol=terms,
                outputCol=_COUNTS,
                vocabSize=settings.tfidf_features,
                minRows=settings.tfidf_min_rows,
            ),
            IDF(inputCol=_COUNTS, outputCol=_WEIGHTED),
            # Unit length, so that a long text does not weigh more than a short one.
            Normalizer(inputCol=_WEIGHTED, outputCol=TFIDF_BLOCK, p=2.0),
        ]
    held = statistics_columns(columns, settings)
    statistics = [name for names in held.values() for name in names]
    if POS_SHARES in held:
        stages.append(_shares_apart())
    beside = settings.text_statistics == "table"
    if statistics and not beside:
        stages.append(TableEncoder(numericCols=statistics, outputCol=STATISTICS_BLOCK))
    numeric = [*columns.numeric, *(statistics if beside else [])]
    if numeric or columns.categorical:
        stages.append(
            TableEncoder(
                numericCols=numeric,
                categoricalCols=columns.categorical,
                maxCategories=settings.max_categories,
                outputCol=TABLE_BLOCK,
            )
        )
    return Pipeline(stages=stages)
