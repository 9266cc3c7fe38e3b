"""Words beside pairs, triples, ... of words that follow each other, by MLlib's own stages."""

from __future__ import annotations

from typing import Any

#: Column that receives the words and what follows each other.
TERMS = "__terms"
#: Longest run of words that can be asked for.
MOST_NGRAMS = 3


def ngram_columns(longest: int) -> list[str]:
    """Return the columns that `ngram_stages` writes."""
    return [*[f"__{n}grams" for n in range(2, longest + 1)], TERMS]


def ngram_stages(words: str, longest: int) -> list[Any]:
    """Return stages that write `TERMS`: the words of column ``words`` and their n-grams up to ``longest``."""
    from pyspark.ml.feature import NGram, SQLTransformer

    *runs, terms = ngram_columns(longest)
    stages: list[Any] = [NGram(n=n, inputCol=words, outputCol=name) for n, name in enumerate(runs, 2)]
    joined = ", ".join([f"`{words}`", *runs])
    return [*stages, SQLTransformer(statement=f"SELECT *, concat({joined}) AS {terms} FROM __THIS__")]
