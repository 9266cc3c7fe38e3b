"""Mini-batch k-means (Sculley 2010, "Web-scale k-means clustering") over rows on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionspark.errors import DataContractError
from fusionspark.mine.arrow_columns import Matrix, unlike_widths
from fusionspark.mine.exact_rows import ExactRows, grid, row_hashes
from fusionspark.mine.kmeans_start import FEW_ROWS, by_hash, thin
from fusionspark.mine.lloyd import Outcome, Settings, arrived, no_rows, not_finite, unit
from fusionspark.mine.worker_group import WorkerGroup


class Spill:
    """Rows of one task in a file, in the order of their mini-batches; memory holds one batch and a sample.

    Parameters
    ----------
    path : str
        File that is written.
    batches : int
        Number of mini-batches, the same in all tasks.
    """

    def __init__(self, path: str, batches: int) -> None:
        self.width = 0
        self.rows = 0
        self.largest = 0.0
        self.heaviest = 0.0
        self.bad = 0
        self.nulls = 0
        self.unfit_weights = 0
        self.counts = np.zeros(batches, dtype=np.int64)
        self._path = Path(path)
        self._file: Any = self._path.open("wb")
        self._weights: list[npt.NDArray[np.float64]] = []

    def add(self, rows: Matrix, weights: npt.NDArray[np.float64], numbers: npt.NDArray[np.int32]) -> None:
        """Append rows, whose mini-batches must not be lower than those before."""
        if self.width and rows.shape[1] != self.width:
            raise unlike_widths(*sorted((self.width, rows.shape[1])))
        self.width = rows.shape[1]
        self.rows += len(rows)
        self.bad += int((~np.isfinite(rows).all(axis=1)).sum())
        self.unfit_weights += int((~(weights >= 0)).sum())
        self.largest = max(self.largest, float(np.abs(rows).max(initial=0.0)))
        self.heaviest = max(self.heaviest, float(weights.max(initial=0.0)))
        self.counts += np.bincount(numbers, minlength=len(self.counts))
        self._weights.append(np.asarray(weights, dtype=np.float64))
        self._file.write(np.ascontiguousarray(rows))

    def finish(self) -> None:
        """Close the file; from now on it is read."""
        self._file.close()

    def batch(self, number: int, mean: npt.NDArray[np.float64]) -> ExactRows:
        """Read one mini-batch, less ``mean``."""
        start = int(self.counts[:number].sum())
        count = int(self.counts[number])
        rows = np.empty((0, self.width), np.float32)
        if count:
            rows = np.fromfile(
                self._path, np.float32, count * self.width, offset=4 * start * self.width
            ).reshape(count, self.width)
        weights = np.concatenate([*self._weights, np.empty(0)])[start : start + count]
        data = ExactRows(rows, weights)
        data.shift(mean)
        return data


def fit_in_mini_batches(spill: Spill, group: WorkerGroup, settings: Settings) -> Outcome:
    """Cluster rows on the disks of all tasks; every task gets the same outcome.

    First centres come from a sample by k-means++, the best of ``n_init`` tries. In each pass every
    mini-batch moves the centres that are nearest to its rows by 1 / (rows they have had); a last pass puts
    each centre on the mean of its rows.

    Raises
    ------
    DataContractError
        As `lloyd.fit`.
    """
    counted = np.array(
        [spill.rows + spill.nulls, spill.bad + spill.nulls, spill.unfit_weights], dtype=np.int64
    )
    rows, bad, unfit = (int(n) for n in group.total(counted))
    if not rows:
        raise no_rows()
    if bad:
        raise not_finite(bad, rows)
    if unfit:
        raise DataContractError("weights", f"{unfit} are null, NaN or negative", allowed="0 or more")
    sample = _sample(spill, group, max(FEW_ROWS, 20 * settings.k), settings)
    mean = np.zeros(spill.width) if settings.cosine else group.from_first(sample.mean(axis=0))
    centres = np.zeros((min(settings.k, len(sample)), spill.width))
    if group.rank == 0:
        points = sample - mean
        centres = (
            points
            if len(points) <= settings.k
            else thin(points, np.ones(len(points)), settings.k, settings.seed, starts=settings.n_init)
        )
    centres = group.from_first(centres)
    if settings.cosine:
        centres = unit(centres)
    highest = group.largest(np.array([spill.largest + np.abs(mean).max(), spill.heaviest]))
    scale = grid(max(highest[0], 1.0) * (highest[1] or 1.0), rows)
    seen = np.zeros(len(centres))
    done, still = 0, False
    while done < settings.max_iter and not still:
        done += 1
        before = centres
        for number in range(len(spill.counts)):
            data = _read(spill, number, mean, group, cosine=settings.cosine)
            sums = group.total(data.sums(scale, data.nearest(centres), len(centres)))
            mass = sums[:, -1] / scale
            seen = seen + mass
            rate = np.where(seen > 0, 1.0 / np.where(seen > 0, seen, 1.0), 0.0)[:, None]
            centres = centres + rate * (sums[:, :-1] / scale - mass[:, None] * centres)
            if settings.cosine:
                centres = unit(centres, before)
        still = arrived(before, centres, settings)
    sums = np.zeros((len(centres), spill.width + 1))
    for number in range(len(spill.counts)):
        data = _read(spill, number, mean, group, cosine=settings.cosine)
        sums += data.sums(scale, data.nearest(centres), len(centres))
    sums = group.total(sums)
    mass = sums[:, -1:]
    centres = np.where(mass > 0, sums[:, :-1] / np.where(mass > 0, mass, 1.0), centres)
    if settings.cosine:
        centres = unit(centres)
    totals = np.zeros(len(centres) + 1)
    for number in range(len(spill.counts)):
        data = _read(spill, number, mean, group, cosine=settings.cosine)
        labels = data.nearest(centres)
        totals[:-1] += np.bincount(labels, minlength=len(centres))
        totals[-1] += (data.squared(centres, labels) * data.weights).sum()
    totals = group.total(totals)
    cost = totals[-1] / 2 if settings.cosine else totals[-1]
    return Outcome(centres + mean, float(cost), done, totals[:-1].astype(np.int64))


def _read(
    spill: Spill, number: int, mean: npt.NDArray[np.float64], group: WorkerGroup, *, cosine: bool
) -> ExactRows:
    data = spill.batch(number, mean)
    if cosine:
        zeros = int(group.total(np.array([data.unit()], dtype=np.int64))[0])
        if zeros:
            raise DataContractError(
                "features",
                f"at least {zeros} rows have length zero, and no angle to anything",
                allowed="with distanceMeasure cosine: at least one number that is not 0",
            )
    return data


def _sample(spill: Spill, group: WorkerGroup, count: int, settings: Settings) -> npt.NDArray[np.float64]:
    """Return the distinct rows of smallest hash over all tasks, at most ``count``."""
    kept = np.empty((0, spill.width), np.float32)
    nothing = np.zeros(spill.width)
    for number in range(len(spill.counts)):
        data = spill.batch(number, nothing)
        if settings.cosine:
            data.unit()
        both = np.concatenate([kept, data.rows])
        first = np.unique(row_hashes(both, settings.seed), return_index=True)[1]
        kept = both[first[:count]]
    return by_hash(group.gather(kept), settings.seed)[:count].astype(np.float64)
