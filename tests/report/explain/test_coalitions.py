"""Shapley values and LIME from one set of answers, against hand-made values and the libraries."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionspark.report.explain.coalitions import coalitions, lime, shapley
from fusionspark.report.explain.linear import linear_shapley


def game(masks):
    """Three players: 1 alone is worth 2, 2 and 3 together 3; the empty coalition 1."""
    return 1 + 2.0 * masks[:, 0] + 3.0 * (masks[:, 1] & masks[:, 2])


def test_a_game_that_can_be_done_by_hand():
    chosen = coalitions(3, 99, 0)
    assert chosen.exact and len(chosen.masks) == 8
    assert not chosen.masks[0].any() and chosen.masks[1].all()
    values, errors = shapley(chosen, game(chosen.masks))
    assert values == pytest.approx([2, 1.5, 1.5])
    assert errors.tolist() == [0, 0, 0]


@pytest.mark.parametrize("players", [1, 2, 5, 7])
def test_all_coalitions_give_the_definition(players):
    random = np.random.default_rng(players)
    worth = {mask: random.normal() for mask in itertools.product([False, True], repeat=players)}
    chosen = coalitions(players, 2**players, 0)
    assert len({tuple(mask) for mask in chosen.masks}) == len(chosen.masks) == 2**players
    values, _ = shapley(chosen, np.array([worth[tuple(mask)] for mask in chosen.masks]))
    for player in range(players):
        gained = 0.0
        for mask, before in worth.items():
            if not mask[player]:
                size = sum(mask)
                share = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
                joined = (*mask[:player], True, *mask[player + 1 :])
                gained += share * (worth[joined] - before)
        assert values[player] == pytest.approx(gained, abs=1e-9)


@settings(max_examples=40)
@given(st.integers(1, 20), st.integers(1, 90), st.integers(0, 5))
def test_values_sum_to_prediction_minus_base_whatever_is_sampled(players, most, seed):
    chosen = coalitions(players, most, seed)
    assert len(chosen.masks) <= max(most, 2 * players) + 2
    values = np.random.default_rng(seed).normal(size=len(chosen.masks))
    found, errors = shapley(chosen, values)
    assert found.sum() == pytest.approx(values[1] - values[0], abs=1e-9)
    assert (errors[~np.isnan(errors)] >= 0).all() and len(errors) == players


def test_an_additive_game_is_exact_from_a_sample():
    weights = np.random.default_rng(1).normal(size=30)
    chosen = coalitions(30, 70, 3)
    assert not chosen.exact
    found, errors = shapley(chosen, chosen.masks @ weights)
    few = coalitions(30, 60, 3)
    assert not few.exact and np.isnan(shapley(few, few.masks @ weights)[1]).all(), "nothing states an error"
    assert np.abs(found - weights).max() < 1e-9 and np.nanmax(errors) < 1e-9


def test_the_stated_error_is_that_of_the_estimate():
    random = np.random.default_rng(4)
    pairs = random.normal(size=(12, 12))

    def worth(masks):
        x = masks.astype(float)
        return np.tanh(np.einsum("ni,ij,nj->n", x, pairs, x) / 6)

    exact, _ = shapley(coalitions(12, 4096, 0), worth(coalitions(12, 4096, 0).masks))
    misses, stated = [], []
    for seed in range(12):
        chosen = coalitions(12, 200, seed)
        found, errors = shapley(chosen, worth(chosen.masks))
        misses.append(found - exact)
        stated.append(errors)
    assert 0.5 < np.sqrt(np.mean(np.square(misses))) / np.sqrt(np.mean(np.square(stated))) < 2


def test_as_the_library_shap_has_it():
    shap = pytest.importorskip("shap")
    random = np.random.default_rng(2)
    weights, row, background = random.normal(size=6), random.normal(size=6), random.normal(size=(1, 6))

    def model(rows):
        return np.tanh(rows @ weights) + rows[:, 0] * rows[:, 1]

    theirs = shap.KernelExplainer(model, background).shap_values(row, nsamples=1000, silent=True)
    chosen = coalitions(6, 100, 0)
    ours, _ = shapley(chosen, model(np.where(chosen.masks, row, background)))
    assert np.abs(ours - theirs).max() < 1e-6
    linear = shap.LinearExplainer((weights, 0.3), background).shap_values(row[None])
    players = {str(i): [slice(i, i + 1)] for i in range(6)}
    assert np.abs(linear_shapley(weights, row[None], background, players) - linear).max() < 1e-9


def test_lime_ranks_words_as_the_library_does():
    lime_text = pytest.importorskip("lime.lime_text")
    words = "a b c d e f g h".split()  # noqa: SIM905
    effect = dict(zip(words, [3.0, -2.0, 1.0, 0.5, 0.0, -0.5, 0.2, 0.0], strict=True))

    def probability(texts):
        margin = np.array([sum(effect[word] for word in text.split()) for text in texts])
        answer = 1 / (1 + np.exp(-margin))
        return np.stack([1 - answer, answer], axis=1)

    explainer = lime_text.LimeTextExplainer(random_state=1)
    theirs = dict(explainer.explain_instance(" ".join(words), probability, num_samples=4000).as_list())
    chosen = coalitions(8, 300, 0)
    texts = [" ".join(w for w, keep in zip(words, mask, strict=True) if keep) for mask in chosen.masks]
    ours = lime(chosen, probability(texts)[:, 1])
    assert np.corrcoef(ours, [theirs[word] for word in words])[0, 1] > 0.99
    assert ours[0] == pytest.approx(theirs["a"], rel=0.1)


def test_lime_of_one_piece_and_of_an_even_model():
    chosen = coalitions(1, 10, 0)
    assert lime(chosen, np.array([0.2, 0.9]))[0] == pytest.approx(0.7)
    chosen = coalitions(5, 20, 0)
    assert np.abs(lime(chosen, np.full(len(chosen.masks), 0.4))).max() < 1e-12


def test_blocks_of_a_linear_model_sum_to_its_margin():
    random = np.random.default_rng(3)
    weights, rows, background = random.normal(size=9), random.normal(size=(4, 9)), random.normal(size=(7, 9))
    players = {"wide": [slice(0, 5), slice(8, 9)], "narrow": [slice(5, 8)]}
    found = linear_shapley(weights, rows, background, players)
    assert found.shape == (4, 2)
    assert found.sum(axis=1) == pytest.approx((rows - background.mean(axis=0)) @ weights, abs=1e-12)
