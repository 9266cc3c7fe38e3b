"""Spark stages that part a text into words: the light tokenizer, and the tagger of parts of speech."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, Protocol

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from fusionspark.columns import CLEAN_TEXT, POS_SHARES, POS_TAGS, TOKENS, WORDS
from fusionspark.errors import ConfigError
from fusionspark.prepare import tagging
from fusionspark.prepare.python_steps import Values, Work, together
from fusionspark.prepare.universal_pos import tag_shares
from fusionspark.prepare.words import SEGMENTERS, english_words


class Monitor(Protocol):
    """Anything that takes a dict of counters; a Spark accumulator does."""

    def add(self, term: dict[str, Any]) -> None:
        """Take one more dict of counters."""
        ...


class _LanguageParams(HasInputCol, HasOutputCol):
    _input_kwargs: dict[str, Any]

    language: Param[str] = Param(
        Params._dummy(), "language", "language of all texts: en or zh", TypeConverters.toString
    )
    languageCol: Param[str] = Param(
        Params._dummy(), "languageCol", "column with the language of each text; empty: none",
        TypeConverters.toString,
    )  # fmt: skip

    def getLanguage(self) -> str:
        """Language of all texts, where no column says it."""
        return self.getOrDefault(self.language)

    def getLanguageCol(self) -> str:
        """Column with the language of each text; empty: `language` is that of all."""
        return self.getOrDefault(self.languageCol)

    def reads(self) -> list[str]:
        """The text, and its language where a column says it."""
        return [name for name in (self.getInputCol(), self.getLanguageCol()) if name]

    def _languages(self) -> Callable[[Values], list[str | None]]:
        """Function that gives the language of every row."""
        source, column, language = self.getInputCol(), self.getLanguageCol(), self.getLanguage()
        if column:
            return lambda values: values[column]
        if language not in SEGMENTERS:
            raise ConfigError("language", f"{language!r} is unknown", allowed=", ".join(SEGMENTERS))
        return lambda values: [language] * len(values[source])


class WordTokenizer(Transformer, _LanguageParams, DefaultParamsReadable, DefaultParamsWritable):
    """Adds the words of a text as an array; empty where there is no text.

    Params
    ------
    language : str
        ``en`` or ``zh``.
    languageCol : str
        Column with the language of each text, instead; languages other than Chinese are parted as English is.
    """

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str = CLEAN_TEXT,
        outputCol: str = TOKENS,
        language: str = "en",
        languageCol: str = "",
    ) -> None:
        super().__init__()
        self._set(inputCol=inputCol, outputCol=outputCol, language=language, languageCol=languageCol)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str = CLEAN_TEXT,
        outputCol: str = TOKENS,
        language: str = "en",
        languageCol: str = "",
    ) -> WordTokenizer:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def writes(self) -> dict[str, str]:
        """The words."""
        return {self.getOutputCol(): "array<string>"}

    def work(self) -> Work:
        """Part every text into words."""
        source, target, languages = self.getInputCol(), self.getOutputCol(), self._languages()

        def parted(values: Values) -> Values:
            pairs = zip(values[source], languages(values), strict=True)
            return {target: [_segment(text, language) for text, language in pairs]}

        return parted

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return together(dataset, [self])


def _segment(text: str | None, language: str | None) -> list[str]:
    return SEGMENTERS.get(language or "", english_words)(text) if text else []


class WordTagger(Transformer, _LanguageParams, DefaultParamsReadable, DefaultParamsWritable):
    """Tags parts of speech (`fusionspark.prepare.tagging`): spaCy for English, jieba for Chinese.

    Adds the dictionary forms of the words that carry content, in lower case (``outputCol``), all words as
    they stand there (``words``), their Universal POS tags (``pos_tags``) and the share of each of the 17 tags
    (``pos_shares``, in the order of `universal_pos.UNIVERSAL_TAGS`). Empty, and shares of 0, without text.

    Params
    ------
    language : str
        ``en`` or ``zh``.
    languageCol : str
        Column with the language of each text, instead. Words of other languages are tagged ``X``.

    Attributes
    ----------
    monitor : Monitor or None
        Told ``tagger_loads`` and ``workers`` (names of the processes); not saved.
    """

    monitor: Monitor | None = None

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str = CLEAN_TEXT,
        outputCol: str = TOKENS,
        language: str = "en",
        languageCol: str = "",
    ) -> None:
        super().__init__()
        self._set(inputCol=inputCol, outputCol=outputCol, language=language, languageCol=languageCol)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str = CLEAN_TEXT,
        outputCol: str = TOKENS,
        language: str = "en",
        languageCol: str = "",
    ) -> WordTagger:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def writes(self) -> dict[str, str]:
        """Content lemmas, words, tags and their shares."""
        lists = dict.fromkeys((self.getOutputCol(), WORDS, POS_TAGS), "array<string>")
        return {**lists, POS_SHARES: "array<double>"}

    def work(self) -> Work:
        """Tag every text."""
        source, target, languages = self.getInputCol(), self.getOutputCol(), self._languages()
        monitor = self.monitor
        # Said on the driver, before a job starts.
        tagging.check_installed(["en", "zh"] if self.getLanguageCol() else [self.getLanguage()])

        def tagged(values: Values) -> Values:
            before = tagging.loads()
            found = tagging.tag_texts(values[source], languages(values))
            if monitor is not None:
                worker = f"{socket.gethostname()}:{os.getpid()}"
                monitor.add({"tagger_loads": tagging.loads() - before, "workers": [worker]})
            return {
                target: [one.content() for one in found],
                WORDS: [one.words for one in found],
                POS_TAGS: [one.tags for one in found],
                POS_SHARES: [tag_shares(one.tags) for one in found],
            }

        return tagged

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return together(dataset, [self])
