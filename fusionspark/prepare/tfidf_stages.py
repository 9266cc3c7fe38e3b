"""TF-IDF by MLlib's own stages: of all words and runs of words, and of those of each text column."""

from __future__ import annotations

from typing import Any

from pyspark.ml.feature import IDF, NGram, Normalizer, SQLTransformer

from fusionspark.columns import COLUMN_WORDS, TOKENS, tfidf_blocks
from fusionspark.config import Prepare
from fusionspark.prepare.vocabulary import WordCounter

#: Start of the names of columns that only carry values between two of these stages.
SCRATCH = "__tfidf_"


def tfidf_stages(columns: int, settings: Prepare) -> list[Any]:
    """Return stages that write the blocks of `tfidf_blocks` from the words of ``columns`` text columns.

    A word of a title is another one than that of a text below it, and has a frequency of its own. Beside the
    block of all words, each of several columns therefore has one, with its own vocabulary.
    """
    whole, *parts = tfidf_blocks(columns)
    if not parts:
        return _of_column(TOKENS, whole, settings)
    words = [f"{SCRATCH}words_{i}" for i in range(columns)]
    starts = [" + ".join(["1", *[f"{COLUMN_WORDS}[{k}]" for k in range(i)]]) for i in range(columns)]
    slices = [
        f"slice({TOKENS}, {start}, {COLUMN_WORDS}[{i}]) AS {name}"
        for i, (start, name) in enumerate(zip(starts, words, strict=True))
    ]
    stages: list[Any] = [SQLTransformer(statement=f"SELECT *, {', '.join(slices)} FROM __THIS__")]
    for name, block in zip([TOKENS, *words], [whole, *parts], strict=True):
        stages += _of_column(name, block, settings)
    return stages


def _of_column(words: str, block: str, settings: Prepare) -> list[Any]:
    """Return stages that write ``block`` from the words of one column."""
    stages: list[Any] = []
    terms, longest = words, settings.tfidf_ngrams
    if longest > 1:
        runs = [f"{SCRATCH}{n}_{words}" for n in range(2, longest + 1)]
        stages += [NGram(n=n, inputCol=words, outputCol=name) for n, name in enumerate(runs, 2)]
        terms = f"{SCRATCH}terms_{words}"
        joined = ", ".join(f"`{name}`" for name in [words, *runs])
        stages.append(SQLTransformer(statement=f"SELECT *, concat({joined}) AS `{terms}` FROM __THIS__"))
    counts, weighted = f"{SCRATCH}counts_{words}", f"{SCRATCH}weighted_{words}"
    return [
        *stages,
        WordCounter(
            inputCol=terms,
            outputCol=counts,
            vocabSize=settings.tfidf_features,
            minRows=settings.tfidf_min_rows,
        ),
        IDF(inputCol=counts, outputCol=weighted),
        # Unit length, so that a long text does not weigh more than a short one.
        Normalizer(inputCol=weighted, outputCol=block, p=2.0),
    ]
