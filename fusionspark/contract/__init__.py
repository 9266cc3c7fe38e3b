"""The data contract: what the source promises, as expressions over a row and as one aggregation over all."""
