"""A run whose new clusters are named by a model, and the night after it."""

from pathlib import Path

import pytest
from test_pipeline import DATE, reviews, settings
from tiny_writer import make_writer

from fusionspark import pipeline

pytestmark = pytest.mark.slow


def test_new_clusters_are_named_by_the_model_and_keep_their_names(spark, tmp_path, tiny_bert):
    writer = make_writer(tmp_path / "writer", ["red", "cat"])
    report = {"explain": {"rows": 0, "shuffled": 0}, "naming_model": str(writer)}
    config = settings(reviews(spark, tmp_path / "in"), tmp_path / "out", tiny_bert, report=report)
    manifest = pipeline.run(spark, config, DATE, say=lambda line: None)
    named = {one["name"]: one for one in manifest["cluster"]["clusters"]}
    naming = manifest["cluster"]["naming"]
    # The other cluster is of a blue dog.
    assert "red cat" in named and "red cat" in named["red cat"]["terms"] and len(named) == 2
    assert naming["model"] == str(writer) and len(naming["digest"]) == 64
    why = (
        "none of the words of the cluster in it" if named["red cat"]["id"] else "the name of another cluster"
    )
    assert list(naming["refused"].values()) == [why]
    page = Path(config.output, "runs", DATE, "report.html").read_text()
    assert "New clusters were named by" in page and "red cat" in page
    night = pipeline.run(spark, config, "2026-02-01", say=lambda line: None)
    assert {one["name"] for one in night["cluster"]["clusters"]} == set(named)
    assert "naming" not in night["cluster"], "nobody is asked about clusters that have a name"
