"""represent: text and picture columns become ``array<float>`` embeddings.

The engine (`engine`, `encoders`) knows no Spark; the stages around it (`text_embedder`) are lazy
``pyspark.ml`` Transformers. Import from the modules: this file stays empty, so that engine code never
pulls in pyspark.
"""
