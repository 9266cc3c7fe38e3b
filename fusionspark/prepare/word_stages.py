"""Spark stages that part a text into words: the light tokenizer, and the tagger of parts of speech."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from itertools import chain
from typing import Any, Protocol

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from fusionspark.columns import CLEAN_TEXT, COLUMN_WORDS, POS_SHARES, POS_TAGS, TOKENS, WORDS
from fusionspark.errors import ConfigError
from fusionspark.prepare import tagging
from fusionspark.prepare.python_steps import Values, Work, together
from fusionspark.prepare.text_rules import by_column, in_rows
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
    textColumns: Param[int] = Param(
        Params._dummy(), "textColumns", "columns that the text was joined from", TypeConverters.toInt
    )

    def _set_defaults(self) -> None:
        self._setDefault(inputCol=CLEAN_TEXT, outputCol=TOKENS, language="en", languageCol="", textColumns=1)

    def getLanguage(self) -> str:
        """Language of all texts, where no column says it."""
        return self.getOrDefault(self.language)

    def getLanguageCol(self) -> str:
        """Column with the language of each text; empty: `language` is that of all."""
        return self.getOrDefault(self.languageCol)

    def getTextColumns(self) -> int:
        """Number of columns that the text was joined from."""
        return self.getOrDefault(self.textColumns)

    def reads(self) -> list[str]:
        """The text, and its language where a column says it."""
        return [name for name in (self.getInputCol(), self.getLanguageCol()) if name]

    def _parts(self) -> Callable[[Values], tuple[list[str], list[str | None]]]:
        """Function that gives the texts of every column of every row, and the language of each."""
        source, columns, languages = self.getInputCol(), self.getTextColumns(), self._languages()

        def parts(values: Values) -> tuple[list[str], list[str | None]]:
            texts = [part for text in values[source] for part in by_column(text, columns)]
            return texts, [language for language in languages(values) for _ in range(columns)]

        return parts

    def _column_words(self) -> dict[str, str]:
        """What says how many words are of which column, where there are several."""
        return {COLUMN_WORDS: "array<int>"} if self.getTextColumns() > 1 else {}

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

    Where the text was joined from several columns, no words run from one into the next, and ``column_words``
    says how many each has.

    Params
    ------
    language : str
        ``en`` or ``zh``.
    languageCol : str
        Column with the language of each text, instead; languages other than Chinese are parted as English is.
    textColumns : int
        Columns that the text was joined from, with `columns.TEXT_BREAK` between them.
    """

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str = CLEAN_TEXT,
        outputCol: str = TOKENS,
        language: str = "en",
        languageCol: str = "",
        textColumns: int = 1,
    ) -> None:
        super().__init__()
        self._set_defaults()
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str = CLEAN_TEXT,
        outputCol: str = TOKENS,
        language: str = "en",
        languageCol: str = "",
        textColumns: int = 1,
    ) -> WordTokenizer:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def writes(self) -> dict[str, str]:
        """The words, and how many each column has."""
        return {self.getOutputCol(): "array<string>", **self._column_words()}

    def work(self) -> Work:
        """Part every text into words."""
        target, parts, columns = self.getOutputCol(), self._parts(), self.getTextColumns()

        def parted(values: Values) -> Values:
            found = [_segment(*part) for part in zip(*parts(values), strict=True)]
            return _with_counts({target: found}, target, columns)

        return parted

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return together(dataset, [self])


def _segment(text: str, language: str | None) -> list[str]:
    return SEGMENTERS.get(language or "", english_words)(text) if text else []


def _with_counts(lists: dict[str, list[list[str]]], words: str, columns: int) -> Values:
    """Put the lists of the columns of a row together, and say how long those named ``words`` were."""
    if columns == 1:
        return dict(lists)
    joined: Values = {
        name: [list(chain.from_iterable(row)) for row in in_rows(found, columns)]
        for name, found in lists.items()
    }
    counts = [[len(part) for part in row] for row in in_rows(lists[words], columns)]
    return {**joined, COLUMN_WORDS: counts}


class WordTagger(Transformer, _LanguageParams, DefaultParamsReadable, DefaultParamsWritable):
    """Tags parts of speech (`fusionspark.prepare.tagging`): spaCy for English, jieba for Chinese.

    Adds the dictionary forms of the words that carry content, in lower case (``outputCol``), all words as
    they stand there (``words``), their Universal POS tags (``pos_tags``) and the share of each of the 17 tags
    (``pos_shares``, in the order of `universal_pos.UNIVERSAL_TAGS`). Empty, and shares of 0, without text.
    Columns that the text was joined from are tagged by themselves; ``column_words`` counts the forms of each.

    Params
    ------
    language : str
        ``en`` or ``zh``.
    languageCol : str
        Column with the language of each text, instead. Words of other languages are tagged ``X``.
    textColumns : int
        Columns that the text was joined from, with `columns.TEXT_BREAK` between them.

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
        textColumns: int = 1,
    ) -> None:
        super().__init__()
        self._set_defaults()
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str = CLEAN_TEXT,
        outputCol: str = TOKENS,
        language: str = "en",
        languageCol: str = "",
        textColumns: int = 1,
    ) -> WordTagger:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def writes(self) -> dict[str, str]:
        """Content lemmas, words, tags and their shares."""
        lists = dict.fromkeys((self.getOutputCol(), WORDS, POS_TAGS), "array<string>")
        return {**lists, POS_SHARES: "array<double>", **self._column_words()}

    def work(self) -> Work:
        """Tag every text."""
        target, parts, columns = self.getOutputCol(), self._parts(), self.getTextColumns()
        monitor = self.monitor
        # Said on the driver, before a job starts.
        tagging.check_installed(["en", "zh"] if self.getLanguageCol() else [self.getLanguage()])

        def tagged(values: Values) -> Values:
            before = tagging.loads()
            found = tagging.tag_texts(*parts(values))
            if monitor is not None:
                worker = f"{socket.gethostname()}:{os.getpid()}"
                monitor.add({"tagger_loads": tagging.loads() - before, "workers": [worker]})
            lists = {
                target: [one.content() for one in found],
                WORDS: [one.words for one in found],
                POS_TAGS: [one.tags for one in found],
            }
            made = _with_counts(lists, target, columns)
            return {**made, POS_SHARES: [tag_shares(tags) for tags in made[POS_TAGS]]}

        return tagged

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return together(dataset, [self])
