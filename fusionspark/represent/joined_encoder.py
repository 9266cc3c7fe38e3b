"""Several encoders of the same texts as one: their vectors stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fusionspark.represent.batching import TokenBatch
from fusionspark.represent.encoders import Encoder, FloatMatrix
from fusionspark.represent.quality import unit_rows


class JoinedEncoder:
    """Encoders that were tuned from one model, each without the rows of one fold.

    Parameters
    ----------
    encoders : sequence of Encoder
        All take the same tokens.
    normalize : bool
        Whether each part gets unit length, as it had while it was tuned. The engine does it to the whole
        vector only.
    """

    def __init__(self, encoders: Sequence[Encoder], normalize: bool) -> None:
        self.encoders = list(encoders)
        self.normalize = normalize
        self.batch_tokens = min(encoder.batch_tokens for encoder in encoders)

    def encode(self, batch: TokenBatch) -> FloatMatrix:
        """See `Encoder.encode`; shape (texts, sum of the parts' dimensions)."""
        return self.submit(batch)()

    def submit(self, batch: TokenBatch) -> Callable[[], FloatMatrix]:
        """Start ``batch`` and return a function that waits for its vectors."""
        waits = [_start(encoder, batch) for encoder in self.encoders]

        def wait() -> FloatMatrix:
            parts = [part() for part in waits]
            return np.hstack([unit_rows(part) for part in parts] if self.normalize else parts)

        return wait


def _start(encoder: Encoder, batch: TokenBatch) -> Callable[[], FloatMatrix]:
    submit = getattr(encoder, "submit", None)
    if submit is not None:
        waiting: Callable[[], FloatMatrix] = submit(batch)
        return waiting
    vectors = encoder.encode(batch)
    return lambda: vectors
