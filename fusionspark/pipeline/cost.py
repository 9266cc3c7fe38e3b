"""The arithmetic of a plan: work of a model, hours of a GPU, money, memory. No Spark and no measurement.

A forward pass costs two operations a weight of the linear layers and token, and attention two products of
the length of the text (Kaplan et al. 2020, "Scaling laws for neural language models", table 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fusionspark.config import Plan
from fusionspark.errors import ConfigError

#: Dense half-precision peak in TFLOP/s, from the data sheets of the vendor (nvidia.com), without sparsity.
PEAK_TFLOPS = {"T4": 65.0, "L4": 121.0, "A10": 125.0, "A100": 312.0, "H100": 989.0}
#: Networks whose feed-forward layers have a gate, a third matrix.
_GATED = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "modernbert"})


def flops_per_token(config: Mapping[str, Any], tokens: float) -> float | None:
    """Operations of one token in a text of ``tokens``, from the model's config.json; None if it does not say.

    >>> flops_per_token({"hidden_size": 2, "num_hidden_layers": 1, "intermediate_size": 8}, 0)
    96.0
    """
    hidden, layers = config.get("hidden_size"), config.get("num_hidden_layers")
    inner = config.get("intermediate_size")
    if not (hidden and layers and inner):
        return None
    heads = config.get("num_attention_heads") or 1
    # Keys and values of grouped heads are narrower than the queries.
    narrow = (config.get("num_key_value_heads") or heads) / heads
    attention = (2 + 2 * narrow) * hidden * hidden
    matrices = 3 if config.get("model_type") in _GATED else 2
    weights = layers * (attention + matrices * hidden * inner)
    return float(2 * weights + 4 * layers * hidden * tokens)


@dataclass(frozen=True)
class OnGpu:
    """What the texts would take on a GPU: arithmetic with a stated utilisation, not a measurement."""

    gpu: str
    utilization: float
    hours: float
    cost: float | None


def on_gpu(tokens: float, flops: float | None, plan: Plan) -> OnGpu | None:
    """Return the hours and the price of ``tokens`` on the configured GPU; None where no GPU is named."""
    if plan.gpu is None or flops is None:
        return None
    hours = tokens * flops / (PEAK_TFLOPS[plan.gpu] * 1e12 * plan.utilization) / 3600
    return OnGpu(plan.gpu, plan.utilization, hours, plan.price_per_hour and hours * plan.price_per_hour)


def check_budget(estimate: Mapping[str, Any], plan: Plan) -> None:
    """Raise `ConfigError` where the estimate is above a configured budget, with every figure that is."""
    gpu = estimate.get("on_gpu") or {}
    figures = {
        "budget_seconds": estimate["expected_seconds"],
        "budget_gpu_hours": gpu.get("hours"),
        "budget_cost": gpu.get("cost"),
    }
    over = []
    for name, figure in figures.items():
        limit = getattr(plan, name)
        if limit is not None and figure is not None and figure > limit:
            over.append(f"{name.removeprefix('budget_')} {figure:.4g} is above plan.{name} = {limit:g}")
    if over:
        raise ConfigError(
            "plan",
            "; ".join(over),
            remedy="raise the budget, pick fewer rows with source.where, or choose a smaller model",
        )


def compare(
    estimate: Mapping[str, Any], seconds: float, represent: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Put an estimate beside the run that it was made for."""
    expected = estimate["expected_seconds"]
    return {
        "expected_seconds": expected,
        "seconds": seconds,
        "ratio": round(seconds / expected, 3) if expected else None,
        "of": estimate["expected_of"],
        "expected_tokens": estimate["tokens"],
        "tokens": (represent or {}).get("tokens"),
        "expected_encoded": estimate["to_encode"],
        "encoded": (represent or {}).get("encoded"),
    }
