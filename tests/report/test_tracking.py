"""A run in MLflow's local file store."""

import json

import pytest
from runs import realistic

from fusionspark.report.tracking import log_run, metrics


def test_metrics_by_name():
    found = dict(metrics(realistic(points=10)))
    assert found["rows.in"] == 979 and found["cluster.silhouette"] == 0.118
    assert found["best.accuracy"] == found["logistic_regression.test.accuracy"]
    assert "explain.faithfulness.ratio" in found
    assert dict(metrics({})) == {}


@pytest.mark.slow
def test_a_run_is_logged_whole_and_a_second_one_beside_it(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    # MLflow 3 wants to be asked twice for its file store; a database needs far more than its skinny part.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    models = tmp_path / "models"
    (models / "fuse").mkdir(parents=True)
    (models / "fuse" / "metadata").write_text("{}")
    run, uri = realistic(points=10), (tmp_path / "store").as_uri()
    run["config"]["represent"]["model"] = "m" * 900
    text = json.dumps(run)
    for _ in range(2):
        run_id = log_run(run, "<html>", uri=uri, experiment="reviews", manifest_text=text, models=models)
    client = mlflow.MlflowClient(tracking_uri=uri)
    kept = client.search_runs([client.get_experiment_by_name("reviews").experiment_id])
    assert len(kept) == 2 and {one.info.status for one in kept} == {"FINISHED"}
    logged = client.get_run(run_id)
    assert logged.data.metrics["best.macro_f1"] == run["classify"]["logistic_regression"]["test"]["macro_f1"]
    assert logged.data.params["mine.clusters"] == "5"
    assert len(logged.data.params["represent.model"]) == 500
    assert {one.path for one in client.list_artifacts(run_id)} == {"models", "report.html", "run.json"}
