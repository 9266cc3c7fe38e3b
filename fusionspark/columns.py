"""Names and schemas of the tables in which the rooms meet.

Schemas are DDL strings, so that code which needs no Spark can import this module. A table may carry
the user's structured columns beside the ones listed here, under the user's own names.
"""

from __future__ import annotations

# Identity of a row, and its place in the experiment.
ROW_ID = "row_id"
SPLIT = "split"
LABEL = "label"

# Text on its way through the rooms, and a hash of all that was collected of a row.
TEXT = "text"
CONTENT_HASH = "content_hash"
CLEAN_TEXT = "clean_text"
TOKENS = "tokens"
# Number of words of each text column, where a row has several.
COLUMN_WORDS = "column_words"
#: Between the texts of several columns, as collected and as cleaned; inside one there is never an empty line.
TEXT_BREAK = "\n\n"

# A picture: as it was collected (a path or bytes), then checked and reduced; and what is wrong with it.
PICTURE = "picture"
PROBLEM = "problem"

# What prepare finds out about a text where it is told to: ISO 639-1 code of the language; every word with its
# Universal POS tag, and the share of each tag; lengths; how often each kind of personal data was masked; the
# least row_id of the near-duplicates that the row belongs to (null: it has none).
LANGUAGE = "language"
WORDS = "words"
POS_TAGS = "pos_tags"
POS_SHARES = "pos_shares"
N_CHARS = "n_chars"
N_WORDS = "n_words"
N_SENTENCES = "n_sentences"
MASKED = "masked"
DUPLICATE_GROUP = "duplicate_group"

# What the language model says about a text.
EMBEDDING = "embedding"
N_TOKENS = "n_tokens"
TRUNCATED = "truncated"
STATUS = "status"
MODEL_DIGEST = "model_digest"
IMAGE_EMBEDDING = "image_embedding"

# A vector in the embedding store: sha-256 (32 bytes) of its content, its bytes and what they are multiplied
# by, and the segment (one append to the store) that holds it.
KEY = "key"
VECTOR = "vector"
SCALE = "scale"
SEGMENT = "segment"

# Feature blocks made by prepare, and the fused vector. A fusion method that learns from the label makes other
# features than the joined blocks, which stay beside them for all that must not know the label (clusters, the
# map), and may have an answer of its own: the probability of each label in order.
TABLE_BLOCK = "table_block"
TFIDF_BLOCK = "tfidf_block"
STATISTICS_BLOCK = "statistics_block"
#: Blocks of the words of one text column start with it, where a row has several; its number follows.
TFIDF_OF_COLUMN = "tfidf_block_"
FEATURES = "features"
JOINED = "joined_blocks"
ANSWER = "fused_answer"

# Results of mining. `scores` maps each class to its probability, or to its margin for algorithms that
# give none (linear SVC): the ranking within one class is comparable over rows either way. Where the label
# is a number it maps `estimate` to what the model makes of it, and `prediction` is that number as text.
ALGORITHM = "algorithm"
PREDICTION = "prediction"
SCORES = "scores"
ESTIMATE = "estimate"
CLUSTER = "cluster"
DISTANCE = "distance"

# Quarantine.
STAGE = "stage"
REASON = "reason"
INPUT = "input"

#: Values of ``split``.
TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

#: Values of ``status``: a vector was made; there was no text; the model failed on this text.
OK, EMPTY, FAILED = "ok", "empty", "failed"

#: Rooms in the order of the data; also the values of ``stage``.
STAGES = ("collect", "prepare", "represent", "fuse", "mine", "report")

#: Names that a user's structured column may not have, because the rooms write them.
RESERVED = frozenset(
    {
        ROW_ID, SPLIT, LABEL, TEXT, CONTENT_HASH, CLEAN_TEXT, TOKENS, EMBEDDING, N_TOKENS, TRUNCATED, STATUS,
        MODEL_DIGEST, TABLE_BLOCK, TFIDF_BLOCK, FEATURES, JOINED, ANSWER, ALGORITHM, PREDICTION, SCORES,
        CLUSTER, DISTANCE, STAGE, REASON, INPUT, PICTURE, PROBLEM, IMAGE_EMBEDDING,
        CLUSTER, DISTANCE, STAGE, REASON, INPUT, LANGUAGE, WORDS, POS_TAGS, POS_SHARES, N_CHARS, N_WORDS,
        N_SENTENCES, MASKED, DUPLICATE_GROUP, STATISTICS_BLOCK, COLUMN_WORDS,
    }
)  # fmt: skip

# Table names, which are folder names in a run.
COLLECTED = "collected"
PREPARED = "prepared"
PICTURES = "pictures"
EMBEDDINGS = "embeddings"
IMAGE_EMBEDDINGS = "image_embeddings"
FEATURE_TABLE = "features"
PREDICTIONS = "predictions"
CLUSTERS = "clusters"
RULES = "rules"
ANOMALIES = "anomalies"
QUARANTINE = "quarantine"

# Fixed columns of each table; user columns come after them.
COLLECTED_DDL = f"{ROW_ID} string, {LABEL} string, {TEXT} string, {CONTENT_HASH} bigint"
PREPARED_DDL = f"{ROW_ID} string, {SPLIT} string, {LABEL} string, {CLEAN_TEXT} string, {TOKENS} array<string>"
EMBEDDINGS_DDL = (
    f"{ROW_ID} string, {EMBEDDING} array<float>, {N_TOKENS} int, {TRUNCATED} boolean, "
    f"{STATUS} string, {MODEL_DIGEST} string"
)
PICTURES_DDL = f"{ROW_ID} string, {PICTURE} binary, {PROBLEM} string, {KEY} binary"
STORED_DDL = (
    f"{KEY} binary, {VECTOR} binary, {SCALE} float, {N_TOKENS} int, {TRUNCATED} boolean, {STATUS} string"
)
PREDICTIONS_DDL = (
    f"{ROW_ID} string, {SPLIT} string, {LABEL} string, {ALGORITHM} string, {PREDICTION} string, "
    f"{SCORES} map<string,double>"
)
CLUSTERS_DDL = f"{ROW_ID} string, {CLUSTER} int, {DISTANCE} double"
#: One row a rule, the first ones most worth reading; see `fusionspark.mine.rules.Rule`.
RULES_DDL = (
    "rank int, antecedent array<string>, consequent array<string>, rows bigint, support double, "
    "confidence double, lift double, leverage double, conviction double, improvement double, p_value double, "
    "q_value double, crosses boolean"
)
#: ``score`` is the share of the training rows that are less odd; ``parts`` a p-value a detector.
ANOMALIES_DDL = (
    f"{ROW_ID} string, score double, flagged boolean, parts map<string,double>, reasons array<string>"
)
QUARANTINE_DDL = f"{ROW_ID} string, {STAGE} string, {REASON} string, {INPUT} string"


def tfidf_blocks(text_columns: int) -> list[str]:
    """TF-IDF of all words of a row and, where they are of several text columns, of those of each."""
    return [TFIDF_BLOCK, *[f"{TFIDF_OF_COLUMN}{i}" for i in range(text_columns) if text_columns > 1]]
