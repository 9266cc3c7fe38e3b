"""Explanations of the predictions of a run: perturbed rows go through its models in a few Spark jobs."""
