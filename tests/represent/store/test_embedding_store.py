"""The store on a tiny model: look-ups, appends, torn files, drift, two runs at once."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusionspark import columns as c
from fusionspark.errors import ModelMismatchError
from fusionspark.represent.loading import EngineSettings, build_engine
from fusionspark.represent.monitor import counters_accumulator
from fusionspark.represent.store.embedding_store import (
    EmbeddingStore,
    Encoding,
    bucket_of,
    bucket_of_file,
    buckets_for,
)
from fusionspark.represent.store.space import Space

TEXTS = ["the cat sat", "a dog ran", "the red mat", "slow and blue", "a hill", "over the hill"]


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def contents(spark, texts):
    return spark.createDataFrame([(digest(t), t) for t in texts], f"{c.KEY} binary, {c.CLEAN_TEXT} string")


def encoding(spark, model, **changes):
    settings = EngineSettings(model=str(model), long_text="error")
    return replace(Encoding(settings, counters_accumulator(spark), rows_per_task=2), **changes)


def opened(spark, path, dtype="float32") -> EmbeddingStore:
    store = EmbeddingStore(spark, str(path), Space("ab" * 32, "float32", dtype=dtype), "tiny")
    store.open()
    return store


def held(store: EmbeddingStore, texts) -> dict[str, np.ndarray | None]:
    """Vector that a run would read for each text; texts that are not known are left out."""
    known = {bytes(row.key): row.segment for row in store.known([s.path for s in store.segments]).collect()}
    there = [text for text in texts if digest(text) in known]
    rows = store.spark.createDataFrame(
        [(text, digest(text), known[digest(text)]) for text in there],
        f"{c.ROW_ID} string, {c.KEY} binary, {c.SEGMENT} long",
    )
    found = store.vectors(rows, [s.path for s in store.segments]).collect()
    return {row.row_id: row.embedding and np.array(row.embedding, dtype=np.float32) for row in found}


@pytest.fixture(scope="module")
def filled(spark, tmp_path_factory, tiny_bert) -> Path:
    """Six texts in four files of one segment."""
    path = tmp_path_factory.mktemp("filled")
    opened(spark, path).append(contents(spark, TEXTS), len(TEXTS), encoding(spark, tiny_bert))
    return path


@pytest.fixture
def copy(filled, tmp_path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "copy"))


def parquet(path: Path) -> list[Path]:
    return sorted(path.rglob("segments/*/*.parquet"))


@pytest.mark.smoke
def test_what_was_appended_is_known_and_read_back(spark, filled, tiny_bert):
    store = opened(spark, filled)
    seal = store.segments[0].seal
    assert (seal.rows, seal.texts, seal.buckets, seal.measured) == (6, 6, 4, 6)
    assert (seal.files, seal.bytes) == (len(parquet(filled)), sum(p.stat().st_size for p in parquet(filled)))
    assert seal.lowest_cosine == 1.0
    found = held(store, [*TEXTS, "never seen"])
    assert sorted(found) == sorted(TEXTS)
    expected = build_engine(EngineSettings(model=str(tiny_bert))).encode(TEXTS).embeddings
    np.testing.assert_allclose([found[text] for text in TEXTS], expected, atol=1e-6)


@pytest.mark.smoke
def test_each_file_holds_one_bucket_and_a_look_up_of_few_keys_reads_few_files(spark, filled):
    """What `near` prunes by is Spark's own behaviour, so it is looked at on every Spark line."""
    from pyspark.sql import functions as F

    store = opened(spark, filled)
    for path in parquet(filled):
        buckets = spark.read.parquet(str(path)).select(F.pmod(F.hash(c.KEY), F.lit(4))).distinct().collect()
        assert [row[0] for row in buckets] in ([bucket_of_file(path.name)], [])
    one = contents(spark, TEXTS[:1])
    files = store.near(one, rows=1)
    assert len(files) == 1
    assert files[0].endswith(".parquet")
    assert digest(TEXTS[0]) in {bytes(row.key) for row in store.read(files).collect()}
    assert store.near(one, rows=100) == [store.segments[0].path], "many keys: whole folders"


def test_an_empty_store_and_texts_that_the_model_failed_on(spark, tmp_path):
    store = opened(spark, tmp_path)
    assert held(store, TEXTS) == {}
    rows = [
        (digest("bad"), None, None, 5, False, c.FAILED),
        (digest("nothing"), None, None, 0, False, c.EMPTY),
    ]
    segment = store.folder.segment(7)
    spark.createDataFrame(rows, c.STORED_DDL).write.parquet(segment.path)
    store.open()
    assert held(store, ["bad", "nothing"]) == {"nothing": None}, "failed texts are tried again"


@pytest.mark.slow
def test_the_oldest_of_equal_keys_is_taken_whatever_the_order_of_files(spark, copy):
    store = opened(spark, copy)
    first = held(store, TEXTS)
    zeros = [(digest(t), bytes(64), 1.0, 5, False, c.OK) for t in TEXTS]
    number = store.segments[0].number
    for other in (number + 1, number + 2):
        spark.createDataFrame(zeros, c.STORED_DDL).write.parquet(store.folder.segment(other).path)
    store.open()
    np.testing.assert_array_equal(list(held(store, TEXTS).values()), list(first.values()))
    spark.createDataFrame(zeros, c.STORED_DDL).write.parquet(store.folder.segment(number - 1).path)
    store.open()
    assert not np.any(list(held(store, TEXTS).values()))


@pytest.mark.parametrize("kept", [0.5, 0.99, 0])
def test_a_torn_file_is_set_aside_and_only_its_keys_are_missing(spark, copy, kept):
    store = opened(spark, copy)
    victim = parquet(copy)[-1]
    lost = {bytes(row.key) for row in spark.read.parquet(str(victim)).collect()}
    whole = victim.read_bytes()
    victim.write_bytes(whole[: int(len(whole) * kept)])
    store.open()
    assert store.torn == [f"{store.segments[0].number}-{victim.name}"]
    assert (copy / store.space.folder / "torn" / store.torn[0]).exists()
    assert sorted(held(store, TEXTS)) == sorted(t for t in TEXTS if digest(t) not in lost)
    again = opened(spark, copy)
    assert again.torn == [], "looked at once"


@pytest.mark.slow
def test_a_file_that_is_broken_inside_is_found_by_mending(spark, copy):
    store = opened(spark, copy)
    victim = parquet(copy)[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:8] + bytes(len(whole) - 16) + whole[-8:])
    store.open()
    assert store.torn == [], "its ends look whole"
    with pytest.raises(Exception):  # noqa: B017 - which one depends on the Spark line
        held(store, TEXTS)
    assert store.mend()
    assert len(store.torn) == 1
    assert 0 < len(held(store, TEXTS)) < len(TEXTS)
    assert not store.mend(), "nothing more to mend"


@pytest.mark.slow
def test_an_append_that_died_keeps_what_its_tasks_had_done(spark, tmp_path, tiny_bert):
    store = opened(spark, tmp_path)
    # Eight tasks on two cores; a text that no task survives is in the last one.
    texts = [f"{text} {word}" for text in TEXTS for word in "ab"]
    candidates = contents(spark, [f"{'the ' * 60}{word}" for word in "abcdefghijklmnop"])
    long = candidates.where(bucket_of(8) == 7).first()[c.CLEAN_TEXT]
    with pytest.raises(Exception, match="too long"):
        store.append(contents(spark, [*texts, long]), 13, encoding(spark, tiny_bert))
    store.open()
    assert [one.seal for one in store.segments] == [None]
    kept = held(store, texts)
    assert 3 <= len(kept) < len(texts)
    assert store.torn == []
    rest = [text for text in texts if text not in kept]
    store.append(contents(spark, rest), len(rest), encoding(spark, tiny_bert))
    found = held(store, texts)
    expected = build_engine(EngineSettings(model=str(tiny_bert))).encode(texts).embeddings
    np.testing.assert_allclose([found[text] for text in texts], expected, atol=1e-6)


@pytest.mark.slow
def test_a_model_that_drifted_appends_nothing(spark, copy, tiny_bert):
    store = opened(spark, copy)
    file = next((copy / store.space.folder).glob("canary-*.json"))
    told = json.loads(file.read_text())
    told["vectors"] = [[-x for x in row] for row in told["vectors"]]
    store.folder.files.write_text(str(file), json.dumps(told))
    with pytest.raises(ModelMismatchError, match=r"distance 2\b.*canary_tolerance = 0.02; nothing was app"):
        store.append(contents(spark, ["a blue cat"]), 1, encoding(spark, tiny_bert))
    store.open()
    assert len(store.segments) == 1
    store.append(contents(spark, ["a blue cat"]), 1, encoding(spark, tiny_bert, canary_tolerance=2.1))
    assert len(held(store, ["a blue cat"])) == 1


def test_a_folder_of_another_space_is_refused(spark, copy):
    store = opened(spark, copy)
    path = copy / store.space.folder / "space.json"
    told = Space("cd" * 32, "float32").to_dict()
    store.folder.files.write_text(str(path), json.dumps(told))
    with pytest.raises(ModelMismatchError, match=r"holds vectors of space .*cdcdcdcdcdcd.*abababababab"):
        store.open()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_smaller_types_state_their_loss(spark, tmp_path, tiny_bert, dtype):
    store = opened(spark, tmp_path, dtype)
    store.append(contents(spark, TEXTS), len(TEXTS), encoding(spark, tiny_bert))
    sums = store.figures()
    assert 0.999 < sums.lowest_cosine < 1.0
    assert sums.lowest_cosine <= sums.sum_cosine / sums.measured < 1.0
    expected = build_engine(EngineSettings(model=str(tiny_bert))).encode(TEXTS).embeddings
    found = held(store, TEXTS)
    np.testing.assert_allclose([found[t] for t in TEXTS], expected, atol=0.5 / 127)


@pytest.mark.slow
def test_two_appends_at_once_lose_nothing(spark, tmp_path, tiny_bert):
    texts = [f"the cat {word}" for word in "abcdefghijklmnop"]
    halves = texts[:11], texts[5:]

    def append(some):
        store = opened(spark, tmp_path)
        store.append(contents(spark, some), len(some), encoding(spark, tiny_bert))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(append, halves))
    store = opened(spark, tmp_path)
    assert len(store.segments) == 2
    assert store.torn == []
    found = held(store, texts)
    expected = build_engine(EngineSettings(model=str(tiny_bert))).encode(texts).embeddings
    np.testing.assert_allclose([found[t] for t in texts], expected, atol=1e-6)


def test_tasks_are_powers_of_two_and_small_nights_use_several_cores():
    assert [buckets_for(n, 250) for n in (1, 63, 128, 256, 400, 1000, 1001, 20_000)] == [
        1, 1, 2, 2, 2, 4, 8, 128,
    ]  # fmt: skip
