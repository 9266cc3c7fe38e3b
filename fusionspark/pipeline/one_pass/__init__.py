"""Scoring in one pass: text and columns go to Python once, and scores come back; see docs/streaming.md."""

from fusionspark.pipeline.one_pass.models import OnePass
from fusionspark.pipeline.one_pass.scoring import score_rows, write_manifest

__all__ = ["OnePass", "score_rows", "write_manifest"]
