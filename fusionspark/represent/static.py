"""Static embeddings: one vector a token, distilled from the model, and their mean as the text's vector.

Distillation is model2vec's (https://github.com/MinishLab/model2vec): every token of the vocabulary goes
through the network alone, the outputs are reduced with PCA to at most 256 dimensions and weighted by the
tokens' assumed frequency. Word order is lost; see `fusionspark.represent.quality` for what that costs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.represent.batching import TokenBatch
from fusionspark.represent.cache import cache_root, made_once
from fusionspark.represent.encoders import CPU_BATCH, FloatMatrix, load_network, load_weights
from fusionspark.represent.model_source import ModelSource, is_model2vec
from fusionspark.represent.settings import read_settings
from fusionspark.represent.tokenizing import (
    RustTokenizer,
    Vocabulary,
    load_tokenizer,
    set_tokenizer_threads,
)
from fusionspark.represent.word_memo import remember_words

DIMENSIONS = 256
_POOLING = {"cls": "first", "lasttoken": "last"}


def distill(source: ModelSource, cache_dir: str = "", digest: str = "") -> ModelSource:
    """The static form of a model folder, made in the cache the first time (about 10 s for MiniLM).

    The result is a model folder of its own with its own digest: copy it to other machines and name its
    path as ``model`` where every node must use the very same vectors.

    Raises
    ------
    MissingExtraError
        model2vec is not installed.
    """

    def make(draft: Path) -> None:
        try:
            import torch
            from model2vec.distill import distill_from_model
            from transformers import AutoTokenizer
        except ImportError as error:
            raise MissingExtraError("model2vec[distill]", "static", "precision static") from error
        folder = read_settings(source.path)
        model = load_network(folder, torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(str(folder.transformer), local_files_only=True)
        small = distill_from_model(
            model=model,
            tokenizer=tokenizer,
            device="cpu",
            pca_dims=min(DIMENSIONS, int(model.config.hidden_size)),
            pooling=_POOLING.get(folder.pooling[0], "mean"),
            quantize_to="float32",
        )
        small.save_pretrained(draft)

    name = f"static-{DIMENSIONS}-{(digest or source.digest())[:32]}"
    return ModelSource(source.spec, "static", made_once(cache_root(cache_dir) / name, make))


class StaticEncoder:
    """Mean of token vectors.

    Parameters
    ----------
    table : ndarray of float32, shape (vocabulary, d)
        Vector of each token, weights included.
    """

    batch_tokens = CPU_BATCH

    def __init__(self, table: FloatMatrix) -> None:
        self.table = table

    def encode(self, batch: TokenBatch) -> FloatMatrix:
        """See `fusionspark.represent.encoders.Encoder.encode`."""
        from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

        # A sparse product adds the rows up without gathering them first.
        shares = np.repeat(1.0 / batch.lengths, batch.lengths).astype(np.float32)
        edges = np.append(batch.starts, len(batch.ids))
        bags = csr_matrix((shares, batch.ids, edges), shape=(len(batch), len(self.table)), copy=False)
        return np.asarray(bags @ self.table, dtype=np.float32)


class KnownTokens:
    """A tokenizer without the tokens that have no vector."""

    def __init__(self, tokenizer: RustTokenizer, unknown: int | None) -> None:
        self.tokenizer = tokenizer
        self.unknown = unknown

    def __call__(self, texts: Any) -> Any:
        """Ids of each text."""
        rows = self.tokenizer(texts)
        if self.unknown is None:
            return rows
        return [row[row != self.unknown] if self.unknown in row else row for row in rows]


def load_static(folder: Path, threads: int) -> tuple[StaticEncoder, Vocabulary, bool]:
    """Encoder, vocabulary and whether vectors have unit length, of a folder of static vectors."""
    set_tokenizer_threads(threads)
    if not is_model2vec(folder):
        return _load_static_embedding(folder)
    try:
        from model2vec import StaticModel
    except ImportError as error:
        raise MissingExtraError("model2vec", "static", f"the static model in {folder}") from error
    model = StaticModel.from_pretrained(str(folder))
    table = _by_token(model.embedding, model.token_mapping, model.weights)
    nothing = np.array([], dtype=np.int32)
    known = KnownTokens(RustTokenizer(model.tokenizer), model.unk_token_id)
    tokenize = remember_words(known, model.tokenizer)
    vocabulary = Vocabulary(tokenize, nothing, nothing, int(model.max_length or 512))
    return StaticEncoder(table), vocabulary, bool(model.normalize)


def _load_static_embedding(folder: Path) -> tuple[StaticEncoder, Vocabulary, bool]:
    """The same of sentence-transformers' ``StaticEmbedding``: the plain mean over all tokens of a text."""
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    if kinds not in (["StaticEmbedding"], ["StaticEmbedding", "Normalize"]):
        raise ConfigError(
            f"model folder {folder}",
            f"modules.json lists {kinds}",
            allowed="StaticEmbedding, then Normalize or not",
            remedy="use a model made of these modules",
        )
    inner = folder / modules[0]["path"]
    tokenizer = load_tokenizer(inner)
    limit = int((tokenizer.truncation or {}).get("max_length", 0))
    tokenize = remember_words(RustTokenizer(tokenizer), tokenizer)
    nothing = np.array([], dtype=np.int32)
    weights = load_weights(inner)
    # The other names are model2vec's, whose rows may be shared by tokens and weighted.
    rows = weights["embedding.weight" if "embedding.weight" in weights else "embeddings"].float()
    table = _by_token(rows, weights.get("mapping"), weights.get("weights"))
    return StaticEncoder(table), Vocabulary(tokenize, nothing, nothing, limit), "Normalize" in kinds


def _by_token(rows: Any, mapping: Any, weights: Any) -> FloatMatrix:
    """One row a token: model2vec may let tokens share a row, and weight them."""
    table = np.asarray(rows, dtype=np.float32)
    table = table if mapping is None else table[np.asarray(mapping)]
    table = table if weights is None else table * np.asarray(weights, dtype=np.float32)[:, None]
    return np.ascontiguousarray(table)
