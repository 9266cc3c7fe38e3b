"""The sections of the page, one module each: ``build(run, words) -> Section | None``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fusionspark.report.blocks import Section
from fusionspark.report.phrases import Words
from fusionspark.report.sections import (
    anomalies,
    classification,
    clusters,
    data,
    embedding,
    explanations,
    history,
    pictures,
    receipt,
    regression,
    rules,
    setup,
    summary,
)

#: The order of the page. A section that has nothing to say returns None, or says what is absent.
BUILDERS: tuple[Callable[[Mapping[str, Any], Words], Section | None], ...] = (
    summary.build,
    receipt.build,
    data.build,
    embedding.build,
    pictures.build,
    classification.build,
    regression.build,
    explanations.build,
    clusters.build,
    rules.build,
    anomalies.build,
    history.build,
    setup.build,
)
