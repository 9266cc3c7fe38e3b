"""The vocabulary of TF-IDF, the same one for the same rows."""

from __future__ import annotations

from typing import Any

from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.ml.feature import CountVectorizerModel
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


class WordCounter(
    Estimator[CountVectorizerModel],
    HasInputCol,
    HasOutputCol,
    DefaultParamsReadable,
    DefaultParamsWritable,
):
    """MLlib's CountVectorizer with ties broken by name; `fit` returns MLlib's own model.

    CountVectorizer orders equally frequent words by the order in which they arrive, so two runs over the same
    rows end with different vocabularies wherever the cut falls among equals. Here words are taken by
    occurrences, most first, then alphabetically.

    Parameters
    ----------
    inputCol : str
        ``array<string>``.
    outputCol : str
        Receives a sparse vector of counts, ``vocabSize`` wide at most.
    vocabSize : int
        Words that are kept.
    minRows : int
        Rows in which a word must occur.
    """

    _input_kwargs: dict[str, Any]
    vocabSize: Param[int] = Param(Params._dummy(), "vocabSize", "words that are kept", TypeConverters.toInt)
    minRows: Param[int] = Param(
        Params._dummy(), "minRows", "rows in which a word must occur", TypeConverters.toInt
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str = "tokens",
        outputCol: str = "counts",
        vocabSize: int = 2000,
        minRows: int = 2,
    ) -> None:
        super().__init__()
        self._set(inputCol=inputCol, outputCol=outputCol, vocabSize=vocabSize, minRows=minRows)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str = "tokens",
        outputCol: str = "counts",
        vocabSize: int = 2000,
        minRows: int = 2,
    ) -> WordCounter:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def getVocabSize(self) -> int:
        """Words that are kept."""
        return self.getOrDefault(self.vocabSize)

    def getMinRows(self) -> int:
        """Rows in which a word must occur."""
        return self.getOrDefault(self.minRows)

    def _fit(self, dataset: DataFrame) -> CountVectorizerModel:
        words = F.col(f"`{self.getInputCol()}`")
        row = F.monotonically_increasing_id()
        counts = (
            dataset.select(words.alias("words"), row.alias("row"))
            .select(F.explode("words").alias("word"), "row")
            .groupBy("word", "row")
            .count()
            .groupBy("word")
            .agg(F.sum("count").alias("occurrences"), F.count("*").alias("rows"))
        )
        kept = (
            counts.where(F.col("rows") >= self.getMinRows())
            .orderBy(F.desc("occurrences"), "word")
            .limit(self.getVocabSize())
            .collect()
        )
        # MLlib refuses an empty vocabulary; a word that no tokenizer makes gives every text an empty vector.
        vocabulary = [found["word"] for found in kept] or [" "]
        return CountVectorizerModel.from_vocabulary(
            vocabulary, inputCol=self.getInputCol(), outputCol=self.getOutputCol()
        )
