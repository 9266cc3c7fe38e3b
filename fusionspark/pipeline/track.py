"""Logging a published run where `report.mlflow` says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fusionspark.config import Config
from fusionspark.pipeline.context import Context
from fusionspark.report.page import REPORT
from fusionspark.report.tracking import client, log_run
from fusionspark.tables import MANIFEST


def check(config: Config) -> None:
    """Fail before the first stage where MLflow is asked for and not installed."""
    if config.report.mlflow.uri:
        client(config.report.mlflow.uri)


def track(ctx: Context, manifest: dict[str, Any], say: Callable[[str], None]) -> None:
    """Log a run that is published; a tracking store that fails does not undo the run, but it is said."""
    settings = ctx.config.report.mlflow
    if not settings.uri:
        return
    files, folder = ctx.run.files, ctx.run.path
    place = Path(files.absolute(ctx.run.model_path("")))
    try:
        run_id = log_run(
            manifest,
            files.read_text(f"{folder}/{REPORT}"),
            uri=settings.uri,
            experiment=settings.experiment,
            manifest_text=files.read_text(f"{folder}/{MANIFEST}"),
            models=place if place.is_dir() else None,
        )
    except Exception as error:  # noqa: BLE001 - whatever a remote store says, the run itself is whole
        say(f"mlflow: not logged to {settings.uri}: {type(error).__name__}: {error}")
        return
    say(f"mlflow: run {run_id} of experiment {settings.experiment!r}")
