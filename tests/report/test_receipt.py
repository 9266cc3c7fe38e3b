"""The receipt's arithmetic against scikit-learn and against cases that a reader can work out."""

import numpy as np
import pytest
from runs import realistic
from sklearn.metrics import f1_score, roc_auc_score

from fusionspark.report.page import render
from fusionspark.report.phrases import Words
from fusionspark.report.receipt import Answers, interval, mcnemar, receipt, resampled, score
from fusionspark.report.sections.receipt import receipt_sentences


def logs_of(probabilities):
    return np.log(np.asarray(probabilities, dtype=float))


def noisy(classes, signal, seed, count=2):
    """Log-probabilities that lean to the true class by ``signal``, with ties."""
    random = np.random.default_rng(seed)
    margins = np.round(random.normal(size=(len(classes), count)), 1)
    margins[np.arange(len(classes)), classes] += signal
    return margins - np.log(np.exp(margins).sum(axis=1, keepdims=True))


def test_metrics_equal_scikit_learn_and_weights_mean_repeated_rows():
    classes = np.random.default_rng(1).integers(0, 3, 60)
    logs = noisy(classes, 1.0, 2, 3)
    weights = np.random.default_rng(3).integers(0, 4, 60)
    once = score(classes, logs, np.ones((1, 60)))
    assert once["macro_f1"][0] == pytest.approx(f1_score(classes, logs.argmax(1), average="macro"))
    assert once["auc"][0] == pytest.approx(
        np.mean([roc_auc_score(classes == k, logs[:, k]) for k in range(3)])
    )
    rows = np.repeat(np.arange(60), weights)
    twice = score(classes, logs, weights[None].astype(float))
    repeated = score(classes[rows], logs[rows], np.ones((1, len(rows))))
    for metric, values in twice.items():
        assert values[0] == pytest.approx(repeated[metric][0])


def test_a_label_that_no_model_knows_counts_as_wrong():
    logs = logs_of([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]])
    found = score(np.array([0, 1, -1]), logs, np.ones((1, 3)))
    assert found["accuracy"][0] == pytest.approx(2 / 3)
    # F1 of class 0: right once, claimed twice, there once; of class 1: 1; of the unknown class: 0.
    assert found["macro_f1"][0] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_one_class_has_no_area_and_no_interval():
    logs = logs_of([[0.9, 0.1], [0.2, 0.8]])
    drawn = resampled(np.array([0, 0]), {"x": logs}, 100, 1)["x"]
    assert interval(drawn["auc"]) is None
    assert interval(drawn["accuracy"]) == [0.0, 1.0]


def test_mcnemar_counts_rows_on_which_one_alone_is_right():
    first = np.array([True] * 8 + [False, True])
    second = np.array([False] * 8 + [True, True])
    # 8 against 1 under a fair coin: 2 * (1 + 9) / 2**9.
    assert mcnemar(first, second) == {"only_first": 8, "only_second": 1, "p": round(20 / 512, 6)}
    assert mcnemar(first, first)["p"] == 1.0


def made(signals, rows=300, metric="auc"):
    """A receipt over arms with these signals; the shuffled arm and the others are independent."""
    classes = np.random.default_rng(0).integers(0, 2, rows)
    found = []
    for part in (1, 2):
        arms = {name: Answers("logistic_regression", noisy(classes, s, part * 100 + i))
                for i, (name, s) in enumerate(signals.items())}  # fmt: skip
        found.append((classes, arms))
    blocks = [name for name in signals if name not in ("fused", "shuffled")]
    texts = [name for name in blocks if name != "table"]
    return receipt(["a", "b"], *found, blocks, texts, metric=metric, samples=300, seed=1)


def test_text_that_adds_pays_and_text_that_does_not_does_not():
    pays = made({"text": 1.5, "table": 1.0, "fused": 3.0, "shuffled": 1.0})
    assert (pays["text_pays"], pays["fusion_pays"], pays["best_block"]) == (True, True, "text")
    assert pays["text"]["second"] == "table" and pays["text"]["interval"][0] > 0
    idle = made({"text": 0.0, "table": 1.5, "fused": 1.5, "shuffled": 1.5})
    assert (idle["text_pays"], idle["fusion_pays"], idle["best_block"]) == (False, False, "table")
    low, high = idle["arms"]["fused"]["auc_interval"]
    assert low < idle["arms"]["fused"]["auc"] < high


def test_text_that_pays_need_not_make_fusion_pay():
    found = made({"text": 3.0, "table": 0.0, "fused": 3.0, "shuffled": 0.0})
    assert (found["text_pays"], found["fusion_pays"]) == (True, False)


def test_a_gain_that_shuffled_texts_have_too_is_not_the_texts():
    found = made({"text": 0.0, "table": 0.5, "fused": 3.0, "shuffled": 3.0})
    assert found["text"]["better"] and not found["text_pays"]


def test_a_table_of_texts_alone_is_measured_against_shuffled_texts():
    found = made({"text": 2.0, "shuffled": 0.0})
    assert found["text"]["second"] == "shuffled" and found["text_pays"] and found["fusion"] is None


def test_no_text_no_verdict_on_it():
    found = made({"table": 1.0})
    assert found["text"] is None and found["text_pays"] is None


@pytest.mark.parametrize(
    ("language", "pays", "not_pays"),
    [("en", "The text pays", "does not pay"), ("zh", "文本值得", "文本不值得")],
)
def test_the_page_says_whether_the_text_pays(language, pays, not_pays):
    run = realistic(points=20)
    run["receipt"] = made({"text": 1.5, "table": 1.0, "fused": 3.0, "shuffled": 1.0}) | {
        "cost": {"seconds": 12.0, "seconds_saved": 0.0}, "of": "2026-03-14", "sample": {"train": 0.5},
    }  # fmt: skip
    page = render(run, language=language)
    assert pays in page and 'id="receipt"' in page
    run["receipt"] = made({"text": 0.0, "table": 1.5, "fused": 1.5, "shuffled": 1.5})
    assert not_pays in " ".join(receipt_sentences(run, Words(language)))


def test_the_page_says_why_there_is_no_receipt():
    run = realistic(points=20)
    run["receipt"] = {"why": "no_label"}
    assert "There is no fusion receipt" in render(run) and "the table has no label" in render(run)
    run["receipt"] = {"why": "<script>", "arms": "none"}
    assert "<b><bdi>why_&lt;script&gt;" in render(run)
