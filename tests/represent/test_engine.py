from __future__ import annotations

import weakref
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.represent.batching import TokenBatch
from fusionspark.represent.engine import EmbeddingEngine, is_device_lost, is_out_of_memory
from fusionspark.represent.tokenizing import Vocabulary


def letters(texts):
    """One token a character."""
    return [np.array([ord(c) for c in text], dtype=np.int32) for text in texts]


@dataclass
class Sums:
    """Vector = (sum of ids, number of tokens). Fails on the letter '!', and above `room` tokens."""

    room: int = 10**9
    seen: list[int] = field(default_factory=list)

    def encode(self, batch: TokenBatch):
        self.seen.append(len(batch))
        if len(batch.ids) > self.room:
            raise MemoryError
        if ord("!") in batch.ids:
            raise ValueError("no exclamation")
        sums = np.add.reduceat(batch.ids, batch.starts)
        return np.stack([sums, batch.lengths], axis=1).astype(np.float32)


def engine(encoder=None, max_tokens=0, **options):
    nothing = np.array([], dtype=np.int32)
    vocabulary = Vocabulary(letters, nothing, nothing, max_tokens)
    return EmbeddingEngine(encoder or Sums(), vocabulary, dimension=2, **{"normalize": False, **options})


def test_vectors_come_back_in_the_order_of_the_texts():
    result = engine(token_budget=4).encode(["abc", "a", "ab", "a"])
    assert result.embeddings.tolist() == [[294.0, 3.0], [97.0, 1.0], [195.0, 2.0], [97.0, 1.0]]
    assert result.n_tokens.tolist() == [3, 1, 2, 1]
    assert result.status == ["ok"] * 4


def test_equal_texts_are_computed_once():
    it = engine()
    it.encode(["a", "b", "a", "a"])
    assert (it.counters.rows, it.counters.texts_encoded, it.counters.tokens) == (4, 2, 2)


def test_null_empty_and_white_space_have_no_vector():
    result = engine().encode([None, "", " \t\n", "a"])
    assert result.status == ["empty", "empty", "empty", "ok"]
    assert np.isnan(result.embeddings[:3]).all()
    assert result.n_tokens.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("texts", [[], [None], ["", " "]])
def test_nothing_to_encode(texts):
    result = engine().encode(texts)
    assert result.embeddings.shape == (len(texts), 2)
    assert result.status == ["empty"] * len(texts)


def test_a_text_that_the_model_fails_on_is_found_and_the_rest_goes_on():
    it = engine()
    result = it.encode(["aaa", "bb", "c!", "d", "ee", "fff"])
    assert result.status == ["ok", "ok", "failed", "ok", "ok", "ok"]
    assert np.isnan(result.embeddings[2]).all()
    assert result.embeddings[5].tolist() == [306.0, 3.0]
    assert it.counters.failed == 1
    assert it.counters.last_error == "ValueError: no exclamation"


def test_the_budget_halves_when_memory_runs_out_and_grows_back():
    encoder = Sums(room=8)
    it = engine(encoder, token_budget=32)
    result = it.encode([chr(97 + i) * 2 for i in range(26)])
    assert result.status == ["ok"] * 26
    assert result.embeddings[1].tolist() == [196.0, 2.0]
    assert it.counters.out_of_memory == 3  # 32 tokens, then each half of it; 8 fit
    assert it.counters.token_budget == 8
    encoder.room = 10**9
    for i in range(80):
        it.encode([f"{i}"])
    assert it._budget == 32


def test_a_pass_that_ran_out_of_memory_is_let_go_before_the_next_one():
    class Buffer:
        pass

    class Greedy(Sums):
        held: list[weakref.ref[Buffer]] = []

        def encode(self, batch):
            assert not [one for one in self.held if one() is not None], "still held by the pass before"
            buffer = Buffer()
            self.held.append(weakref.ref(buffer))
            return super().encode(batch)

    it = engine(Greedy(room=8), token_budget=64)
    assert it.encode([chr(97 + i) * 4 for i in range(8)]).status == ["ok"] * 8
    assert it.counters.out_of_memory > 1


def test_a_lost_gpu_is_no_text_that_failed():
    class Lost(Sums):
        def encode(self, batch):
            raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        engine(Lost()).encode(["a", "b"])


@pytest.mark.parametrize(
    ("said", "memory", "lost"),
    [
        ("CUDA out of memory. Tried to allocate 2 GiB", True, False),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True, False),
        ("CUDA error: device-side assert triggered", False, True),
        ("CUDA error: an illegal memory access was encountered", False, True),
        ("CUDA error: invalid configuration argument", False, False),
    ],
)
def test_errors_of_a_gpu_are_told_apart(said, memory, lost):
    assert (is_out_of_memory(RuntimeError(said)), is_device_lost(RuntimeError(said))) == (memory, lost)


def test_each_piece_of_a_long_text_stands_behind_the_prompt():
    it = engine(max_tokens=4, long_text="chunk_mean")
    it.vocabulary = it.vocabulary.with_prompt("zz", pooled=False)
    assert it.vocabulary.skip == 2
    pieces = it.vocabulary.chunks(it.vocabulary.contents(["abc"])[0])
    assert ["".join(map(chr, piece)) for piece in pieces] == ["zzab", "zzc"]
    # Where prompt and text become one token, the later pieces stand behind the prompt as it is alone.
    joined = replace(it.vocabulary, head=letters(["zy"])[0])
    assert ["".join(map(chr, p)) for p in joined.chunks(letters(["zabcde"])[0])] == ["zabc", "zyde"]


def test_a_prompt_that_leaves_no_room_is_refused():
    with pytest.raises(ConfigError, match=r"prompt: 'zzzz' has 4 tokens.*less than 4"):
        engine(max_tokens=4).vocabulary.with_prompt("zzzz", pooled=True)


def test_long_text_is_cut():
    result = engine(max_tokens=2).encode(["abcd", "ab"])
    assert result.embeddings.tolist() == [[195.0, 2.0], [195.0, 2.0]]
    assert result.n_tokens.tolist() == [4, 2]
    assert result.truncated.tolist() == [True, False]


def test_long_text_is_the_mean_of_its_pieces_weighted_by_tokens():
    result = engine(max_tokens=2, long_text="chunk_mean").encode(["abc", "a"])
    # pieces ab = (195, 2) of 2 tokens and c = (99, 1) of 1 token
    np.testing.assert_allclose(result.embeddings, [[163.0, 5 / 3], [97.0, 1.0]])
    assert result.truncated.tolist() == [False, False]


def test_long_text_is_an_error_that_names_it():
    with pytest.raises(DataContractError, match=r"'abc'.*3 tokens.*at most 2 tokens"):
        engine(max_tokens=2, long_text="error").encode(["abc"])


def test_unknown_long_text_is_refused():
    with pytest.raises(ConfigError, match=r"longText: is 'cut'\. Allowed: truncate, chunk_mean, error"):
        engine(long_text="cut")


def test_unit_length():
    vectors = engine(normalize=True).encode(["abc", "z"]).embeddings
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)


@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=40), st.integers(1, 40))
def test_windows_and_budgets_do_not_change_vectors(texts, budget):
    whole = engine(token_budget=1000).encode(texts)
    parts = [engine(token_budget=budget).encode(texts[i : i + 7]) for i in range(0, len(texts), 7)]
    joined = np.concatenate([np.empty((0, 2), np.float32), *[part.embeddings for part in parts]])
    np.testing.assert_array_equal(joined, whole.embeddings)
    assert [s for part in parts for s in part.status] == whole.status
