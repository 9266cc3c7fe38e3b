"""What a faster engine costs in quality, measured on the user's own texts; and the gate that refuses it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionspark.errors import ConfigError
from fusionspark.represent.encoders import FloatMatrix

NEIGHBOURS = 10

#: Texts without which nothing can be said of neighbours: among eleven, any ten are the nearest.
LEAST_TEXTS = 3 * NEIGHBOURS


@dataclass(frozen=True)
class QualityFloors:
    """Least agreement with float32 that a compressed engine must show.

    ``None`` for a cosine leaves it out. Static vectors live in a space of their own: only neighbours
    can be compared there.
    """

    mean_cosine: float | None = 0.98
    p1_cosine: float | None = 0.95
    overlap_at_10: float | None = 0.70


@dataclass(frozen=True)
class QualityReport:
    """Agreement of a candidate with float32 on the same texts.

    Attributes
    ----------
    texts : int
        Texts compared: those that float32 gave a vector.
    mean_cosine, p1_cosine : float or None
        Mean and 1st percentile of the cosine, text by text; None where the spaces differ.
    overlap_at_10 : float or None
        Mean share of the ten nearest texts (cosine) that the two engines have in common; None for fewer
        than `LEAST_TEXTS` texts.
    """

    texts: int
    mean_cosine: float | None
    p1_cosine: float | None
    overlap_at_10: float | None

    def __str__(self) -> str:
        cosines = ", ".join(
            f"{name} cosine {value:.4f}"
            for name, value in (("mean", self.mean_cosine), ("1st percentile", self.p1_cosine))
            if value is not None
        )
        known = "unknown" if self.overlap_at_10 is None else f"{self.overlap_at_10:.3f}"
        overlap = f"overlap@{NEIGHBOURS} {known} on {self.texts} texts"
        return f"{cosines}, {overlap}" if cosines else overlap


def compare(reference: FloatMatrix, candidate: FloatMatrix, *, same_space: bool = True) -> QualityReport:
    """Compare two matrices of vectors of the same texts, shapes (n, d) and (n, e).

    Texts without a vector in ``reference`` (NaN) are left out; one that only the candidate has lost counts
    as unlike, with a cosine of 0 and no neighbour in common.

    Where the two do not share a space (unlike widths, or static vectors, which are rotated by their own
    principal components), a cosine between them means nothing, and only neighbours are compared.

    Raises
    ------
    ConfigError
        Fewer than two texts have a vector.
    """
    there = np.asarray(np.isfinite(reference).all(axis=1))
    lost = np.asarray(~np.isfinite(candidate[there]).all(axis=1))
    a, b = unit_rows(reference[there]), unit_rows(np.where(lost[:, None], 0, candidate[there]))
    if len(a) < 2:
        raise ConfigError("quality sample", f"has {len(a)} texts with a vector", allowed="2 or more")
    mean = low = overlap = None
    if same_space and a.shape[1] == b.shape[1]:
        cosine = (a * b).sum(axis=1)
        mean, low = float(cosine.mean()), float(np.percentile(cosine, 1))
    if len(a) >= LEAST_TEXTS:
        near = zip(_nearest(a), _nearest(b), lost, strict=True)
        common = [0 if gone else len(set(x) & set(y)) for x, y, gone in near]
        overlap = float(np.mean(common)) / NEIGHBOURS
    return QualityReport(len(a), mean, low, overlap)


def require(precision: str, report: QualityReport, floors: QualityFloors) -> None:
    """Raise `ConfigError` with the figures where ``report`` is below a floor, or cannot tell."""
    if floors.overlap_at_10 and report.overlap_at_10 is None:
        raise ConfigError(
            f"precision {precision!r}",
            f"cannot be judged on {report.texts} texts (measured: {report})",
            allowed=f"a sample of {LEAST_TEXTS} distinct texts or more",
            remedy="set precision to float32, which costs little on so few",
        )
    checks = [
        ("mean cosine", report.mean_cosine, floors.mean_cosine),
        ("1st-percentile cosine", report.p1_cosine, floors.p1_cosine),
        (f"overlap@{NEIGHBOURS}", report.overlap_at_10, floors.overlap_at_10),
    ]
    low = [
        f"{name} {value:.4f} < {floor}"
        for name, value, floor in checks
        if value is not None and floor is not None and not value >= floor
    ]
    if low:
        raise ConfigError(
            f"precision {precision!r}",
            f"is too far from float32 on the sample: {'; '.join(low)} (measured: {report})",
            allowed="figures at or above the floors",
            remedy="set precision to float32, or lower the floors if the task's own score holds",
        )


def unit_rows(matrix: FloatMatrix) -> FloatMatrix:
    """The rows of ``matrix`` at unit length; a row of zeros stays one."""
    return np.asarray(matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12))


def _nearest(unit: FloatMatrix) -> NDArray[np.int64]:
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    return np.argpartition(-alike, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS].astype(np.int64)
