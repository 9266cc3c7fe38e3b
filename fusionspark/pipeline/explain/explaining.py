"""What a run says about why: permutation importance, and chosen rows explained by players and by words."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fusionspark.pipeline.explain.by_players import explain_players
from fusionspark.pipeline.explain.by_words import explain_words
from fusionspark.pipeline.explain.subject import Asked, held, subject


def explain(asked: Asked, *, row: str | None = None, anomalies: Sequence[str] = ()) -> dict[str, Any]:
    """Explain rows chosen by rule and the model as a whole, or one named row alone.

    Returns
    -------
    dict
        ``algorithm``; ``players``; ``importance`` (see `report.explain.importance`); ``rows``, each with
        ``players`` (Shapley values of blocks and columns) and ``words`` (of pieces of the text);
        ``faithfulness``; ``seconds``, of which ``seconds_players`` and ``seconds_words``; and ``stopped``:
        None, ``words`` (no time was left for them) or ``time`` (jobs were cancelled when the time was over;
        what was done before is there).

    Raises
    ------
    ConfigError
        The run has no row of this name.
    """
    started = time.monotonic()
    facts: dict[str, Any] = {
        "algorithm": asked.predictor.algorithm,
        "players": list(asked.predictor.players),
        "importance": None,
        "rows": [],
        "faithfulness": None,
        "stopped": None,
    }
    with _stopped_after(asked, facts):
        about = subject(asked, row, anomalies)
        facts["rows"] = about.chosen
        rows = held(asked, about).persist()
        try:
            facts["importance"] = explain_players(asked, about, rows)
            spent = facts["seconds_players"] = round(time.monotonic() - started, 3)
            facts["faithfulness"] = explain_words(asked, about, rows, asked.effort.seconds - spent)
            facts["seconds_words"] = round(time.monotonic() - started - spent, 3)
            if any(about.texts.values()) and facts["faithfulness"] is None:
                facts["stopped"] = "words"
        finally:
            rows.unpersist()
    facts["seconds"] = round(time.monotonic() - started, 3)
    return facts


@contextmanager
def _stopped_after(asked: Asked, facts: dict[str, Any]) -> Iterator[None]:
    """Cancel the Spark jobs of this thread when the time is over."""
    context = asked.run.spark.sparkContext
    group = context.getLocalProperty("spark.jobGroup.id")
    if not group:
        group = "explain"
        context.setJobGroup(group, "fusionspark: explain")
    late = threading.Event()

    def stop() -> None:
        late.set()
        context.cancelJobGroup(group)

    timer = threading.Timer(asked.effort.seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception:
        if not late.is_set():
            raise
        facts["stopped"] = "time"
    finally:
        timer.cancel()
