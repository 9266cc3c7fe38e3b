"""fusionspark: fuse language-model features of text with structured columns on Spark, and mine the result."""
