"""Anomalies of four kinds on generated rows, each detector by hand, and models that are saved."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fusionspark.errors import DataContractError
from fusionspark.mine.anomalies.belonging import MOST_VALUES, Belonging
from fusionspark.mine.anomalies.forest import Forest
from fusionspark.mine.anomalies.model import ELSEWHERE, NUMBERS, AnomalyModel, smallest
from fusionspark.mine.anomalies.peers import Peers
from fusionspark.mine.anomalies.rarity import Categories, Numbers
from fusionspark.mine.anomalies.saving import from_json, to_json
from fusionspark.mine.anomalies.words import PHRASES, reasons

WIDTH, KINDS = 12, ["sofa", "lamp", "bed"]


def shop(rows: int = 900, seed: int = 3) -> dict:
    """Rows whose text lies around the centre of their kind, and whose price depends on it."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(len(KINDS), WIDTH)) * 2
    kind = rng.integers(len(KINDS), size=rows)
    return {
        "price": 100.0 + 50 * kind + rng.normal(0, 5, rows),
        "kind": [KINDS[k] for k in kind],
        "vectors": centres[kind] + rng.normal(0, 0.5, (rows, WIDTH)),
        "cluster": kind.copy(),
        "distance": rng.uniform(1, 2, rows),
        "id": np.arange(rows, dtype=np.int64),
    }


def fitted(columns: dict, **more) -> AnomalyModel:
    settings = {"numeric": ["price"], "categorical": ["kind"], "trees": 50, **more}
    return AnomalyModel.fit(columns, **settings)


def part(columns: dict, rows: slice) -> dict:
    return {name: values[rows] for name, values in columns.items()}


def test_four_kinds_of_planted_anomalies_are_found_and_a_table_only_forest_misses_two():
    from sklearn.metrics import roc_auc_score

    columns = shop()
    kinds = {
        "numeric": range(10),
        "categorical": range(10, 20),
        "text": range(20, 30),
        "mismatch": range(30, 40),
    }
    other = shop(seed=9)
    for i in kinds["numeric"]:
        columns["price"][i] = 900.0 + i
    for i in kinds["categorical"]:
        columns["kind"][i] = f"odd {i}"
    for i in kinds["text"]:
        columns["vectors"][i] = np.random.default_rng(i).normal(0, 3, WIDTH)
    for i in kinds["mismatch"]:
        columns["vectors"][i] = next(
            v for v, k in zip(other["vectors"], other["kind"], strict=True) if k != columns["kind"][i]
        )
    scored = fitted(columns).score(columns)
    table_only = fitted({**columns, "vectors": np.zeros((900, 0))})
    by_table = table_only.forest.scores(table_only.matrix(columns))
    for kind, planted in kinds.items():
        rows = [*planted, *range(40, 900)]
        truth = [i < 40 for i in rows]
        assert roc_auc_score(truth, -scored.statistic[rows]) >= 0.95, kind
        if kind in ("text", "mismatch"):
            assert roc_auc_score(truth, by_table[rows]) < 0.7, kind


@pytest.mark.smoke
def test_the_forest_scores_as_scikit_learn_does():
    from sklearn.ensemble import IsolationForest

    rng = np.random.default_rng(1)
    train = rng.normal(size=(400, 5)).astype(np.float32)
    train[:, 4] = rng.integers(2, size=400)
    new = rng.normal(0, 3, size=(200, 5)).astype(np.float32)
    for rows in (400, 7, 2, 1):
        ours = Forest.fit(train[:rows], trees=20, seed=5)
        theirs = IsolationForest(n_estimators=20, random_state=5).fit(train[:rows])
        if rows > 1:
            assert ours.scores(new) == pytest.approx(-theirs.score_samples(new), abs=1e-12)
        else:
            assert (ours.scores(new) == 0.5).all()


def test_numbers_by_hand():
    numbers = Numbers.fit({"n": np.array([1.0, 2, 3, 4, 5, 6, 7, np.nan])}, ["n"])
    asked = {"n": np.array([4.0, 1.0, 7.0, 100.0, np.nan])}
    # Of 7 known values 4 are at most 4, and 4 at least: twice a half, at most 1. Nothing is as high as 100.
    assert numbers.tails(asked)[:, 0] == pytest.approx([1.0, 0.5, 0.5, 0.25, 2 / 9])
    assert numbers.excess(asked)[:, 0] == pytest.approx([0, 0, 0, 93 / 3, 0])


def test_categories_by_hand():
    columns = {"a": ["x"] * 6 + ["y"] * 2 + ["z"], "b": ["p"] * 6 + ["q"] * 2 + [None]}
    categories = Categories.fit(columns, ["a", "b"])
    tails = categories.tails({"a": ["x", "y", "z", "new", "x"], "b": ["p", "q", None, "p", "q"]})
    assert tails["a"] == pytest.approx([1.0, 0.4, 0.2, 0.2, 1.0]), "never seen is as rare as seen once"
    assert tails["a\tb"] == pytest.approx([1.0, 0.4, 0.2, 0.2, 0.2]), "x with q was never seen"


def test_a_row_is_not_its_own_peer():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(30, 3))
    columns = {"k": ["a"] * 10 + ["b"] * 20}
    peers = Peers.fit(vectors, columns, ["k"], least=5)
    unlike, level = peers.scores(vectors, columns, np.ones(30, bool))
    white = (vectors - peers.centre) @ peers.whiten
    # The covariance without the row, by hand.
    own, others = vectors[0] - vectors[:10].mean(axis=0), vectors[0] - vectors[1:10].mean(axis=0)
    whole = np.linalg.inv(peers.whiten @ peers.whiten.T)
    without = whole - peers.weight * np.outer(own, own) / 30
    distance = others @ np.linalg.inv(without) @ others
    assert unlike[0] == pytest.approx(distance / (1 + 1 / 9) / 3)
    assert (level == 0).all()
    # A row that was never seen is compared with all ten.
    new, _ = peers.scores(vectors[:1], {"k": ["a"]}, np.zeros(1, bool))
    assert new[0] == pytest.approx(((white[0] - white[:10].mean(axis=0)) ** 2).sum() / (1 + 1 / 10) / 3)


def test_a_text_speaks_against_all_categories_that_it_does_not_fit_and_rarity_alone_says_nothing():
    rng = np.random.default_rng(6)
    # The text tells the kind and the size; the shop, mostly the same one, it does not know.
    kind, size = rng.integers(0, 2, 4000), rng.integers(0, 2, 4000)
    vectors = np.stack([3.0 * kind, 3.0 * size, np.zeros(4000)], axis=1) + rng.normal(size=(4000, 3))
    columns = {
        "kind": ["hat" if one else "shoe" for one in kind],
        "size": ["large" if one else "small" for one in size],
        "shop": ["north" if i % 20 == 0 else "south" for i in range(4000)],
    }
    names, columns["id"] = list(columns), rng.integers(-(2**62), 2**62, 4000)
    belonging = Belonging.fit(vectors, columns, names, least=5)
    asked = {
        "id": [1, 2, 3, 4],
        "kind": ["hat", "hat", "shoe", "hat"],
        "size": ["large", "large", "large", "large"],
        "shop": ["south", "north", "south", "south"],
    }
    texts = np.array([[3.0, 3.0, 0.0], [3.0, 3.0, 0.0], [3.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    against, other = belonging.scores(texts, asked)
    fits, rare, one_wrong, both_wrong = against
    assert abs(rare - fits) < 0.5, "a north shop is rare, by a factor of 19, and the text does not say so"
    assert one_wrong - fits == pytest.approx(4.5, abs=1.0), "half the squared distance of the means"
    assert both_wrong - fits == pytest.approx(9.0, abs=1.5)
    assert other[2] == ("kind", "hat")


def test_belonging_of_few_rows_many_values_and_none():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(400, 2))
    columns = {"id": np.arange(400), "k": [f"v{i % 80:02}" for i in range(400)], "m": ["one"] * 400}
    belonging = Belonging.fit(vectors, columns, ["k", "m"], least=5)
    assert [one.name for one in belonging.columns] == ["k"], "m has nothing to tell apart"
    assert len(belonging.columns[0].index) == MOST_VALUES
    asked = {"id": [0, 1, 2, 3], "k": ["v00", "v79", None, "v01"], "m": ["one"] * 4}
    against, other = belonging.scores(np.vstack([vectors[:3], [[np.nan] * 2]]), asked)
    assert np.isnan(against).tolist() == [False, True, True, True], "rare, missing, and without a vector"
    assert other[1] is None
    assert Belonging.fit(vectors, columns, ["m"], least=5) is None
    assert Belonging.fit(np.full((400, 2), np.nan), columns, ["k"], least=5) is None
    assert Belonging.fit(np.zeros((400, 0)), columns, ["k"], least=5) is None
    # All rows of one value in one part: the other parts' classifiers say what the shares say, or nearly so.
    lost = {"id": [0] * 6 + list(range(1, 5)) * 2, "k": ["a"] * 6 + ["b"] * 8}
    against, _ = Belonging.fit(rng.normal(size=(14, 2)), lost, ["k"], least=5).scores(vectors[:14], lost)
    assert np.isfinite(against).all()


def test_new_rows_look_no_odder_than_training_rows():
    """As many numbers a text as rows: a covariance that fits its rows must not make new ones strangers."""
    rng = np.random.default_rng(8)
    vectors, ids = rng.normal(size=(240, 100)), np.arange(240)
    columns = {
        "kind": [KINDS[i % 3] if i % 2 else f"own {i}" for i in range(240)],
        "vectors": vectors,
        "cluster": np.zeros(240, int),
        "distance": rng.uniform(1, 2, 240),
        "id": ids,
    }
    model = fitted(part(columns, slice(0, 120)), numeric=[])
    p = model.score(columns).p
    assert 0.05 <= (p[:120] <= 0.1).mean() <= 0.15
    assert (p[120:] <= 0.1).mean() <= 0.2


def test_small_groups_fall_back_to_fewer_categories():
    rng = np.random.default_rng(2)
    columns = {"k": ["a"] * 20 + ["b"] * 20, "m": ["u"] * 20 + ["v"] * 17 + ["w"] * 3}
    peers = Peers.fit(rng.normal(size=(40, 3)), columns, ["k", "m"], least=10)
    asked = {"k": ["a", "b", "c", "c", None], "m": ["u", "w", "v", "w", None]}
    vectors = np.vstack([rng.normal(size=(4, 3)), [np.nan] * 3])
    unlike, level = peers.scores(vectors, asked, np.zeros(5, bool))
    assert [peers.levels[i].names for i in level[:4]] == [("k", "m"), ("k",), ("m",), ()]
    assert np.isnan(unlike[4])
    assert level[4] == -1


def test_scores_are_calibrated_and_do_not_depend_on_the_batch():
    columns = shop()
    model = fitted(columns)
    whole = model.score(columns)
    assert 0.04 <= (whole.p <= 0.05).mean() <= 0.06
    for size in (1, 250):
        pieces = [model.score(part(columns, slice(i, i + size))) for i in range(0, 500, size)]
        assert np.array_equal(np.concatenate([piece.p for piece in pieces]), whole.p[:500])


def test_the_smallest_p_value_by_its_share_by_hand():
    # Of two detectors the one that asks whether text and table fit has four parts, the other one.
    told = smallest({NUMBERS: [0.015, 1.0, 0.0], ELSEWHERE: [1.0, 0.03, np.nan]})
    assert told == pytest.approx([1 - 0.985 * 0.94, 1 - 0.9925 * 0.97, 0.0], abs=1e-12)


def test_a_saved_model_is_the_same_and_holds_no_pickle():
    columns = shop(200)
    columns["kind"][3], columns["price"][4], columns["vectors"][5] = None, np.nan, np.nan
    model = fitted(columns)
    text = to_json(model)
    again = from_json(text)
    assert to_json(again) == text
    assert np.array_equal(again.score(columns).p, model.score(columns).p)
    with pytest.raises(DataContractError, match="version 9"):
        from_json('{"version": 9}')
    with pytest.raises(DataContractError, match=r"'\|O'"):
        from_json(text.replace('"<f8"', '"|O"'))


def test_reasons_in_words():
    columns = shop()
    model = fitted(columns)
    asked = part(columns, slice(0, 3))
    asked = {**asked, "price": np.array([1e4, 100, np.nan]), "kind": ["lamp", "vase", "bed"]}
    scored = model.score(asked)
    assert any(
        "price = 10000 is beyond all training rows" in line for line in reasons(model, asked, scored, 0)
    )
    assert "kind = vase is rare: 0 of 900 training rows" in reasons(model, asked, scored, 1)
    assert "price is missing" in reasons(model, asked, scored, 2)
    swapped = part(columns, slice(0, 1))
    wrong = next(k for k in KINDS if k != swapped["kind"][0])
    swapped = {**swapped, "kind": [wrong]}
    told = reasons(model, swapped, model.score(swapped), 0)
    assert f"the text reads like kind = {columns['kind'][0]}, not kind = {wrong}" in told
    told = reasons(model, swapped, model.score(swapped), 0, "zh")
    assert f"文本读起来像 kind = {columns['kind'][0]}，而不是 kind = {wrong}" in told
    assert "缺少 price" in reasons(model, asked, scored, 2, "zh")


def test_both_languages_say_the_same():
    fields = [
        {name: sorted(re.findall(r"{(\w+)", text)) for name, text in phrases.items()}
        for phrases in PHRASES.values()
    ]
    assert fields[0] == fields[1]


@pytest.mark.parametrize("rows", [1, 2, 30])
def test_few_rows_no_text_one_class(rows):
    columns = {
        "price": np.full(rows, np.nan),
        "kind": [None] * rows,
        "vectors": np.zeros((rows, 0)),
        "cluster": np.zeros(rows, int),
        "distance": np.zeros(rows),
        "id": np.arange(rows),
    }
    model = from_json(to_json(fitted(columns)))
    scored = model.score(columns)
    assert (scored.p == 1.0).all()
    bare = fitted(columns, numeric=[], categorical=[])
    assert (bare.score(columns).p == 1.0).all()
