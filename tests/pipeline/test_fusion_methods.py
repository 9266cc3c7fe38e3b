"""Each fusion method inside a run: classifiers, clusters and the page work with all of them."""

import pytest
from test_pipeline import DATE, reviews, settings

from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.pipeline.explain.explaining import explain
from fusionspark.pipeline.explain.predictor import Predictor
from fusionspark.pipeline.explain.subject import Asked
from fusionspark.tables import RunFolder

pytestmark = pytest.mark.slow


def quiet(line):
    del line


@pytest.fixture(scope="module")
def concat(spark, tmp_path_factory, tiny_bert) -> tuple[Config, dict]:
    folder = tmp_path_factory.mktemp("methods")
    # Most rows have a second text, before the first one.
    source = {"derive": {"title": "if(n < 5, substring_index(text, ' ', 2), null)"}}
    config = settings(
        reviews(spark, folder / "in", rows=80), folder / "out", tiny_bert,
        source={"path": str(folder / "in"), **source}, columns={"text": ["title", "text"]},
        report={"receipt": {}},
    )  # fmt: skip
    return config, pipeline.run(spark, config, DATE, say=quiet)


def again(spark, config, **fuse):
    changed = Config.model_validate({**config.model_dump(), "fuse": {**config.fuse.model_dump(), **fuse}})
    return changed, pipeline.run(spark, changed, DATE, first="fuse", say=quiet)


def check_explained(spark, config, manifest, algorithm):
    """The explanation of a row adds up, and its score is that of the run."""
    run = RunFolder(spark, f"{config.output}/runs", DATE)
    predictor = Predictor(config, run, algorithm, "float32", manifest["fuse"])
    (row,) = explain(Asked(run, predictor, config.report.explain, 1), row="r001")["rows"]
    said, words = row["players"], row["words"]
    assert said["method"] == "kernel" and said["score"] == pytest.approx(row["score"], abs=1e-6)
    assert sum(part["value"] for part in said["parts"]) == pytest.approx(said["score"] - said["base"])
    assert words["score"] == pytest.approx(row["score"], abs=1e-4)
    assert sum(piece["shap"] for piece in words["pieces"]) == pytest.approx(words["score"] - words["base"])
    values = {part["player"]: abs(part["value"]) for part in said["parts"]}
    assert max(values["embedding"], values["tfidf_block"]) > max(values["n"], values["k"]), "the mood is text"


def test_a_run_has_a_receipt_in_which_the_text_pays(concat):
    _, manifest = concat
    receipt = manifest["receipt"]
    assert set(receipt["arms"]) == {"text", "tfidf", "table", "fused", "shuffled"}
    assert receipt["text"]["second"] == "table" and receipt["of"] == DATE
    # The mood is in the words alone.
    assert receipt["arms"]["fused"]["auc"] > 0.9 > receipt["arms"]["shuffled"]["auc"]
    assert receipt["text_pays"] and receipt["cost"]["seconds"] > 0


def test_stack(spark, concat):
    config, manifest = again(spark, concat[0], method="stack", folds=3)
    words = ["tfidf says", "tfidf of title says", "tfidf of text says"]
    blocks = ["text says", *words, "table says", "table"]
    assert list(manifest["features"]) == blocks and manifest["features"]["text says"]["dimension"] == 2
    assert manifest["classify"]["logistic_regression"]["test"]["auc"] > 0.9
    table = RunFolder(spark, f"{config.output}/runs", DATE).read("features")
    assert set(table.columns) == {"row_id", "split", "label", "features", "joined_blocks"}
    # Clusters know nothing of the label: they are those of the blocks side by side.
    assert manifest["cluster"]["sizes"] == concat[1]["cluster"]["sizes"]
    check_explained(spark, config, manifest, "logistic_regression")
    scored = pipeline.score(spark, config, "2026-02-01", say=quiet)
    assert scored["rows"]["out"] == 80 and scored["receipt"]["of"] == DATE


def test_gated_answers_by_itself_beside_the_classifiers(spark, concat):
    config, manifest = again(
        spark, concat[0], method="gated", reduction="pca", dimensions=8, gated={"tasks": 1, "max_epochs": 60}
    )
    assert set(manifest["classify"]) == {"gated", "logistic_regression"}
    assert manifest["classify"]["gated"]["train"]["rows"] > 40
    assert manifest["features"] == {"hidden layer": {"dimension": 64, "weight": 1.0, "start": 0}}
    run = RunFolder(spark, f"{config.output}/runs", DATE)
    assert run.files.exists(run.model_path("fuse_learnt/network.safetensors"))
    assert not run.files.exists(run.table_path("rows_of_gated"))
    for algorithm in ("gated", "logistic_regression"):
        check_explained(spark, config, manifest, algorithm)
    assert pipeline.score(spark, config, "2026-02-02", say=quiet)["rows"]["out"] == 80


def test_a_method_that_learns_needs_a_label():
    with pytest.raises(ValueError, match=r"fuse.method is 'stack', which learns from columns.label"):
        Config.model_validate({"columns": {"text": "x"}, "fuse": {"method": "stack"}})
    with pytest.raises(ValueError, match=r"fuse.fold_by is 'group'"):
        Config.model_validate({"columns": {"text": "x", "label": "y"}, "fuse": {"fold_by": "group"}})
