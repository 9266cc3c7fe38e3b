"""Stacking: no answer depends on a row's own label, whatever the folds are made by."""

import json

import numpy as np
import pytest
from planted import LAYOUT, frame, planted
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F
from scipy import sparse

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.fuse.block_layout import layout_of
from fusionspark.fuse.cross_fit import BlockModels, cross_fit
from fusionspark.fuse.folds import NEW, fold_of
from fusionspark.fuse.softmax import log_loss
from fusionspark.fuse.stacker import Stacker, StackerModel


def said(model, rows):
    out = model.transform(rows).select("row_id", vector_to_array("features").alias("x")).orderBy("row_id")
    return np.array([row.x for row in out.collect()])


@pytest.fixture(scope="module")
def rows(spark):
    made = frame(spark, "text", 160).cache()
    made.count()
    return made


@pytest.fixture(scope="module")
def model(rows):
    return Stacker(keptBlocks=["table"], numFolds=3).fit(rows)


def test_probabilities_of_each_block_and_the_kept_columns_after_them(rows, model):
    assert model.layout == {"text says": (0, 2), "table says": (2, 4), "table": (4, 8)}
    out = model.transform(rows)
    assert layout_of(out, "features") == model.layout
    values = said(model, rows)
    assert np.exp(values[:, 0:2]).sum(1) == pytest.approx(1) and np.exp(values[:, 2:4]).sum(
        1
    ) == pytest.approx(1)
    vectors, labels = planted("text", 160)
    assert values[:, 4:8] == pytest.approx(vectors[:, 7:11], abs=1e-6)
    assert ((values[:, 1] > values[:, 0]) == labels).mean() > 0.8, "the text's model"
    assert ((values[:, 3] > values[:, 2]) == labels).mean() < 0.65, "the table knows nothing"


def test_the_answer_to_a_row_never_depends_on_its_label(rows, model):
    changed = rows.withColumn(
        "label", F.when(F.col("row_id") == "r0007", F.when(F.col("label") == "yes", "no").otherwise("yes"))
        .otherwise(F.col("label")),
    )  # fmt: skip
    again = Stacker(keptBlocks=["table"], numFolds=3).fit(changed)
    before, after = said(model, rows), said(again, rows)
    # The penalty is chosen once for all folds; with it equal, the row's own models are the same.
    assert [b.penalty for b in model.blocks] == [b.penalty for b in again.blocks]
    assert before[7] == pytest.approx(after[7]) and not np.allclose(before, after)


def test_permuted_labels_give_chance():
    vectors, labels = planted("text", 400)
    folds, hits = np.arange(400) % 5, []
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(labels)
        models = BlockModels("text", 0, 7, *cross_fit(vectors[:, :7], shuffled, folds, 2, 5, past_only=False))
        hits.append((models.log_probabilities(vectors[:, :7], folds).argmax(1) == shuffled).mean())
    # 2000 coins: a deviation of 0.035 is more than three standard errors.
    assert abs(np.mean(hits) - 0.5) < 0.035


def test_the_weight_of_a_block_changes_nothing():
    vectors, labels = planted("text", 200)
    vectors, folds = sparse.csr_matrix(vectors), np.arange(200) % 4
    whole, half = (
        BlockModels("text", 0, 11, *cross_fit(vectors * weight, labels, folds, 2, 4, past_only=False))
        for weight in (1.0, 0.5)
    )
    assert whole.penalty == half.penalty
    assert half.log_probabilities(vectors * 0.5, folds) == pytest.approx(
        whole.log_probabilities(vectors, folds), abs=0.02
    )


def test_rows_that_an_encoder_has_not_seen_choose_the_penalty_and_are_not_learnt_from():
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, 600)
    vectors = np.concatenate(
        [labels[:, None] + random.normal(0, 1.5, (600, 1)), random.normal(size=(600, 60))], 1
    )
    fresh = np.arange(600) >= 400
    # What an encoder knows by heart of the rows that it was tuned on, it does not know of others.
    vectors[~fresh, 1:] += 0.25 * (2 * labels[~fresh] - 1)[:, None]
    folds, choosing = np.arange(600) % 4, np.arange(600) >= 500
    seen, judges = ~fresh, np.flatnonzero(fresh & ~choosing)
    deceived = cross_fit(vectors[seen], labels[seen], folds[seen], 2, 4, past_only=False)
    known = seen | choosing

    def chosen(classes):
        return cross_fit(
            vectors[known], classes[known], folds[known], 2, 4, past_only=False, choosing=choosing[known]
        )

    honest = chosen(labels)
    assert honest[0] > deceived[0]
    losses = []
    for found in (honest, deceived):
        said = BlockModels("text", 0, 61, *found).log_probabilities(vectors[judges], folds[judges])
        losses.append(log_loss(said, labels[judges]))
    assert losses[0] < losses[1]
    flipped = np.where(choosing, 1 - labels, labels)
    other = chosen(flipped)
    assert other[0] != honest[0] or np.array_equal(other[1], honest[1]), (
        "no model learns from those that choose"
    )


def test_a_part_that_knows_the_other_folds_by_heart_tells_nothing_of_its_own():
    random = np.random.default_rng(6)
    labels, folds = random.integers(0, 2, 900), np.arange(900) % 3
    fresh = np.arange(900) >= 600
    signs = 2 * labels[:, None] - 1
    parts = []
    for part in range(3):
        vectors = random.normal(size=(900, 8))
        vectors[:, :1] += 0.7 * signs
        by_heart = ~fresh & (folds != part)
        vectors[by_heart, :1] += 3 * signs[by_heart]
        parts.append(vectors)
    block = np.hstack(parts)
    given, classes, seen = block[~fresh], labels[~fresh], folds[~fresh]

    def accuracies(folded):
        found = cross_fit(given, classes, seen, 2, 3, past_only=False, folded=folded)
        assert found[1].shape == (3, 2, 24)
        hits = BlockModels("text", 0, 24, *found).log_probabilities(block, folds).argmax(1) == labels
        return hits[~fresh].mean(), hits[fresh].mean()

    deceived, honest = accuracies(folded=False), accuracies(folded=True)
    assert deceived[0] > 0.99, "all parts together know every training row"
    # Standard errors of the two figures are .018 and .025.
    assert abs(honest[0] - honest[1]) < 0.09
    assert 0.65 < honest[1] < 0.85, "what is in the text of new rows"


def test_each_model_reads_its_own_part_and_validation_rows_stay_apart():
    random = np.random.default_rng(7)
    labels, folds = random.integers(0, 3, 300), np.arange(300) % 4
    # Four parts of five columns, and one that all models read.
    vectors, choosing = random.normal(size=(300, 21)) + labels[:, None], np.arange(300) < 60
    options = {"past_only": False, "folded": True, "choosing": choosing}
    penalty, weights, _ = cross_fit(sparse.csr_matrix(vectors), labels, folds, 3, 4, **options)
    for fold in range(4):
        others = np.arange(21) < 20
        others[fold * 5 : fold * 5 + 5] = False
        assert not weights[fold][:, others].any() and weights[fold][:, ~others].all()
    changed = np.where(choosing, (labels + 1) % 3, labels)
    again = cross_fit(sparse.csr_matrix(vectors), changed, folds, 3, 4, **options)
    assert again[0] != penalty or np.array_equal(again[1], weights)


def test_new_rows_are_answered_by_all_encoders_and_rows_that_were_learnt_from_by_the_one_that_was_not(
    rows, tmp_path
):
    chooses = rows.withColumn("chooses", F.col("split") == "validation")
    options = {"foldedBlocks": ["text"], "numFolds": 3, "validationIndicatorCol": "chooses"}
    fitted = Stacker(**options).fit(chooses.where("split != 'test'"))
    fitted.write().overwrite().save(str(tmp_path / "m"))
    values = said(fitted, rows)
    assert np.array_equal(said(StackerModel.load(str(tmp_path / "m")), rows), values)

    vectors, _ = planted("text", 160)
    facts = rows.select(
        "split", fold_of("row_id", 3, 42).alias("fold"), fitted.fold().alias("asked"), "row_id"
    )
    told = facts.orderBy("row_id").toPandas()
    learnt = (told.split == "train").to_numpy()
    assert (told.asked[learnt] == told.fold[learnt]).all() and (told.asked[~learnt] == NEW).all()
    for block, columns in zip(fitted.blocks, (slice(0, 2), slice(2, 4)), strict=True):
        part = sparse.csr_matrix(vectors[:, block.start : block.end], dtype=np.float32)
        each = np.array([block.log_probabilities(part, np.full(160, fold)) for fold in range(3)])
        own = each[told.fold, np.arange(160)]
        assert values[learnt, columns] == pytest.approx(own[learnt], abs=1e-6)
        assert values[~learnt, columns] == pytest.approx(np.log(np.exp(each).mean(0))[~learnt], abs=1e-6)


def test_in_time_only_the_past_answers():
    vectors, labels = planted("text", 200)
    folds = np.arange(200) // 50
    before = cross_fit(vectors, labels, folds, 2, 4, past_only=True)
    later = labels.copy()
    later[100:] = 1 - later[100:]
    after = cross_fit(vectors, later, folds, 2, 4, past_only=True)
    first, second = (BlockModels("all", 0, 11, 1e-3, *found[1:]) for found in (before, after))
    assert before[1].shape == (5, 2, 11), "one model more, for rows after all of these"
    early = first.log_probabilities(vectors[50:150], folds[50:150])
    assert (early.argmax(1) == labels[50:150]).mean() > 0.8
    if before[0] == after[0]:
        assert early == pytest.approx(second.log_probabilities(vectors[50:150], folds[50:150]))
    flat = first.log_probabilities(vectors[:50], folds[:50])
    assert np.allclose(flat, flat[0]), "no past, so the shares of the classes"


def test_folds_by_time_in_spark(rows):
    fitted = Stacker(numFolds=4, foldBy="time", foldCol="day").fit(rows)
    assert len(fitted.bounds) == 4 and fitted.bounds[-1] > 159
    values = said(fitted, rows)
    assert len({tuple(row) for row in values[:39].round(6)}) == 1 and len(fitted.blocks[0].bias) == 5


def test_groups_stay_together(rows):
    grouped = rows.withColumn("group", F.substring("row_id", 1, 4))
    found = grouped.select("group", fold_of("group", 3, 42).alias("fold")).distinct()
    assert found.count() == found.select("group").distinct().count()
    assert said(Stacker(numFolds=3, foldCol="group").fit(grouped), grouped).shape == (160, 4)


def test_results_do_not_depend_on_the_partitioning(rows, model):
    other = Stacker(keptBlocks=["table"], numFolds=3).fit(rows.repartition(7))
    assert np.array_equal(said(model, rows), said(other, rows.coalesce(1)))


def test_a_saved_model_says_the_same(rows, model, tmp_path):
    model.write().overwrite().save(str(tmp_path / "m"))
    loaded = StackerModel.load(str(tmp_path / "m"))
    assert (loaded.uid, loaded.layout, loaded.getLabels()) == (model.uid, model.layout, ["no", "yes"])
    assert np.array_equal(said(loaded, rows), said(model, rows))
    assert json.loads(json.dumps(model.blocks[0].to_dict())) == model.blocks[0].to_dict()


def test_bad_input_is_named(spark, rows):
    with pytest.raises(DataContractError, match=r"have 1 class\(es\): 'yes'"):
        Stacker().fit(rows.withColumn("label", F.lit("yes")))
    with pytest.raises(DataContractError, match="have 0 class"):
        Stacker().fit(rows.withColumn("label", F.lit(None).cast("string")))
    with pytest.raises(ConfigError, match="carries no layout"):
        bare = rows.withColumn("joined_blocks", F.col("joined_blocks").alias("joined_blocks", metadata={}))
        Stacker().fit(bare)
    with pytest.raises(ConfigError, match="no block 'picture'"):
        Stacker(keptBlocks=["picture"]).fit(rows)
    with pytest.raises(ConfigError, match="foldBy"):
        Stacker(foldBy="moon").fit(rows)
    with pytest.raises(ConfigError, match="foldedBlocks: no block 'picture'"):
        Stacker(foldedBlocks=["picture"]).fit(rows)
    with pytest.raises(ConfigError, match=r"block 'text' has 7 columns\. Allowed: a multiple of the 5 folds"):
        Stacker(foldedBlocks=["text"], numFolds=5).fit(rows)
    with pytest.raises(ConfigError, match="foldBy: is 'time', and blocks have a part for each fold"):
        Stacker(foldedBlocks=["text"], numFolds=7, foldBy="time", foldCol="day").fit(rows)


def test_a_class_with_fewer_rows_than_folds_and_labels_unseen_are_no_trouble(rows):
    rare = rows.withColumn("label", F.when(F.col("row_id") == "r0001", "rare").otherwise(F.col("label")))
    fitted = Stacker(numFolds=5, labels=["no", "rare", "yes"]).fit(rare)
    values = said(fitted, rows)
    assert np.isfinite(values).all() and values.shape == (160, 6)
    fewer = Stacker(labels=["no", "yes"]).fit(rare)
    assert np.isfinite(said(fewer, rare)).all(), "the row of another label is left out of the fit"
    assert LAYOUT["table"] == (7, 11)
