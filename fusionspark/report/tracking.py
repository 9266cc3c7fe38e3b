"""A run in MLflow: parameters, metrics, the page, run.json and the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fusionspark.columns import SPLITS
from fusionspark.errors import MissingExtraError
from fusionspark.report.display import dig, flattened, number

#: Characters of a parameter that MLflow keeps.
MAX_VALUE = 500
_SHARED = (
    "accuracy", "macro_f1", "auc", "average_precision", "calibration_error",
    "rmse", "mae", "r2",
)  # fmt: skip


def client(uri: str) -> Any:
    """Return a client of the tracking store ``uri`` (``file:///...``, ``http://...``, ...).

    Raises
    ------
    MissingExtraError
        MLflow is not installed.
    """
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise MissingExtraError("mlflow", "mlflow", "report.mlflow.uri") from error
    # Not by the functions of the module: they would set the store of the whole process.
    return MlflowClient(tracking_uri=uri)


def log_run(
    manifest: Mapping[str, Any],
    page: str,
    *,
    uri: str,
    experiment: str,
    manifest_text: str,
    models: Path | None = None,
) -> str:
    """Log a published run as one MLflow run, and return its id.

    Parameters
    ----------
    manifest : dict
        Content of run.json.
    page, manifest_text : str
        report.html and run.json as they were written.
    models : Path, optional
        Folder of the saved models, where it is on this machine.
    """
    store = client(uri)
    found = store.get_experiment_by_name(experiment)
    number_of = found.experiment_id if found else store.create_experiment(experiment)
    name = str(manifest.get("run_date"))
    tags = {"mlflow.runName": name, "fusionspark.config_digest": str(manifest.get("config_digest"))}
    run_id = str(store.create_run(number_of, run_name=name, tags=tags).info.run_id)
    try:
        for key, value in flattened(manifest.get("config") or {}):
            store.log_param(run_id, _key(key), value[:MAX_VALUE])
        for key, figure in metrics(manifest):
            store.log_metric(run_id, _key(key), figure)
        store.log_text(run_id, page, "report.html")
        store.log_text(run_id, manifest_text, "run.json")
        if models is not None and models.is_dir():
            store.log_artifacts(run_id, str(models), "models")
    except BaseException:
        store.set_terminated(run_id, status="FAILED")
        raise
    store.set_terminated(run_id)
    return run_id


def metrics(manifest: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the figures of a run by dotted names; ``best.*`` are those of the best algorithm on test rows."""
    measured = manifest.get("classify") or manifest.get("regress") or {}
    for algorithm, splits in measured.items():
        for split in SPLITS:
            for key in _SHARED:
                figure = number(dig(splits, split, key))
                if figure is not None:
                    yield f"{algorithm}.{split}.{key}", figure
                    if algorithm == manifest.get("best") and split == SPLITS[-1]:
                        yield f"best.{key}", figure
    for path in (
        ("seconds",), ("rows", "in"), ("rows", "out"), ("rows", "quarantined"), ("represent", "encoded"),
        ("represent", "reused"), ("cluster", "silhouette"), ("explain", "faithfulness", "ratio"),
    ):  # fmt: skip
        figure = number(dig(manifest, *path))
        if figure is not None:
            yield ".".join(path), figure


def _key(name: str) -> str:
    """Return a name without what MLflow does not take in one."""
    return "".join(one if one.isalnum() or one in "_-. /" else "_" for one in name)[:250]
