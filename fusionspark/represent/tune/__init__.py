"""Tuning: an encoder is adapted to a label, and becomes a model folder like any other. It knows no Spark.

`tuner.tune_encoder` is the way in for texts in memory; `training.train` is what one process of several runs.
"""
