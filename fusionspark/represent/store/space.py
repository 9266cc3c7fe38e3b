"""What makes a vector, beside its content; vectors of one space only may be compared or mixed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from fusionspark.represent.loading import EngineSettings

#: What the content is, whose sha-256 is the key.
TEXT, IMAGE = "text", "image"


@dataclass(frozen=True)
class Space:
    """Everything that makes a vector except the content itself.

    The place of a vector in the store is (space, sha-256 of the content); two vectors whose spaces differ
    in anything never share a folder.

    Attributes
    ----------
    model_digest : str
        Digest of what makes the vectors; see `fusionspark.represent.loading.effective_digest`.
    precision, pooling, normalize, prompt, prompt_name, max_tokens, long_text
        As in `fusionspark.represent.loading.EngineSettings`.
    preparation : int
        Version of the rules that cleaned the content.
    dtype : {"float32", "float16", "int8"}
        How vectors are stored, and therefore what they are when they are read.
    content : str
        What the key is the sha-256 of.

    Examples
    --------
    >>> one, two = Space("ab12", "float32"), Space("ab12", "float32", max_tokens=64)
    >>> one.digest() == Space("ab12", "float32").digest(), one.digest() == two.digest()
    (True, False)
    """

    model_digest: str
    precision: str
    pooling: str = "auto"
    normalize: bool | None = None
    prompt: str | None = None
    prompt_name: str = ""
    max_tokens: int = 0
    long_text: str = "truncate"
    preparation: int = 0
    dtype: str = "float32"
    content: str = TEXT

    def digest(self) -> str:
        """Sha-256 (hex) of all attributes."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """Name of the folder in the store; 64 bits of the digest, and ``space.json`` in it holds the rest."""
        return f"space={self.digest()[:16]}"

    def to_dict(self) -> dict[str, Any]:
        """The attributes and the digest as JSON values."""
        return {**asdict(self), "digest": self.digest()}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Space:
        """Build the space from `to_dict`'s values; what a later version added is left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: found for name, found in value.items() if name in known})


def image_space(digest: str, *, dtype: str) -> Space:
    """Space of the vectors of pictures; what they were reduced to is part of their keys."""
    return Space(model_digest=digest, precision="float32", dtype=dtype, content=IMAGE)


def text_space(settings: EngineSettings, digest: str, *, preparation: int, dtype: str) -> Space:
    """Space of the text vectors that an engine of ``settings`` makes.

    Parameters
    ----------
    digest : str
        The effective digest: for compressed engines it is not that of the model's files.
    """
    return Space(
        model_digest=digest,
        precision=settings.precision,
        pooling=settings.pooling,
        normalize=settings.normalize,
        prompt=settings.prompt,
        prompt_name=settings.prompt_name,
        max_tokens=settings.max_tokens,
        long_text=settings.long_text,
        preparation=preparation,
        dtype=dtype,
    )
