"""The way of the data: the only place that knows the order of the rooms."""

from fusionspark.pipeline.rooms import open_source
from fusionspark.pipeline.running import run, score, today

__all__ = ["open_source", "run", "score", "today"]
