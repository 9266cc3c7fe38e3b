"""The arithmetic of a plan, by hand."""

import pytest

from fusionspark.config import Plan
from fusionspark.errors import ConfigError
from fusionspark.pipeline.cost import check_budget, compare, flops_per_token, on_gpu

MINILM = {
    "hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536, "num_attention_heads": 12,
    "model_type": "bert",
}  # fmt: skip


def test_operations_of_a_token():
    # 6 layers of 4 x 384^2 + 2 x 384 x 1536 = 10,616,832 weights; 4 x 6 x 384 x 100 of attention.
    assert flops_per_token(MINILM, 100) == 2 * 10_616_832 + 921_600
    grouped = {**MINILM, "num_key_value_heads": 3, "model_type": "llama"}
    # Keys and values a quarter as wide, a third matrix: 2.5 x 384^2 + 3 x 384 x 1536.
    assert flops_per_token(grouped, 0) == 2 * 6 * (2.5 * 384**2 + 3 * 384 * 1536)
    assert flops_per_token({"model_type": "model2vec"}, 10) is None


def test_hours_and_cost_on_a_gpu():
    plan = Plan(gpu="T4", price_per_hour=0.5, utilization=0.4)
    # 65 TFLOP/s x 0.4 = 26e12; 93.6e15 operations take 3,600 s.
    found = on_gpu(93.6e9, 1e6, plan)
    assert found.hours == pytest.approx(1.0)
    assert found.cost == pytest.approx(0.5)
    assert on_gpu(1, 1, Plan(gpu="T4")).cost is None
    assert on_gpu(1, 1, Plan()) is None
    assert on_gpu(1, None, plan) is None


def test_a_budget_is_refused_with_every_figure_above_it():
    estimate = {"expected_seconds": 100.0, "on_gpu": {"hours": 2.0, "cost": 4.0}}
    check_budget(estimate, Plan())
    check_budget(estimate, Plan(budget_seconds=100, budget_cost=4, budget_gpu_hours=2))
    check_budget({**estimate, "on_gpu": None}, Plan(budget_cost=0))
    with pytest.raises(
        ConfigError, match=r"seconds 100 is above plan\.budget_seconds = 99; cost 4 is"
    ) as caught:
        check_budget(estimate, Plan(budget_seconds=99, budget_cost=1, budget_gpu_hours=3))
    assert caught.value.exit_code == 2


def test_an_estimate_beside_its_run():
    estimate = {"expected_seconds": 50.0, "expected_of": "run", "tokens": 1000, "to_encode": 90}
    found = compare(estimate, 60.0, {"tokens": 1100, "encoded": 88})
    assert (found["ratio"], found["tokens"], found["expected_tokens"], found["encoded"]) == (
        1.2,
        1100,
        1000,
        88,
    )
    assert compare({**estimate, "expected_seconds": 0.0}, 1.0, None)["ratio"] is None
