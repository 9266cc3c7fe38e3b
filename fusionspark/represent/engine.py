"""The embedding engine: strings in, one float32 matrix out. It knows no Spark.

A window of texts is made distinct, tokenised, sorted by length and cut into batches of about equal
length; the vectors return in the order of the texts. Nothing depends on how the caller cut the texts
into windows except rounding in the last digits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fusionspark import columns
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.represent.batching import IntArray, TokenBatch, pack, plan
from fusionspark.represent.encoders import Encoder, FloatMatrix
from fusionspark.represent.tokenizing import Vocabulary

LONG_TEXT = ("truncate", "chunk_mean", "error")


@dataclass
class Counters:
    """What the engine did. Times in seconds, tokens with special ones.

    ``padded_tokens`` counts texts times the longest text, batch by batch: what a padded network
    would have computed. ``token_budget`` is the smallest budget that was needed, ``last_error`` what the
    model said when it failed last.
    """

    rows: int = 0
    texts_encoded: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    batches: int = 0
    failed: int = 0
    seconds_tokenize: float = 0.0
    seconds_compute: float = 0.0
    token_budget: int = 0
    out_of_memory: int = 0
    last_error: str = ""


@dataclass(frozen=True)
class EncodeResult:
    """Vectors of a list of texts.

    Attributes
    ----------
    embeddings : ndarray of float32, shape (n, d)
        Rows whose status is not ``ok`` are NaN.
    n_tokens : ndarray of int32, shape (n,)
        Tokens of the whole text, special ones and prompt included; 0 for an empty text.
    truncated : ndarray of bool, shape (n,)
        Whether the model did not read the whole text.
    status : list of str
        ``ok``, ``empty`` or ``failed`` (see `fusionspark.columns`).
    """

    embeddings: FloatMatrix
    n_tokens: IntArray
    truncated: NDArray[np.bool_]
    status: list[str]


@dataclass
class EmbeddingEngine:
    """Turns texts into vectors with any `Encoder`.

    Attributes
    ----------
    encoder : Encoder
        What lies behind.
    vocabulary : Vocabulary
        Its tokenizer and limits.
    dimension : int
        Length of a vector.
    normalize : bool
        Whether vectors are scaled to unit length.
    token_budget : int
        Most tokens in one batch. Halved when memory runs out, and tried again later.
    long_text : {"truncate", "chunk_mean", "error"}
        What happens to a text above the limit: cut it; take the mean over pieces, weighted by their
        tokens; or raise `DataContractError`.
    """

    encoder: Encoder
    vocabulary: Vocabulary
    dimension: int
    normalize: bool = True
    token_budget: int = 2048
    long_text: str = "truncate"
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        if self.long_text not in LONG_TEXT:
            raise ConfigError("longText", f"is {self.long_text!r}", allowed=", ".join(LONG_TEXT))
        if self.token_budget < 1:
            raise ConfigError("tokenBudget", f"is {self.token_budget}", allowed="a number above 0")
        self._budget = self.token_budget
        self._good = 0
        self.counters.token_budget = self.token_budget

    def encode(self, texts: Sequence[str | None]) -> EncodeResult:
        """Vectors of ``texts`` in their order; equal texts are computed once.

        Raises
        ------
        DataContractError
            A text is longer than the model's limit and ``long_text`` is ``error``.
        """
        slots: dict[str, int] = {}
        at = np.full(len(texts), -1, dtype=np.int64)
        for i, text in enumerate(texts):
            if text is not None and (text in slots or text.strip()):
                at[i] = slots.setdefault(text, len(slots))
        distinct = self._encode_distinct(list(slots))
        self.counters.rows += len(texts)
        if not slots:
            missing = np.full((len(texts), self.dimension), np.nan, dtype=np.float32)
            zeros = np.zeros(len(texts), dtype=np.int32)
            return EncodeResult(missing, zeros, zeros.astype(bool), [columns.EMPTY] * len(texts))
        # One gather; position -1 takes the last row, which is then overwritten.
        embeddings = distinct.embeddings[at]
        n_tokens, truncated = distinct.n_tokens[at], distinct.truncated[at]
        nothing = at < 0
        embeddings[nothing], n_tokens[nothing], truncated[nothing] = np.nan, 0, False
        status = [columns.EMPTY if i < 0 else distinct.status[i] for i in at.tolist()]
        return EncodeResult(embeddings, n_tokens, truncated, status)

    def _encode_distinct(self, texts: list[str]) -> EncodeResult:
        vocabulary = self.vocabulary
        started = time.perf_counter()
        contents = vocabulary.tokenize(texts)
        sizes = np.fromiter(map(len, contents), dtype=np.int32, count=len(contents))
        long = sizes > vocabulary.room
        if self.long_text == "error" and long.any():
            self._refuse(texts, sizes, long)
        owners: list[int] = []
        inputs: list[IntArray] = []
        for i, content in enumerate(contents):
            chunked = long[i] and self.long_text == "chunk_mean"
            pieces = vocabulary.chunks(content) if chunked else [vocabulary.wrap(content)]
            inputs.extend(pieces)
            owners.extend([i] * len(pieces))
        self.counters.seconds_tokenize += time.perf_counter() - started

        started = time.perf_counter()
        vectors = self._encode_inputs(inputs)
        weights = np.fromiter(map(len, inputs), dtype=np.float32, count=len(inputs))
        embeddings = _mean_by_owner(vectors, np.asarray(owners, dtype=np.int64), weights, len(texts))
        if self.normalize:
            # The floor is torch's: a zero vector stays zero.
            embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        self.counters.seconds_compute += time.perf_counter() - started

        self.counters.texts_encoded += len(texts)
        special = len(vocabulary.prefix) + len(vocabulary.suffix)
        truncated = long if self.long_text == "truncate" else np.zeros(len(texts), dtype=bool)
        good: NDArray[np.bool_] = np.asarray(np.isfinite(embeddings).all(axis=1))
        empty = np.equal(sizes + special, 0)
        status = [
            columns.EMPTY if no_tokens else columns.OK if fine else columns.FAILED
            for fine, no_tokens in zip(good.tolist(), empty.tolist(), strict=True)
        ]
        self.counters.failed += status.count(columns.FAILED)
        embeddings[~good] = np.nan
        return EncodeResult(embeddings, sizes + np.int32(special), truncated, status)

    def _refuse(self, texts: list[str], sizes: IntArray, long: NDArray[np.bool_]) -> None:
        first = int(np.flatnonzero(long)[0])
        raise DataContractError(
            f"text {texts[first][:60]!r}...",
            f"has {sizes[first]} tokens, and {int(long.sum())} of {len(texts)} distinct texts are too long",
            allowed=f"at most {self.vocabulary.room} tokens",
            remedy="set longText to truncate or chunk_mean, or choose a model with a higher limit",
        )

    def _encode_inputs(self, inputs: list[IntArray]) -> FloatMatrix:
        out = np.full((len(inputs), self.dimension), np.nan, dtype=np.float32)
        lengths = np.fromiter(map(len, inputs), dtype=np.int32, count=len(inputs))
        rest = np.flatnonzero(lengths)
        while len(rest):
            # The plan is sorted, so what is left of it is planned alike when the budget has changed.
            budget = self._budget
            done = []
            for part in plan(lengths[rest], budget):
                positions = rest[part]
                batch = pack([inputs[i] for i in positions.tolist()], self.vocabulary.skip)
                out[positions] = self._encode_batch(batch)
                done.append(part)
                if self._budget != budget:
                    break
            rest = np.delete(rest, np.concatenate(done))
        return out

    def _encode_batch(self, batch: TokenBatch) -> FloatMatrix:
        """Vectors of one batch; NaN where the model fails on a text alone."""
        try:
            vectors = self.encoder.encode(batch)
        except Exception as error:  # noqa: BLE001 - a model may fail with anything; the row is marked
            self.counters.last_error = f"{type(error).__name__}: {error}"[:300]
            if len(batch) == 1:
                return np.full((1, self.dimension), np.nan, dtype=np.float32)
            if is_out_of_memory(error):
                self._shrink(batch)
            return np.concatenate([self._encode_batch(half) for half in batch.split()])
        self.counters.batches += 1
        self.counters.tokens += len(batch.ids)
        self.counters.padded_tokens += len(batch) * int(batch.lengths.max(initial=0))
        self._grow()
        return vectors

    def _shrink(self, batch: TokenBatch) -> None:
        self.counters.out_of_memory += 1
        # Half of what failed, which may be less than half of the budget.
        self._budget = max(1, min(self._budget, len(batch.ids) // 2))
        self._good = 0
        self.counters.token_budget = min(self.counters.token_budget, self._budget)

    def _grow(self) -> None:
        if self._budget >= self.token_budget:
            return
        self._good += 1
        # After 32 batches in peace the memory pressure may have been someone else's.
        if self._good >= 32:
            self._budget = min(self.token_budget, self._budget * 2)
            self._good = 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out, on the host or on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "failed to allocate memory" in text


def _mean_by_owner(
    vectors: FloatMatrix, owners: NDArray[np.int64], weights: NDArray[np.float32], count: int
) -> FloatMatrix:
    """Mean of the vectors of each owner, weighted; NaN spreads. Owners are sorted and none is missing."""
    if len(owners) == count:
        return vectors
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    total = np.add.reduceat(vectors * weights[:, None], first, axis=0)
    return (total / np.add.reduceat(weights, first)[:, None]).astype(np.float32, copy=False)
