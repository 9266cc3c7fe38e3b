"""The way of the data: the only place that knows the order of the rooms."""

from fusionspark.pipeline.baskets import baskets
from fusionspark.pipeline.collect_stage import open_source
from fusionspark.pipeline.explain.of_run import explain_row
from fusionspark.pipeline.plan import plan
from fusionspark.pipeline.replay import replay
from fusionspark.pipeline.running import run, score
from fusionspark.pipeline.tune import tune

__all__ = ["baskets", "explain_row", "open_source", "plan", "replay", "run", "score", "tune"]
