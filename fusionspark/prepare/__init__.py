"""Prepare: typed table -> splits, clean text, words, TF-IDF, encoded structured columns."""
