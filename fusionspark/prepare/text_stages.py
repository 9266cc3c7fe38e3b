"""Spark stages around the pure text rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from fusionspark.columns import CLEAN_TEXT, TEXT, TOKENS
from fusionspark.errors import ConfigError
from fusionspark.prepare.text_rules import clean
from fusionspark.prepare.words import SEGMENTERS


class TextCleaner(Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Adds the cleaned text (`fusionspark.prepare.text_rules.clean`); null where there is none."""

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(self, *, inputCol: str = TEXT, outputCol: str = CLEAN_TEXT) -> None:
        super().__init__()
        self._set(inputCol=inputCol, outputCol=outputCol)

    @keyword_only
    def setParams(self, *, inputCol: str = TEXT, outputCol: str = CLEAN_TEXT) -> TextCleaner:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        @pandas_udf("string")  # type: ignore[call-overload]
        def cleaned(parts: Iterator[pd.Series]) -> Iterator[pd.Series]:
            for texts in parts:
                yield texts.map(clean, na_action="ignore").astype(object)

        return dataset.withColumn(self.getOutputCol(), cleaned(F.col(self.getInputCol())))


class WordTokenizer(Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Adds the words of a text as an array; empty where there is no text.

    Params
    ------
    language : str
        ``en`` or ``zh``.
    """

    _input_kwargs: dict[str, Any]
    language: Param[str] = Param(
        Params._dummy(), "language", "language of the text: en or zh", TypeConverters.toString
    )

    @keyword_only
    def __init__(self, *, inputCol: str = CLEAN_TEXT, outputCol: str = TOKENS, language: str = "en") -> None:
        super().__init__()
        self._set(inputCol=inputCol, outputCol=outputCol, language=language)

    @keyword_only
    def setParams(
        self, *, inputCol: str = CLEAN_TEXT, outputCol: str = TOKENS, language: str = "en"
    ) -> WordTokenizer:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def getLanguage(self) -> str:
        """Language of the text."""
        return self.getOrDefault(self.language)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        language = self.getLanguage()
        if language not in SEGMENTERS:
            raise ConfigError("language", f"{language!r} is unknown", allowed=", ".join(SEGMENTERS))

        @pandas_udf("array<string>")  # type: ignore[call-overload]
        def words(parts: Iterator[pd.Series]) -> Iterator[pd.Series]:
            segment = SEGMENTERS[language]
            for texts in parts:
                yield texts.map(lambda text: segment(text) if text else [])

        return dataset.withColumn(self.getOutputCol(), words(F.col(self.getInputCol())))
