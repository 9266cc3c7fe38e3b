"""TF-IDF of words that are in Python already: what MLlib's fitted stages do, without the way to the JVM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


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
    """

    places: dict[str, int]
    idf: npt.NDArray[np.float64]
    longest: int = 1

    def matrix(self, texts: Sequence[Sequence[str]]) -> Any:
        """Counts times idf, rows of unit length (or zero), as a scipy CSR matrix of float64.

        Parameters
        ----------
        texts : sequence of sequence of str
            The words of each text.
        """
        from scipy import sparse

        starts, columns = [0], list[int]()
        for words in texts:
            columns += [self.places[term] for term in _terms(words, self.longest) if term in self.places]
            starts.append(len(columns))
        counts = sparse.csr_matrix(
            (np.ones(len(columns)), np.array(columns, dtype=np.int32), np.array(starts)),
            shape=(len(texts), len(self.idf)),
        )
        counts.sum_duplicates()
        counts.data *= self.idf[counts.indices]
        norms = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        # A text without known terms stays zero, as MLlib's Normalizer leaves it.
        counts.data /= np.repeat(np.where(norms > 0, norms, 1.0), np.diff(counts.indptr))
        return counts


def _terms(words: Sequence[str], longest: int) -> Iterator[str]:
    yield from words
    for n in range(2, longest + 1):
        for start in range(len(words) - n + 1):
            yield " ".join(words[start : start + n])


def tfidf_of(stages: Sequence[Any]) -> TfIdf | None:
    """The TF-IDF that fitted stages of `prepare.stages.feature_pipeline` make; None where they make none."""
    from pyspark.ml.feature import CountVectorizerModel, IDFModel, NGram

    counter = next((stage for stage in stages if isinstance(stage, CountVectorizerModel)), None)
    if counter is None:
        return None
    idf = next(stage for stage in stages if isinstance(stage, IDFModel)).idf.toArray()
    longest = max([1, *[stage.getN() for stage in stages if isinstance(stage, NGram)]])
    return TfIdf({term: i for i, term in enumerate(counter.vocabulary)}, idf, longest)
