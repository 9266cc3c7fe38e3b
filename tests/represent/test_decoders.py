"""Decoder language models: last-token pooling and an instruction, whichever side the padding prefers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_encoders import TEXTS, reference
from tiny_bert import write_modules, write_tokenizer

from fusionspark.represent.loading import EngineSettings, build_engine


def make_qwen(folder, padding_side, normalize=True):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, "Qwen3Config"):
        pytest.skip("this transformers has no Qwen3")
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    config = transformers.Qwen3Config(
        vocab_size=80, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=4, intermediate_size=32, max_position_embeddings=64, pad_token_id=0, initializer_range=0.5,
        architectures=["Qwen3ForCausalLM"],
    )  # fmt: skip
    transformers.Qwen3Model(config).eval().save_pretrained(folder, safe_serialization=True)
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architectures": ["Qwen3ForCausalLM"]}))
    write_tokenizer(folder)
    write_modules(folder, "lasttoken", normalize)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "padding_side": padding_side}))
    return folder


@pytest.mark.parametrize("side", ["left", "right"])
def test_last_token_pooling_equals_sentence_transformers(tmp_path, side):
    folder = make_qwen(tmp_path / "qwen", side)
    engine = build_engine(EngineSettings(model=str(folder), token_budget=60))
    np.testing.assert_allclose(engine.encode(TEXTS).embeddings, reference(folder, TEXTS), atol=3e-5)


def test_instruction(tmp_path):
    folder = make_qwen(tmp_path / "qwen", "left")
    engine = build_engine(EngineSettings(model=str(folder), prompt="the red cat "))
    expected = reference(folder, TEXTS[:4], prompt="the red cat ")
    np.testing.assert_allclose(engine.encode(TEXTS[:4]).embeddings, expected, atol=3e-5)


def write_byte_pairs(folder):
    """A byte-level tokenizer, as decoders have: a space belongs to the word behind it."""
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    names = ["<pad>", "<end>"]
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=78, special_tokens=names, show_progress=False)
    tokenizer.train_from_iterator(["Query: the cat", "the red cat sat: the mat"] * 9, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A <end>", special_tokens=[("<end>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"pad_token": "<pad>", "eos_token": "<end>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": 64}))


@pytest.mark.parametrize("prompt", ["Query: ", "Query:", "the"])
@pytest.mark.parametrize("pooled", [True, False])
def test_an_instruction_and_its_text_become_tokens_together(tmp_path, prompt, pooled):
    folder = make_qwen(tmp_path / "qwen", "left")
    write_byte_pairs(folder)
    write_modules(folder, "mean")
    file = folder / "1_Pooling" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "include_prompt": pooled}))
    texts = ["the cat sat", "a", "red cat the mat: cat", "mat"]
    found = build_engine(EngineSettings(model=str(folder), prompt=prompt)).encode(texts)
    np.testing.assert_allclose(found.embeddings, reference(folder, texts, prompt=prompt), atol=3e-5)


def test_a_plain_decoder_folder_pools_its_last_token(tmp_path):
    folder = make_qwen(tmp_path / "qwen", "left", normalize=False)
    expected = build_engine(EngineSettings(model=str(folder))).encode(TEXTS[:4]).embeddings
    (folder / "modules.json").unlink()
    found = build_engine(EngineSettings(model=str(folder))).encode(TEXTS[:4]).embeddings
    np.testing.assert_allclose(found, expected, atol=1e-6)
    mean = build_engine(EngineSettings(model=str(folder), pooling="mean")).encode(TEXTS[:4]).embeddings
    assert not np.allclose(mean, expected, atol=1e-3)
