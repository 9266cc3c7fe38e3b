"""Canaries: fixed texts whose vectors must stay what they were when a space was opened.

A digest says that the files are the same. It does not see a new library, another processor or a driver
that computes something else from them; these texts do.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionspark.represent.encoders import FloatMatrix

#: English and Chinese, one word and several sentences, digits, a sign, an emoji.
CANARIES = (
    "yes",
    "The red cat sat on the mat.",
    "Shares of $AAPL rose 3.2% to 187.44 after the quarterly report; volume was twice the usual. 📈",
    "I have been taking this medicine for three years now. At first it made me sleepy and a little sick, but "
    "after two weeks the side effects were gone and the headaches that I used to have every other day came "
    "back only once a month. My doctor wants to lower the dose next spring, and I am not sure that I agree.",
    "好",
    "今天天气很好，我们去公园散步。",
    "这家店的服务态度不错，发货也快，第二天就收到了。包装完整，衣服的颜色和图片上一样，尺码偏大一点，建议买小一号。"
    "唯一的缺点是洗过一次以后有些缩水，总的来说还是值得购买的。",
)


@dataclass(frozen=True)
class Canary:
    """First vectors of the canaries in a space; rows that the model gave no vector for are NaN."""

    vectors: FloatMatrix

    def distance(self, now: FloatMatrix) -> float:
        """Largest distance of a vector from its first one, as a share of the first one's length.

        Infinite where a vector has another length, came or is gone. For unit vectors a distance ``d`` is a
        cosine of ``1 - d**2 / 2``.

        >>> first = np.array([[3.0, 4.0]], dtype=np.float32)
        >>> Canary(first).distance(np.array([[3.0, 4.5]], dtype=np.float32))
        0.1
        """
        if now.shape != self.vectors.shape:
            return float("inf")
        first, there = np.isfinite(self.vectors).all(axis=1), np.isfinite(now).all(axis=1)
        if not np.array_equal(first, there):
            return float("inf")
        a, b = self.vectors[first].astype(np.float64), now[first].astype(np.float64)
        length = np.maximum(np.linalg.norm(a, axis=1), np.finfo(np.float64).tiny)
        return float((np.linalg.norm(a - b, axis=1) / length).max(initial=0.0))

    def to_dict(self) -> dict[str, Any]:
        """The vectors as JSON values."""
        rows = [row.tolist() if np.isfinite(row).all() else None for row in self.vectors]
        return {"dimension": int(self.vectors.shape[1]), "vectors": rows}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Canary:
        """Build the canary from `to_dict`'s values."""
        missing = [float("nan")] * value["dimension"]
        rows = [missing if row is None else row for row in value["vectors"]]
        return cls(np.array(rows, dtype=np.float32).reshape(len(rows), value["dimension"]))


@dataclass(frozen=True)
class CanaryCheck:
    """What a worker process holds its canaries against before its first row of an append.

    Attributes
    ----------
    tolerance : float
        Largest distance that is no drift.
    append : int
        Number of the append.
    """

    canary: Canary
    tolerance: float
    append: int


def canary_file() -> str:
    """Name of the file that holds the first vectors; other texts in a later version begin anew."""
    return f"canary-{hashlib.sha256(chr(0).join(CANARIES).encode()).hexdigest()[:8]}.json"
