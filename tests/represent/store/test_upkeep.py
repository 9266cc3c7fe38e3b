"""The verbs on a small store that is written by hand, so that no model is needed."""

import hashlib
import json

import numpy as np
import pytest
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.errors import ConfigError, ModelMismatchError
from fusionspark.one_model import check_one_model
from fusionspark.represent.store.embedding_store import EmbeddingStore
from fusionspark.represent.store.segments import Seal
from fusionspark.represent.store.space import Space
from fusionspark.represent.store.upkeep import compact, doomed, drop, spaces, verify
from fusionspark.represent.store.verdicts import Verdicts


def vector(*values):
    return np.array(values, dtype="<f4").tobytes()


def rows(names, value, status=c.OK):
    found = None if status != c.OK else vector(value, 1.0)
    return [(hashlib.sha256(n.encode()).digest(), found, 1.0, 3, False, status) for n in names]


def put(store, number, stored):
    """One sealed segment."""
    segment = store.folder.segment(number)
    store.spark.createDataFrame(stored, c.STORED_DDL).coalesce(1).write.parquet(
        segment.path, mode="overwrite"
    )
    (store.folder.files).delete(f"{segment.path}/_SUCCESS")
    store.folder.seal(segment, Seal(0, 0, len(stored), 1, len(stored), 2.0, len(stored), float(len(stored))))


@pytest.fixture
def store(spark, tmp_path):
    made = EmbeddingStore(spark, str(tmp_path), Space("ab" * 32, "float32"), "tiny")
    text = json.dumps({**made.space.to_dict(), "model": "tiny"})
    made.folder.files.write_text(f"{made.folder.path}/space.json", text)
    put(made, 1, rows("abc", 0.5))
    put(made, 2, rows("cd", 0.25) + rows("f", 0.0, c.FAILED))
    made.open()
    return made


def test_compaction_keeps_the_oldest_of_each_key_and_adds_the_figures_up(spark, store):
    assert compact(store) == (2, 4)
    assert len(store.segments) == 1
    seal = store.segments[0].seal
    assert (seal.rows, seal.texts, seal.seconds) == (4, 6, 4.0)
    found = {bytes(row.key): row.vector for row in store.read([store.segments[0].path]).collect()}
    expected = rows("abc", 0.5) + rows("d", 0.25)
    assert found == {row[0]: row[1] for row in expected}
    assert compact(store) == (0, 0), "nothing left to do"
    assert verify(store).broken == ()


def test_verify_names_what_is_wrong(spark, store):
    found = verify(store)
    assert (found.rows, found.keys) == (6, 5)
    assert found.broken == ("1 keys with vectors that differ; runs take the oldest",)
    put(store, 3, [(b"short", vector(1.0), 1.0, 3, False, c.OK)])
    store.open()
    assert verify(store).broken[:2] == (
        "1 rows whose key is not 32 bytes", "1 lengths of vectors beside the first one",
    )  # fmt: skip


def test_verify_looks_at_every_number_and_at_the_bucket_of_every_key(spark, store):
    put(store, 3, [(hashlib.sha256(b"nan").digest(), vector(float("nan"), 1.0), 1.0, 3, False, c.OK)])
    seal = store.folder.segment(1)
    # Two buckets, and all keys in the file of the first one.
    store.folder.seal(seal, Seal(0, 0, 3, 2))
    store.open()
    second = [name for name in "abc" if spark.range(1).select(bucket(name)).collect()[0][0] == 1]
    misplaced = "rows in a file of another bucket, where a look-up of few keys would miss them"
    assert verify(store).broken == (
        "1 rows whose vector holds NaN or infinity",
        *([f"{len(second)} {misplaced}"] if second else []),
        "1 keys with vectors that differ; runs take the oldest",
    )


def bucket(name):
    key = F.lit(bytearray(hashlib.sha256(name.encode()).digest()))
    return F.pmod(F.hash(key), F.lit(2))


def test_drop_wants_a_prefix_of_one_model(spark, store):
    with pytest.raises(ConfigError, match=r"0 models .*abababababab \(tiny\)"):
        doomed(spark, store.path, "ff")
    with pytest.raises(ConfigError, match="digits"):
        doomed(spark, store.path, "")
    verdicts = Verdicts(store.folder.files, store.path)
    for model, digest in (("ab" * 32, "ab" * 32), ("ab" * 32, "12" * 32), ("cd" * 32, "cd" * 32)):
        verdicts.keep({"model": model, "of": digest}, {"precision": "int8", "facts": {}}, digest)
    what = doomed(spark, store.path, "abab")
    assert [one.space for one in what.spaces] == [store.space]
    assert len(what.verdicts) == 2
    assert len(list(spaces(spark, store.path))) == 1, "only said so far"
    drop(spark, what)
    assert list(spaces(spark, store.path)) == []
    assert verdicts.of({"model": "ab" * 32, "of": "ab" * 32}) is None
    assert verdicts.of({"model": "cd" * 32, "of": "cd" * 32}) == {"precision": "int8", "facts": {}}


def test_vectors_of_two_models_are_counted_and_refused(spark):
    table = spark.createDataFrame([("a" * 64,)] * 2 + [("b" * 64,)], "model_digest string")
    with pytest.raises(ModelMismatchError, match=r"2 rows of aaaaaaaaaaaa, 1 rows of bbbbbbbbbbbb"):
        check_one_model(table, "embeddings")
    check_one_model(table.limit(0), "embeddings")
    check_one_model(table.where("model_digest LIKE 'a%'"), "embeddings")
