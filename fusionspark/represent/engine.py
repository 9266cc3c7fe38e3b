"""The embedding engine: strings in, one float32 matrix out. It knows no Spark.

A window of texts is made distinct, tokenised, sorted by length and cut into batches of about equal
length; the vectors return in the order of the texts. Nothing depends on how the caller cut the texts
into windows except rounding in the last digits.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fusionspark import columns
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.represent.batching import IntArray, TokenBatch, pack, plan
from fusionspark.represent.encoders import Encoder, FloatMatrix
from fusionspark.represent.tokenizing import Vocabulary

Key = TypeVar("Key")

#: Batches that may be on their way at once, where the encoder can overlap them.
_IN_FLIGHT = 3

#: What torch and its libraries say when memory ran out, and when a context is beyond repair.
_NO_MEMORY = (
    "out of memory", "can't allocate memory", "failed to allocate memory", "cublas_status_alloc_failed",
    "cublas_status_not_initialized", "cudnn_status_alloc_failed",
)  # fmt: skip
_DEVICE_LOST = (
    "device-side assert", "illegal memory access", "illegal instruction", "misaligned address",
    "launch failure", "unspecified", "ecc error", "hardware",
)  # fmt: skip

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


@dataclass(frozen=True)
class _Prepared:
    """A window that is ready for the network: where each row's text lies, and the inputs of the texts."""

    at: NDArray[np.int64]
    inputs: list[IntArray]
    owners: NDArray[np.int64]
    sizes: IntArray
    long: NDArray[np.bool_]
    seconds: float


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
        return self._compute(self._prepare(texts))

    def encode_ahead(
        self, windows: Iterable[tuple[Key, Sequence[str | None]]]
    ) -> Iterator[tuple[Key, EncodeResult]]:
        """The same window by window, tokenising the next one while this one is computed.

        Parameters
        ----------
        windows : iterable of (key, texts)
            The key comes back beside the result. It is read in the calling thread, one window ahead.
        """
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokenize") as pool:
            waiting: tuple[Key, Future[_Prepared]] | None = None
            for key, texts in windows:
                coming = (key, pool.submit(self._prepare, texts))
                if waiting is not None:
                    yield waiting[0], self._compute(waiting[1].result())
                waiting = coming
            if waiting is not None:
                yield waiting[0], self._compute(waiting[1].result())

    def _prepare(self, texts: Sequence[str | None]) -> _Prepared:
        """Everything before the network; runs beside it and touches no counter."""
        started = time.perf_counter()
        slots: dict[str, int] = {}
        at = np.full(len(texts), -1, dtype=np.int64)
        for i, text in enumerate(texts):
            if text is not None and (text in slots or text.strip()):
                at[i] = slots.setdefault(text, len(slots))
        vocabulary = self.vocabulary
        contents = vocabulary.contents(list(slots))
        sizes = np.fromiter(map(len, contents), dtype=np.int32, count=len(contents))
        long = sizes > vocabulary.room
        if self.long_text == "error" and long.any():
            self._refuse(list(slots), sizes, long)
        owners: list[int] = []
        inputs: list[IntArray] = []
        for i, content in enumerate(contents):
            chunked = self.long_text == "chunk_mean" and long[i]
            pieces = vocabulary.chunks(content) if chunked else [vocabulary.wrap(content)]
            inputs.extend(pieces)
            owners.extend([i] * len(pieces))
        seconds = time.perf_counter() - started
        return _Prepared(at, inputs, np.asarray(owners, dtype=np.int64), sizes, long, seconds)

    def _compute(self, work: _Prepared) -> EncodeResult:
        started = time.perf_counter()
        count = len(work.sizes)
        vectors = self._encode_inputs(work.inputs)
        weights = np.fromiter(map(len, work.inputs), dtype=np.float32, count=len(work.inputs))
        embeddings = _mean_by_owner(vectors, work.owners, weights, count)
        if self.normalize:
            # The floor is torch's: a zero vector stays zero. No temporary of the matrix's size is made.
            norms = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
            embeddings /= np.maximum(norms, 1e-12)[:, None]
        self.counters.seconds_tokenize += work.seconds
        self.counters.seconds_compute += time.perf_counter() - started
        self.counters.rows += len(work.at)
        self.counters.texts_encoded += count

        special = len(self.vocabulary.prefix) + len(self.vocabulary.suffix)
        good: NDArray[np.bool_] = np.asarray(np.isfinite(embeddings).all(axis=1))
        embeddings[~good] = np.nan
        known = np.where(good, columns.OK, columns.FAILED)
        # No special tokens and none of its own: the model has nothing to read.
        known = np.where(work.sizes + special == 0, columns.EMPTY, known)
        self.counters.failed += int((known == columns.FAILED).sum())
        cut = work.long & (self.long_text == "truncate")
        return EncodeResult(
            embeddings=_rows_of(embeddings, work.at),
            # One slot more, for rows without text: position -1 is the last one.
            n_tokens=np.append(work.sizes + np.int32(special), np.int32(0))[work.at],
            truncated=np.append(cut, False)[work.at],
            status=np.append(known.astype(object), columns.EMPTY)[work.at].tolist(),
        )

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
            flying: deque[tuple[NDArray[np.int64], TokenBatch, Callable[[], FloatMatrix]]] = deque()
            for part in plan(lengths[rest], budget):
                positions = rest[part]
                batch = pack([inputs[i] for i in positions.tolist()], self.vocabulary.skip)
                flying.append((positions, batch, self._start(batch)))
                done.append(part)
                if len(flying) >= _IN_FLIGHT or self._budget != budget:
                    self._land(flying, out)
                if self._budget != budget:
                    break
            while flying:
                self._land(flying, out)
            rest = np.delete(rest, np.concatenate(done))
        return out

    def _start(self, batch: TokenBatch) -> Callable[[], FloatMatrix]:
        """Begin a batch and return what waits for it: on a GPU the next one is prepared meanwhile."""
        submit = getattr(self.encoder, "submit", None)
        if submit is None:
            vectors = self._encode_batch(batch)
            return lambda: vectors
        try:
            waiting: Callable[[], FloatMatrix] = submit(batch)
        except Exception:  # noqa: BLE001 - the synchronous path finds out what it is
            return lambda: self._encode_batch(batch)

        def land() -> FloatMatrix:
            with suppress(Exception):  # as above
                vectors = waiting()
                self._count(batch)
                return vectors
            return self._encode_batch(batch)

        return land

    def _land(
        self,
        flying: deque[tuple[NDArray[np.int64], TokenBatch, Callable[[], FloatMatrix]]],
        out: FloatMatrix,
    ) -> None:
        positions, _, wait = flying.popleft()
        out[positions] = wait()

    def _encode_batch(self, batch: TokenBatch) -> FloatMatrix:
        """Vectors of one batch; NaN where the model fails on a text alone."""
        try:
            vectors = self.encoder.encode(batch)
        except Exception as error:
            # A model may fail with anything: what it fails on is found and marked.
            if is_device_lost(error):
                # Every batch after this one would fail too. Spark tries the task again in a new process.
                raise
            self.counters.last_error = f"{type(error).__name__}: {error}"[:300]
            no_memory = is_out_of_memory(error)
        else:
            self._count(batch)
            return vectors
        # Out of the handler: the error's traceback kept what the failed pass had allocated.
        if no_memory:
            self._shrink(batch)
        if len(batch) == 1:
            return np.full((1, self.dimension), np.nan, dtype=np.float32)
        return np.concatenate([self._encode_batch(half) for half in batch.split()])

    def _count(self, batch: TokenBatch) -> None:
        self.counters.batches += 1
        self.counters.tokens += len(batch.ids)
        self.counters.padded_tokens += len(batch) * int(batch.lengths.max(initial=0))
        self._grow()

    def _shrink(self, batch: TokenBatch) -> None:
        self.counters.out_of_memory += 1
        release_gpu_memory()
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
    return any(words in text for words in _NO_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Whether ``error`` says that the GPU answers this process no more, as after a failed assertion."""
    text = str(error).lower()
    return "cuda error" in text and any(words in text for words in _DEVICE_LOST)


def release_gpu_memory() -> None:
    """Hand cached blocks of torch back, where torch runs on a GPU at all."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _rows_of(embeddings: FloatMatrix, at: NDArray[np.int64]) -> FloatMatrix:
    """The vector of each row; NaN where it has no text. The same matrix where every text is one row."""
    if len(at) == len(embeddings) and np.array_equal(at, np.arange(len(at))):
        return embeddings
    rows = np.full((len(at), embeddings.shape[1]), np.nan, dtype=np.float32)
    if len(embeddings):
        np.take(embeddings, at, axis=0, mode="clip", out=rows)
        rows[at < 0] = np.nan
    return rows


def _mean_by_owner(
    vectors: FloatMatrix, owners: NDArray[np.int64], weights: NDArray[np.float32], count: int
) -> FloatMatrix:
    """Mean of the vectors of each owner, weighted; NaN spreads. Owners are sorted and none is missing."""
    if len(owners) == count:
        return vectors
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    total = np.add.reduceat(vectors * weights[:, None], first, axis=0)
    return (total / np.add.reduceat(weights, first)[:, None]).astype(np.float32, copy=False)
