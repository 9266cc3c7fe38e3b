"""Rows as items: bins with readable names, categories, topics, key phrases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionspark.mine.items import items_of, learn_items
from fusionspark.mine.phrases import describing_terms, terms_of

SOFT, HARD = "so very soft pillow cotton touch", "the hard oak table has side effects"


def learnt(**columns):
    rows = len(next(iter(columns.values())))
    return learn_items(
        columns,
        numeric=[n for n in columns if n in ("age", "stars")],
        categorical=[n for n in columns if n == "kind"],
        tokens="tokens" if "tokens" in columns else None,
        embedding="embedding" if "embedding" in columns else None,
        bins=4,
        topics=2,
        phrases=20,
        least=max(1, rows // 20),
        seed=1,
    )


def test_numbers_and_categories():
    columns = {
        "age": np.array([*range(1, 100), np.nan]),
        "stars": np.array([1.0, 2.0] * 50),
        "kind": ["sofa"] * 60 + ["lamp"] * 38 + ["odd", None],
    }
    model = learnt(**columns)
    found = items_of(columns, model)
    assert found[0] == ["age ≤ 25", "stars = 1", "kind = sofa"]
    assert found[25] == ["25 < age ≤ 50", "stars = 2", "kind = sofa"]
    assert found[98] == ["age > 75", "stars = 1"], "a rare value is no item"
    assert found[99] == ["age is missing", "stars = 2", "kind is missing"]
    unseen = {"age": np.array([1e9, -5.0]), "stars": np.array([3.0, np.nan]), "kind": ["new", "lamp"]}
    assert items_of(unseen, model) == [["age > 75"], ["age ≤ 25", "stars is missing", "kind = lamp"]]
    assert {model.kind_of(item) for items in found for item in items} == {"table"}


def test_topics_and_phrases_of_texts():
    rng = np.random.default_rng(1)
    texts = [(SOFT if i % 2 else HARD).split() for i in range(40)]
    vectors = np.array([[1.0, 0.0] if i % 2 else [0.0, 1.0] for i in range(40)])
    vectors += rng.normal(0, 0.05, (40, 2))
    vectors[7] = np.nan
    # Words of half the texts say nothing here; a quarter of the texts has one of its own.
    own = ["oil", "silk", "x", "x"]
    columns = {"tokens": [[*words, "the", own[i % 4]] for i, words in enumerate(texts)], "embedding": vectors}
    model = learnt(**columns)
    found = items_of(columns, model, tokens="tokens", embedding="embedding", cluster=None)
    assert set(model.phrases) >= {"silk", "oil"}
    assert "text: silk" in found[1]
    assert "text: oil" in found[4]
    topics = [[item for item in items if item.startswith("topic: ")] for items in found]
    assert topics[7] == [], "no vector, no topic"
    assert len({tuple(t) for i, t in enumerate(topics) if i % 2 and i != 7}) == 1
    assert topics[0] != topics[1]
    assert model.kind_of("text: silk") == model.kind_of(model.topics[0]) == "text"
    assert model.kind_of("cluster 3") == ""


def test_pairs_of_words_stand_for_their_words():
    texts = [["side", "effects", "bad"], ["side", "effects"], ["nice"], ["kind"], ["good", "nice"], ["bad"]]
    found = describing_terms(texts, np.array([0, 0, 1, 1, 1, 1]), least=2, each=5)
    assert found[0] == ["side effects", "bad"]
    # "bad" is in 1 of 4 texts here and in 1 of 2 there: it is none of this group's.
    assert found[1] == ["nice"]
    assert describing_terms([[], []], np.array([0, -1]), least=1, each=3) == {0: []}


def test_chinese_function_words_are_no_terms():
    pytest.importorskip("jieba")
    words = ["我", "很", "喜欢", "这个", "手机", "的", "屏幕", "也", "不错", "iphone", "x"]
    assert terms_of(words) == {"喜欢", "手机", "屏幕", "不错", "iphone", "不错 iphone"}


def test_items_that_nearly_every_row_has_are_left_out():
    columns = {"kind": ["same"] * 97 + ["other"] * 3, "stars": np.array([1.0, 2.0] * 50)}
    assert items_of(columns, learnt(**columns))[0] == ["stars = 1"]


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60))
def test_every_number_has_one_item(values):
    columns = {"age": np.array(values), "kind": ["a", *[None] * (len(values) - 1)]}
    model = learnt(**columns)
    for items in items_of(columns, model):
        assert sum("age" in item for item in items) == (0 if model.left_out else 1) or model.left_out
