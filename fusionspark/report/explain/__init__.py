"""Explanations of predictions: which perturbed rows to ask the model about, and what its answers mean.

Plain numpy; who asks the model is the pipeline's business.
"""
