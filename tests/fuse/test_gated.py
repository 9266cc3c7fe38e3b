"""The gated network finds interactions, bears missing blocks, and trains alike in one process and in two."""

import numpy as np
import pytest
from planted import LAYOUT, METADATA, frame, planted
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.fuse.gated import GatedFuser, GatedFuserModel
from fusionspark.fuse.gated_network import NetworkSpec, answer, load, train
from fusionspark.fuse.row_files import RowFiles, shares

torch = pytest.importorskip("torch")


def batches(vectors, labels, size=64):
    def epoch(number):
        order = np.random.default_rng(number).permutation(len(labels)) if number else np.arange(len(labels))
        for start in range(0, len(order), size):
            part = order[start : start + size]
            yield vectors[part].astype("f4"), labels[part].astype("i8")

    return epoch


def spec(**changes):
    kept = {"encoder": 16, "hidden": 16, "learning_rate": 5e-3, "max_epochs": 40, "patience": 8}
    return NetworkSpec(tuple(LAYOUT.values()), 2, **{**kept, **changes})


def trained(signal, rows=800):
    vectors, labels = planted(signal, rows)
    learn, stop, test = slice(0, rows // 2), slice(rows // 2, rows * 5 // 8), slice(rows * 5 // 8, rows)
    found = train(
        spec(), batches(vectors[learn], labels[learn]), batches(vectors[stop], labels[stop]), rows // 128
    )
    network = load(spec(), found["weights"])
    said, _ = answer(network, vectors[test].astype("f4"))
    return network, (said.argmax(1) == labels[test]).mean(), found


@pytest.mark.parametrize(("signal", "least"), [("text", 0.85), ("table", 0.85), ("xor", 0.8)])
def test_it_finds_each_signal_and_the_interaction(signal, least):
    torch.set_num_threads(1)
    assert trained(signal)[1] > least


def test_noise_ends_early_and_at_chance():
    _, right, found = trained("none")
    assert 0.38 < right < 0.62 and found["best_epoch"] < 20


def test_a_missing_block_closes_its_way_and_leaves_the_other():
    network, _, _ = trained("table")
    vectors, labels = planted("table", 200, seed=9)
    # A missing block comes as zeros with its indicator set.
    vectors[:, :7] = 0
    vectors[:, 6] = 1
    said, hidden = answer(network, vectors.astype("f4"))
    assert (said.argmax(1) == labels).mean() > 0.8
    assert np.isfinite(hidden).all() and hidden.min() >= 0 and said.sum(1) == pytest.approx(1, abs=1e-5)
    both = np.zeros((1, 11), dtype="f4")
    both[0, [6, 10]] = 1
    assert np.isfinite(answer(network, both)[0]).all()


def test_the_same_rows_give_the_same_weights():
    vectors, labels = planted("text", 100)
    once, again = (
        train(spec(max_epochs=3), batches(vectors, labels), batches(vectors, labels), 2)["weights"]
        for _ in "ab"
    )
    assert once == again


def test_files_are_shared_out_by_rows():
    given = shares([("a", 5), ("b", 1), ("c", 4), ("d", 2)], 2)
    assert [sum(n for _, n in own) for own in given] == [6, 6]
    assert shares([("a", 5)], 2) == [[("a", 5)], []]


@pytest.fixture(scope="module")
def rows(spark):
    made = frame(spark, "text", 200).cache()
    made.count()
    return made


@pytest.fixture(scope="module")
def model(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gated") / "rows"
    fitted = GatedFuser(
        rowsDir=str(folder), numTasks=1, encoderUnits=16, hiddenUnits=8, maxIter=40
    ).fit(rows)  # fmt: skip
    assert not folder.exists(), "the rows are deleted after the fit"
    return fitted


def test_it_adds_the_hidden_layer_and_probabilities(rows, model):
    out = model.transform(rows).collect()
    assert len(out) == 200 and len(out[0].features) == 8 and model.getLabels() == ["no", "yes"]
    right = [("no", "yes")[int(np.argmax(row.fused_answer))] == row.label for row in out]
    assert np.mean(right) > 0.75


def test_saved_as_safetensors_and_loaded_alike(rows, model, tmp_path):
    model.write().overwrite().save(str(tmp_path / "m"))
    assert (tmp_path / "m" / "network.safetensors").read_bytes() == model.weights
    loaded = GatedFuserModel.load(str(tmp_path / "m"))
    assert (loaded.uid, loaded.spec, loaded.facts) == (model.uid, model.spec, model.facts)
    first, second = (
        m.transform(rows).select("row_id", "fused_answer").orderBy("row_id").collect()
        for m in (model, loaded)
    )
    assert first == second


def test_rows_are_streamed_in_buffers(spark, rows, tmp_path):
    fuser = GatedFuser(rowsDir=str(tmp_path / "rows"), numTasks=2)
    files = fuser._write(rows, ["no", "yes"])
    assert len(files) == 4 and sum(n for _, n in files) == 200
    paths = [path for path, _ in files]
    whole = RowFiles(paths, False, 16, 10_000, 1)
    small = RowFiles(paths, False, 16, 20, 1)
    judged = RowFiles(paths, True, 16, 10_000, 1)
    counts = [sum(len(c) for _, c in source(1)) for source in (whole, small, judged)]
    assert counts[0] == counts[1] and counts[0] + counts[2] == 200 and 10 < counts[2] < 60
    assert sum(len(c) for _, c in whole(2)) == counts[0], "a second epoch, from memory"
    again = fuser._write(rows.repartition(7), ["no", "yes"])
    assert [n for _, n in again] == [n for _, n in files]


def test_bad_input_is_named(rows, tmp_path):
    with pytest.raises(ConfigError, match="rowsDir"):
        GatedFuser().fit(rows)
    with pytest.raises(DataContractError, match="1 class"):
        GatedFuser(rowsDir=str(tmp_path / "r")).fit(rows.withColumn("label", F.lit("yes")))


@pytest.mark.slow
@pytest.mark.parametrize("local", [True, False])
def test_several_processes_train_one_network(spark, tmp_path, local):
    rows = frame(spark, "xor", 2400)
    fuser = GatedFuser(
        rowsDir=str(tmp_path / "rows"),
        numTasks=2,
        localMode=local,
        encoderUnits=16,
        hiddenUnits=16,
        maxIter=150,
    )
    out = fuser.fit(rows.where("split = 'train'")).transform(rows.where("split = 'test'")).collect()
    right = [("no", "yes")[int(np.argmax(row.fused_answer))] == row.label for row in out]
    assert np.mean(right) > 0.75


def test_a_missing_modality_at_score_time(spark, model):
    gone = [0.0] * 6 + [1.0] + [0.5, 0.0, 0.0, 0.0]
    one = spark.createDataFrame([("x", gone)], "row_id string, v array<double>").select(
        "row_id", array_to_vector("v").alias("joined_blocks", metadata=METADATA)
    )
    assert sum(model.transform(one).first().fused_answer) == pytest.approx(1, abs=1e-5)
