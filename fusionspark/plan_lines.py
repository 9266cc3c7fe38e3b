"""An estimate as lines for a reader: what, how much, and where the figure comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plan_lines(estimate: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return ``(what, value, source)`` of each figure of a plan."""
    lines = [
        ("rows", f"{estimate['rows']:,}", "one aggregation over the source"),
        ("distinct texts", f"{estimate['distinct']:,} of {estimate['texts']:,}", "approximate count, 5%"),
        ("already stored", f"{estimate['stored_share']:.1%}", estimate["stored_note"]),
        ("to encode", f"{estimate['to_encode']:,}", ""),
    ]
    measured, memory, gpu = estimate.get("measured"), estimate.get("memory"), estimate.get("on_gpu")
    if measured:
        sample = f"{measured['texts']} sampled texts"
        lines += [
            ("tokens", f"{estimate['tokens']:,}", f"{measured['tokens_per_text']:g} a text, {sample}"),
            (
                "truncated",
                f"{estimate['truncated_share']:.1%}",
                f"above {measured['max_tokens'] or 'any number of'} tokens",
            ),
            (
                "represent",
                f"{estimate['represent_seconds']:,.0f} s",
                f"{measured['texts_per_second']:.0f} texts/s measured in one task, {estimate['slots']} slots",
            ),
        ]
    of = f"represent as above, the other stages as in the run of {estimate['from_run']}"
    known = estimate["from_run"] is not None
    lines.append(
        (
            "whole run" if known else "represent alone",
            f"{estimate['expected_seconds']:,.0f} s",
            of if known else "no earlier run tells what the other stages take",
        )
    )
    if gpu:
        cost = "" if gpu["cost"] is None else f", cost {gpu['cost']:.4g}"
        how = f"arithmetic at {gpu['utilization']:.0%} of the peak, not a measurement"
        lines.append((f"on one {gpu['gpu']}", f"{gpu['hours']:.4g} h{cost}", how))
    if memory:
        mib = {name: f"{memory[name] / 2**20:,.0f} MiB" for name in ("worker_bytes", "model_bytes")}
        lines += [
            (
                "memory of a worker",
                mib["worker_bytes"],
                f"peak of one task; the model's files {mib['model_bytes']}",
            ),
            ("memory of the driver", str(memory["driver"]), "spark.driver.memory"),
        ]
    return lines
