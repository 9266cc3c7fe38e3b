"""Everything between the text of a row and the scores of its classes, as plain objects that workers get.

A `Recipe` is made on the driver from the models of a run and travels once; a partition of rows goes through
it in windows. It asks Spark for nothing.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fusionspark import columns as c
from fusionspark.fuse.blocks import Block
from fusionspark.fuse.fused_rows import fuse_rows
from fusionspark.mine.array_scores import Scorer
from fusionspark.mine.arrow_columns import vector_matrix
from fusionspark.prepare.python_steps import Values, Work
from fusionspark.prepare.tfidf_rows import TfIdf
from fusionspark.represent import loading
from fusionspark.represent.arrow_partition import Monitor, read_strings, report, windows
from fusionspark.represent.engine import EncodeResult
from fusionspark.represent.loading import EngineSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import Broadcast

#: Column of the fold that answers for a row, where the fusion method has folds.
FOLD = "__fold"
#: Fixed columns that come out; the text only of rows that the model failed on. Scores come after them.
FIXED = {
    c.ROW_ID: "string", c.LABEL: "string", c.STATUS: "string", c.TRUNCATED: "boolean", c.CLEAN_TEXT: "string",
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """The models of a run, ready to be applied to rows in Python.

    Parameters
    ----------
    steps : tuple of callable
        What `prepare.stages.text_steps` does to a text: clean text and words, as far as asked for.
    tfidf : mapping of str to TfIdf
        Block -> what makes it.
    engine : EngineSettings or None
        None where there is no text to embed.
    window : int
        Rows that are sorted by length together.
    blocks : tuple of Block
    scale, indicator : bool
        As the fitted fusion has it.
    components : array of shape (dimensions, width) or None
        What the embedding is reduced by.
    say : callable or None
        A learnt fusion method: (CSR matrix[, folds]) -> array; its first ``own`` columns are an answer of its
        own, the others are the features.
    scorers : mapping of str to Scorer
        Output column -> classifier.
    own : str
        Output column of the method's own answer; empty where it has none.
    classes : int
        Number of labels.
    """

    steps: tuple[Work, ...]
    tfidf: Mapping[str, TfIdf]
    engine: EngineSettings | None
    window: int
    blocks: tuple[Block, ...]
    scale: bool
    indicator: bool
    components: npt.NDArray[np.float64] | None
    say: Callable[..., Any] | None
    folds: bool
    scorers: Mapping[str, Scorer]
    own: str
    classes: int

    @property
    def ddl(self) -> str:
        """Columns that come out."""
        kinds = {**FIXED, **dict.fromkeys(self.outputs, "array<double>")}
        return ", ".join(f"{name} {kind}" for name, kind in kinds.items())

    @property
    def outputs(self) -> list[str]:
        """Columns of scores."""
        return [*([self.own] if self.own else []), *self.scorers]

    def scores(
        self, table: pa.Table, texts: Values, vectors: Any | None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Scores by output column, each of shape (rows, classes).

        Parameters
        ----------
        table : Table
            The block of structured columns and the fold, where there are any.
        texts : dict of str to list
            What the steps made of each text: ``tokens``, and of several text columns ``column_words``.
        vectors : array, shape (rows, dimensions), optional
            Their embeddings, a row of NaN where there is none.
        """
        fused = fuse_rows(
            self.blocks, self._blocks(table, texts, vectors), scale=self.scale, indicator=self.indicator
        )
        # The joined blocks, or what a learnt method makes of them.
        rows: Any = fused
        found = {}
        if self.say is not None:
            folds = [table.column(FOLD).to_numpy()] if self.folds else []
            rows = self.say(fused.csr(), *folds)
            if self.own:
                found[self.own], rows = rows[:, : self.classes], rows[:, self.classes :]
        return {**found, **{name: scorer.scores(rows) for name, scorer in self.scorers.items()}}

    def _blocks(self, table: pa.Table, texts: Values, vectors: Any | None) -> dict[str, Any]:
        given: dict[str, Any] = {}
        wanted = {block.name for block in self.blocks}
        if c.EMBEDDING in wanted:
            assert vectors is not None
            # A product with NaN is NaN: what is missing stays missing.
            given[c.EMBEDDING] = vectors if self.components is None else vectors @ self.components.T
        for name in wanted & self.tfidf.keys():
            given[name] = self.tfidf[name].matrix(texts[c.TOKENS], texts.get(c.COLUMN_WORDS))
        if c.TABLE_BLOCK in wanted:
            given[c.TABLE_BLOCK] = vector_matrix(table.column(c.TABLE_BLOCK), np.float64)
        return given


_opened: dict[str, Recipe] = {}


def _open(packed: bytes) -> Recipe:
    """The recipe in these bytes; one is kept a process."""
    key = hashlib.sha256(packed).hexdigest()
    if key not in _opened:
        _opened.clear()
        _opened[key] = pickle.loads(packed)
    return _opened[key]


def partition_scorer(
    shared: Broadcast[bytes], monitor: Monitor
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Function for ``DataFrame.mapInArrow``: row_id, label, text, blocks -> columns of `Recipe.ddl`.

    The language model is loaded once a process, as `TextEmbedder` does.

    Parameters
    ----------
    shared : Broadcast of bytes
        A `Recipe`, pickled by cloudpickle on the driver of this very job.
    monitor : Monitor
        Told the counters of every window.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        recipe = _open(shared.value)
        tables = windows(batches, recipe.window)
        first = next(tables, None)
        if first is None:
            return
        for table, values, result in _embedded(recipe, chain([first], tables), monitor):
            vectors = None if result is None else result.embeddings
            scores = recipe.scores(table, values, vectors)
            yield _batch(table, values[c.CLEAN_TEXT], result, scores)

    return run


def _embedded(
    recipe: Recipe, tables: Iterable[pa.Table], monitor: Monitor
) -> Iterator[tuple[pa.Table, Values, EncodeResult | None]]:
    def prepared() -> Iterator[tuple[tuple[pa.Table, Values], list[str | None]]]:
        for table in tables:
            values: Values = {c.TEXT: read_strings(table.column(c.TEXT))}
            for step in recipe.steps:
                values |= step(values)
            yield (table, values), values[c.CLEAN_TEXT]

    if recipe.engine is None:
        for (table, values), _ in prepared():
            yield table, values, None
        return
    before = loading.loads()
    engine = loading.build_engine(recipe.engine)
    for (table, values), result in engine.encode_ahead(prepared()):
        monitor.add(report(engine, before))
        before = loading.loads()
        yield table, values, result


def _batch(
    table: pa.Table,
    texts: list[str | None],
    result: EncodeResult | None,
    scores: Mapping[str, npt.NDArray[np.float64]],
) -> pa.RecordBatch:
    import pyarrow as pa

    status = [c.EMPTY] * len(texts) if result is None else result.status
    truncated = np.zeros(len(texts), dtype=bool) if result is None else result.truncated
    failed = [text if said == c.FAILED else None for text, said in zip(texts, status, strict=True)]
    arrays = [
        table.column(c.ROW_ID).combine_chunks(),
        table.column(c.LABEL).combine_chunks(),
        pa.array(status, pa.string()),
        pa.array(truncated),
        pa.array(failed, pa.string()),
        *[_lists(one) for one in scores.values()],
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[*FIXED, *scores])


def _lists(matrix: npt.NDArray[np.float64]) -> pa.ListArray:
    import pyarrow as pa

    rows, width = matrix.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(width))
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(matrix).reshape(-1)))
