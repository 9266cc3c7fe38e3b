"""Rows scored as they arrive: micro-batches through one pass, each written once; see docs/streaming.md."""
