"""TF-IDF of words that are in Python already: what MLlib's fitted stages do, without the way to the JVM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionspark.columns import TFIDF_OF_COLUMN


@dataclass(frozen=True)
class TfIdf:
    """Fitted TF-IDF.

    Parameters
    ----------
    places : dict of str to int
        Term -> its column.
    idf : array of float64, shape (terms,)
        Inverse document frequency of each.
    longest : int
        1 for words alone, 2 with pairs of words that follow each other, 3 with triples.
    column : int, optional
        Text column whose words it reads; None: all words.
    """

    places: dict[str, int]
    idf: npt.NDArray[np.float64]
    longest: int = 1
    column: int | None = None

    def matrix(self, texts: Sequence[Sequence[str]], counts: Sequence[Sequence[int]] | None = None) -> Any:
        """Counts times idf, rows of unit length (or zero), as a scipy CSR matrix of float64.

        Parameters
        ----------
        texts : sequence of sequence of str
            The words of each text.
        counts : sequence of sequence of int, optional
            How many of them are of each text column; needed where ``column`` is one.
        """
        from scipy import sparse

        if self.column is not None:
            assert counts is not None
            starts_of = [sum(row[: self.column]) for row in counts]
            texts = [
                words[start : start + row[self.column]]
                for words, start, row in zip(texts, starts_of, counts, strict=True)
            ]

        starts, columns = [0], list[int]()
        for words in texts:
            columns += [self.places[term] for term in _terms(words, self.longest) if term in self.places]
            starts.append(len(columns))
        found = sparse.csr_matrix(
            (np.ones(len(columns)), np.array(columns, dtype=np.int32), np.array(starts)),
            shape=(len(texts), len(self.idf)),
        )
        found.sum_duplicates()
        found.data *= self.idf[found.indices]
        norms = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        # A text without known terms stays zero, as MLlib's Normalizer leaves it.
        found.data /= np.repeat(np.where(norms > 0, norms, 1.0), np.diff(found.indptr))
        return found


def _terms(words: Sequence[str], longest: int) -> Iterator[str]:
    yield from words
    for n in range(2, longest + 1):
        for start in range(len(words) - n + 1):
            yield " ".join(words[start : start + n])


def tfidf_of(stages: Sequence[Any]) -> dict[str, TfIdf]:
    """The TF-IDF that fitted stages of `prepare.stages.feature_pipeline` make, by block."""
    from pyspark.ml.feature import CountVectorizerModel, IDFModel, NGram, Normalizer

    counters = [stage for stage in stages if isinstance(stage, CountVectorizerModel)]
    weights = [stage for stage in stages if isinstance(stage, IDFModel)]
    blocks = [stage for stage in stages if isinstance(stage, Normalizer)]
    longest = max([1, *[stage.getN() for stage in stages if isinstance(stage, NGram)]])
    found = {}
    for counter, idf, block in zip(counters, weights, blocks, strict=True):
        name = block.getOutputCol()
        column = int(name.removeprefix(TFIDF_OF_COLUMN)) if name.startswith(TFIDF_OF_COLUMN) else None
        places = {term: i for i, term in enumerate(counter.vocabulary)}
        found[name] = TfIdf(places, idf.idf.toArray(), longest, column)
    return found
