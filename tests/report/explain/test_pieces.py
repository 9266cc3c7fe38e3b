"""Pieces of a text, deletions, permutation importance and the choice of rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionspark.prepare.words import english_words
from fusionspark.report.explain.chosen_rows import choose_rows
from fusionspark.report.explain.faithfulness import deletions, faithfulness
from fusionspark.report.explain.importance import importance, shuffles
from fusionspark.report.explain.pieces import kept, pieces


@given(st.text(max_size=60), st.integers(1, 9))
def test_the_pieces_are_the_text(text, most):
    parts = pieces(text, english_words, most)
    assert "".join(parts) == text
    assert len(parts) <= most and all(parts)


def test_pieces_by_hand():
    assert pieces("  It's GREAT, 5/5!", english_words, 9) == ["  It's ", "GREAT, ", "5/", "5!"]
    assert pieces("很好看，喜欢", lambda text: ["很", "好看", "喜欢"], 9) == ["很", "好看，", "喜欢"]
    assert pieces("!?", english_words, 9) == ["!?"]
    assert pieces("", english_words, 9) == []
    assert kept(["a ", "b ", "c"], np.array([True, False, True])) == "a c"
    assert kept(["a ", "b"], np.array([False, False])) is None
    # A word that goes takes no boundary between two text columns with it.
    assert kept(["title\n\n", "of a row"], np.array([False, True])) == "\n\nof a row"
    assert kept(["title\n\n", "of a row"], np.array([False, False])) is None


def test_deletions_take_the_top_first_and_as_many_by_chance():
    masks = deletions(np.array([0.1, 0.9, -3.0, 0.2, 0.8, 0.0]), 5, 1)
    assert masks.shape == (6, 6)
    assert (~masks[0]).nonzero()[0].tolist() == [1, 4]
    assert ((~masks).sum(axis=1) == 2).all()


def test_faithfulness_by_hand():
    found = faithfulness([0.9, 0.8], [0.5, 0.6], [0.8, 0.9])
    assert found["ratio"] == pytest.approx(3.0)
    assert (found["top"], found["random"], found["wins"]) == (pytest.approx(0.3), pytest.approx(0.0), 1.0)
    assert faithfulness([0.9], [0.5], [0.9])["ratio"] is None
    assert faithfulness([], [], [])["rows"] == 0


def test_importance_is_the_fall_of_f1():
    labels = ["a", "a", "b", "b"]
    found = importance(labels, labels, {"none": [labels, labels], "all": [["b", "b", "a", "a"]]})
    assert found["macro_f1"] == 1.0 and found["rows"] == 4
    assert [entry["player"] for entry in found["players"]] == ["all", "none"]
    assert found["players"][0]["drop"] == 1.0 and found["players"][0]["classes"] == {"a": 1.0, "b": 1.0}
    assert found["players"][1]["drop"] == found["players"][1]["deviation"] == 0.0


def test_shuffles_are_permutations():
    assert shuffles(0, 2, 1).shape == (2, 0)
    assert (np.sort(shuffles(7, 3, 1), axis=1) == np.arange(7)).all()


def test_rows_are_taken_in_turn_by_each_rule():
    rows = [("r1", "x", "x", 0.9), ("r2", "x", "y", 0.7), ("r3", "x", "x", 0.01), ("r4", None, "y", 0.95)]
    scored = pd.DataFrame(rows, columns=["row_id", "label", "prediction", "lead"])
    assert choose_rows(scored, 3) == [("confident", "r4"), ("wrong", "r2"), ("borderline", "r3")]
    assert choose_rows(scored, 3, anomalies=["gone", "r1"])[-1] == ("borderline", "r3")
    assert choose_rows(scored, 9, anomalies=["gone", "r1"])[-1] == ("anomaly", "r1")
    assert len(choose_rows(scored, 9)) == 4
    assert choose_rows(scored.iloc[:0], 9) == []
