"""Jobs are named after the stage they belong to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fusionspark import progress


class Context:
    """Stands for a SparkContext: what it keeps of the jobs of a thread."""

    def __init__(self, **properties: str) -> None:
        self.properties = {f"spark.{key}": value for key, value in properties.items()}

    def getLocalProperty(self, key: str) -> str | None:
        return self.properties.get(key)

    def setJobGroup(self, group: str, description: str) -> None:
        self.properties |= {"spark.jobGroup.id": group, "spark.job.description": description}

    @property
    def named(self) -> list[Any]:
        return [self.properties.get(f"spark.{key}") for key in progress.JOB]


def test_a_stage_names_its_jobs_and_gives_back_the_name_before() -> None:
    context = Context(**{"jobGroup.id": "b7", "job.description": "batch 7"})
    spark: Any = SimpleNamespace(sparkContext=context)
    with progress.stage(spark, "mine"):
        assert context.named == ["mine", "fusionspark: mine"]
        with progress.stage(spark, "mine: kmeans"):
            assert context.named == ["mine: kmeans", "fusionspark: mine: kmeans"]
        assert context.named == ["mine", "fusionspark: mine"]
    assert context.named == ["b7", "batch 7"]
