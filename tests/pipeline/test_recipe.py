"""A partition through the recipe of one pass, without Spark: what comes out can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyspark import cloudpickle

from fusionspark import columns as c
from fusionspark.fuse.blocks import Block
from fusionspark.mine.array_scores import LinearScores, PerceptronScores
from fusionspark.pipeline.one_pass.recipe import FIXED, Recipe, partition_scorer
from fusionspark.prepare.tfidf_rows import TfIdf
from fusionspark.represent.loading import EngineSettings, build_engine


def _cleaned(values: dict) -> dict:
    return {c.CLEAN_TEXT: [text and " ".join(text.split()) for text in values[c.TEXT]]}


def _words(values: dict) -> dict:
    return {c.TOKENS: [text.lower().split() if text else [] for text in values[c.CLEAN_TEXT]]}


STEPS = (_cleaned, _words)
TEXTS = ["The  cat sat", None, "the dog", "cat cat dog"]


class Given:
    """Stands for the broadcast."""

    def __init__(self, recipe: Recipe) -> None:
        self.value = cloudpickle.dumps(recipe)


class Told:
    def __init__(self) -> None:
        self.counters: list[dict] = []

    def add(self, term: dict) -> None:
        self.counters.append(term)


def recipe(model, **changes) -> Recipe:
    tfidf = {c.TFIDF_BLOCK: TfIdf({"cat": 0, "dog": 1}, np.array([1.0, 2.0]))}
    blocks = (
        Block(c.EMBEDDING, 16, 1.0, tuple([0.1] * 16), 2.0, 9, 0),
        Block(c.TFIDF_BLOCK, 2, 0.5, None, 1.0, 9, 0),
        Block(c.TABLE_BLOCK, 2, 1.0, (1.0, 3.0), 1.0, 9, 0, constant=(1,)),
    )
    weights = np.linspace(-1, 1, 23)[:, None]
    given = {
        "steps": STEPS, "tfidf": tfidf, "engine": EngineSettings(model=str(model)), "window": 3,
        "blocks": blocks, "scale": True, "indicator": True, "components": None, "say": None, "folds": False,
        "scorers": {"first": LinearScores(weights, np.array([0.5]), probabilities=False)}, "own": "",
        "classes": 2, **changes,
    }  # fmt: skip
    return Recipe(**given)


def batches() -> list[pa.RecordBatch]:
    table = pa.table(
        {
            c.ROW_ID: ["a", "b", "c", "d"],
            c.LABEL: [None, "x", None, "y"],
            c.TEXT: TEXTS,
            c.TABLE_BLOCK: pa.array([[1.0, 3.0], [2.0, 9.0], None, [0.0, 3.0]], pa.list_(pa.float64())),
        },
        schema=pa.schema([(c.ROW_ID, pa.string()), (c.LABEL, pa.string()), (c.TEXT, pa.string()),
                          (c.TABLE_BLOCK, pa.list_(pa.float64()))]),
    )  # fmt: skip
    return table.to_batches(max_chunksize=2)


def run(made: Recipe, told: Told | None = None) -> pa.Table:
    return pa.Table.from_batches(partition_scorer(Given(made), told or Told())(batches()))


def test_margins_by_hand(tiny_bert):
    told = Told()
    found = run(recipe(tiny_bert), told)
    assert found.column_names == [*FIXED, "first"]
    assert found.column(c.ROW_ID).to_pylist() == ["a", "b", "c", "d"], "the order of the rows is kept"
    assert found.column(c.LABEL).to_pylist() == [None, "x", None, "y"]
    assert found.column(c.STATUS).to_pylist() == ["ok", "empty", "ok", "ok"]
    assert found.column(c.CLEAN_TEXT).to_pylist() == [None] * 4, "texts come back only where the model failed"
    assert sum(one["texts_encoded"] for one in told.counters) == 3

    vectors = build_engine(EngineSettings(model=str(tiny_bert))).encode(
        ["The cat sat", "the dog", "cat cat dog"]
    )
    embedding = np.zeros((4, 17))
    embedding[[0, 2, 3], :16] = (vectors.embeddings - 0.1) / 2.0
    embedding[1, 16] = 1.0
    norm = np.hypot(2, 2)
    tfidf = np.array([[1.0, 0, 0], [0, 0, 0], [0, 1.0, 0], [2 / norm, 2 / norm, 0]]) * 0.5
    table = np.array([[0.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0], [-1.0, 0, 0]])
    margins = np.hstack([embedding, tfidf, table]) @ np.linspace(-1, 1, 23) + 0.5
    scores = np.array(found.column("first").to_pylist())
    assert scores == pytest.approx(np.stack([-margins, margins], axis=1), abs=1e-6)


def test_a_reduced_embedding_and_a_method_that_answers_by_itself(tiny_bert):
    components = np.eye(2, 16)
    blocks = (Block(c.EMBEDDING, 2, 1.0, (0.0, 0.0), 1.0, 9, 0),)
    layers = ((np.eye(3), np.zeros(3)), (np.eye(3, 2), np.array([0.0, 1.0])))
    network = {"second": PerceptronScores(layers)}
    made = recipe(
        tiny_bert, components=components, blocks=blocks, say=_twice, own="own", classes=3, scorers=network
    )
    found = run(made)
    assert found.column_names == [*FIXED, "own", "second"]
    own = np.array(found.column("own").to_pylist())
    encoded = build_engine(EngineSettings(model=str(tiny_bert))).encode(["The cat sat"]).embeddings[0, :2]
    assert own[0] == pytest.approx([*encoded, 0.0], abs=1e-6)
    assert own[1].tolist() == [0.0, 0.0, 1.0], "without text the block is missing"
    hidden = 1 / (1 + np.exp(-own))
    raised = np.exp(hidden[:, :2] + [0.0, 1.0])
    expected = raised / raised.sum(axis=1, keepdims=True)
    assert np.array(found.column("second").to_pylist()) == pytest.approx(expected, abs=1e-6)


def _twice(rows):
    return np.hstack([rows.toarray(), rows.toarray()])


def test_rows_without_an_embedding_load_no_model():
    blocks = (Block(c.TABLE_BLOCK, 2, 1.0, (1.0, 3.0), 1.0, 9, 0),)
    weights = LinearScores(np.array([[1.0], [0.0], [10.0]]), np.zeros(1), probabilities=True)
    told = Told()
    found = run(recipe("no model", engine=None, blocks=blocks, scorers={"p": weights}), told)
    second = [row[1] for row in found.column("p").to_pylist()]
    assert second == pytest.approx([0.5, 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-10)), 1 / (1 + np.exp(1))])
    assert told.counters == []
    assert list(partition_scorer(Given(recipe("no model")), told)([])) == [], "nor do no rows"
