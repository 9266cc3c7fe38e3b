"""Spark stages around the pure text rules: cleaning and masking, language, sentences, lengths."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from typing import Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from fusionspark.columns import (
    CLEAN_TEXT,
    LANGUAGE,
    MASKED,
    N_CHARS,
    N_SENTENCES,
    N_WORDS,
    TEXT,
    TEXT_BREAK,
    TOKENS,
)
from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.prepare.language import detect_language
from fusionspark.prepare.masking import RULES, repair
from fusionspark.prepare.python_steps import Values, Work, together
from fusionspark.prepare.sentences import split_sentences
from fusionspark.prepare.text_rules import by_column, clean, in_rows


class TextCleaner(Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Adds the cleaned text (`fusionspark.prepare.text_rules.clean`); null where there is none.

    Params
    ------
    foldWidth : bool
        Full-width letters and digits become plain ones.
    mask : list of str
        Kinds of personal data that become placeholders (`fusionspark.prepare.masking`).
    textColumns : int
        Columns that the text was joined from, with `columns.TEXT_BREAK` between them. Each is cleaned by
        itself, and joined likewise.
    maskedCol : str
        Receives ``map<string,int>``, how often each kind was masked; only where ``mask`` is not empty.
    """

    _input_kwargs: dict[str, Any]
    foldWidth: Param[bool] = Param(
        Params._dummy(), "foldWidth", "full-width letters and digits become plain", TypeConverters.toBoolean
    )
    mask: Param[list[str]] = Param(
        Params._dummy(), "mask", "kinds of personal data that are masked", TypeConverters.toListString
    )
    textColumns: Param[int] = Param(
        Params._dummy(), "textColumns", "columns that the text was joined from", TypeConverters.toInt
    )
    maskedCol: Param[str] = Param(
        Params._dummy(), "maskedCol", "column of the counts of masked data", TypeConverters.toString
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str = TEXT,
        outputCol: str = CLEAN_TEXT,
        foldWidth: bool = False,
        mask: list[str] | None = None,
        maskedCol: str = MASKED,
        textColumns: int = 1,
    ) -> None:
        super().__init__()
        self._set(
            inputCol=inputCol, outputCol=outputCol, foldWidth=foldWidth, mask=mask or [], maskedCol=maskedCol,
            textColumns=textColumns,
        )  # fmt: skip

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str = TEXT,
        outputCol: str = CLEAN_TEXT,
        foldWidth: bool = False,
        mask: list[str] | None = None,
        maskedCol: str = MASKED,
        textColumns: int = 1,
    ) -> TextCleaner:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def getFoldWidth(self) -> bool:
        """Whether full-width letters and digits become plain ones."""
        return self.getOrDefault(self.foldWidth)

    def getMask(self) -> list[str]:
        """Kinds of personal data that are masked."""
        return self.getOrDefault(self.mask)

    def getTextColumns(self) -> int:
        """Number of columns that the text was joined from."""
        return self.getOrDefault(self.textColumns)

    def getMaskedCol(self) -> str:
        """Column of the counts of masked data."""
        return self.getOrDefault(self.maskedCol)

    def reads(self) -> list[str]:
        """The text."""
        return [self.getInputCol()]

    def writes(self) -> dict[str, str]:
        """The cleaned text, and what was masked."""
        masked = {self.getMaskedCol(): "map<string,int>"} if self.getMask() else {}
        return {self.getOutputCol(): "string", **masked}

    def work(self) -> Work:
        """Clean and mask every text."""
        fold, kinds = self.getFoldWidth(), self.getMask()
        source, target, counts = self.getInputCol(), self.getOutputCol(), self.getMaskedCol()
        columns = self.getTextColumns()
        for kind in kinds:
            if kind not in RULES:
                raise ConfigError("mask", f"{kind!r} is unknown", allowed=", ".join(RULES))

        def cleaned(values: Values) -> Values:
            parts = [part for text in values[source] for part in by_column(text, columns)]
            if kinds:
                found = [repair(part, fold=fold, kinds=kinds) for part in parts]
            else:
                found = [(clean(part, fold=fold), {}) for part in parts]
            rows = in_rows(found, columns)
            texts = [[text or "" for text, _ in row] for row in rows]
            made = {target: [TEXT_BREAK.join(row) if any(row) else None for row in texts]}
            if not kinds:
                return made
            masked = [sum((Counter(count) for _, count in row), Counter[str]()) for row in rows]
            return {**made, counts: [dict(count) for count in masked]}

        return cleaned

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return together(dataset, [self])


class LanguageDetector(Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Adds the language of a text (`fusionspark.prepare.language.detect_language`); null without text."""

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(self, *, inputCol: str = CLEAN_TEXT, outputCol: str = LANGUAGE) -> None:
        super().__init__()
        self._set(inputCol=inputCol, outputCol=outputCol)

    @keyword_only
    def setParams(self, *, inputCol: str = CLEAN_TEXT, outputCol: str = LANGUAGE) -> LanguageDetector:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def reads(self) -> list[str]:
        """The text."""
        return [self.getInputCol()]

    def writes(self) -> dict[str, str]:
        """The language."""
        return {self.getOutputCol(): "string"}

    def work(self) -> Work:
        """Detect the language of every text."""
        source, target = self.getInputCol(), self.getOutputCol()
        # Said on the driver, before a job starts.
        if find_spec("py3langid") is None:
            raise MissingExtraError("py3langid", "nlp", "finding out the language of a text")

        def detected(values: Values) -> Values:
            return {target: [detect_language(text) if text else None for text in values[source]]}

        return detected

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return together(dataset, [self])


class SentenceSplitter(Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Adds the sentences of a text (`split_sentences`) as an array; empty where there is no text."""

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(self, *, inputCol: str = CLEAN_TEXT, outputCol: str = "sentences") -> None:
        super().__init__()
        self._set(inputCol=inputCol, outputCol=outputCol)

    @keyword_only
    def setParams(self, *, inputCol: str = CLEAN_TEXT, outputCol: str = "sentences") -> SentenceSplitter:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def reads(self) -> list[str]:
        """The text."""
        return [self.getInputCol()]

    def writes(self) -> dict[str, str]:
        """The sentences."""
        return {self.getOutputCol(): "array<string>"}

    def work(self) -> Work:
        """Part every text into sentences."""
        source, target = self.getInputCol(), self.getOutputCol()

        def parted(values: Values) -> Values:
            return {target: [split_sentences(text or "") for text in values[source]]}

        return parted

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return together(dataset, [self])


class LengthCounter(Transformer, HasInputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Adds the numbers of characters, words and sentences of a text; 0 where there is none.

    Params
    ------
    inputCol : str
        The text.
    wordsCol : str
        ``array<string>``, its words.
    """

    _input_kwargs: dict[str, Any]
    wordsCol: Param[str] = Param(
        Params._dummy(), "wordsCol", "column with the words of the text", TypeConverters.toString
    )

    @keyword_only
    def __init__(self, *, inputCol: str = CLEAN_TEXT, wordsCol: str = TOKENS) -> None:
        super().__init__()
        self._set(inputCol=inputCol, wordsCol=wordsCol)

    @keyword_only
    def setParams(self, *, inputCol: str = CLEAN_TEXT, wordsCol: str = TOKENS) -> LengthCounter:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def getWordsCol(self) -> str:
        """Column with the words of the text."""
        return self.getOrDefault(self.wordsCol)

    def reads(self) -> list[str]:
        """The text and its words."""
        return [self.getInputCol(), self.getWordsCol()]

    def writes(self) -> dict[str, str]:
        """Three counts."""
        return dict.fromkeys((N_CHARS, N_WORDS, N_SENTENCES), "int")

    def work(self) -> Work:
        """Count characters, words and sentences of every text."""
        source, words = self.getInputCol(), self.getWordsCol()

        def counted(values: Values) -> Values:
            texts = [text or "" for text in values[source]]
            return {
                N_CHARS: [len(text) for text in texts],
                N_WORDS: [0 if found is None else len(found) for found in values[words]],
                N_SENTENCES: [len(split_sentences(text)) for text in texts],
            }

        return counted

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return together(dataset, [self])
