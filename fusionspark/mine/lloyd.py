"""Lloyd's k-means over rows that lie in several tasks, the same result whoever holds which row.

Pure numpy; the tasks meet in a `WorkerGroup`. Two layouts of the same rows give the same centres to the last
digit as long as no two of the tested numbers are NaN: sums are exact (`ExactRows`), and so is the choice of
the nearest centre. Changed rows alone are added to and taken from the sums, which exactness makes safe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fusionspark.errors import DataContractError
from fusionspark.mine.exact_rows import ExactRows, Floats, Labels, grid, row_hashes
from fusionspark.mine.kmeans_start import first_centres
from fusionspark.mine.worker_group import WorkerGroup

#: Share by which a later start must be cheaper to be kept. Costs are summed in the order of the layout, so
#: their last digits must not choose between starts that end in the same place.
CHEAPER = 1e-6


@dataclass(frozen=True)
class Settings:
    """What `pyspark.ml.clustering.KMeans` calls by the same names, and scikit-learn's ``n_init``."""

    k: int
    n_init: int = 1
    max_iter: int = 20
    tol: float = 1e-4
    seed: int = 42
    cosine: bool = False
    init_mode: str = "k-means||"
    init_steps: int = 2


@dataclass(frozen=True)
class Outcome:
    """Centres in the order of the clusters, and how the fit went.

    ``cost`` is the sum over rows of weight times squared distance to the nearest of ``centres`` (cosine:
    weight times 1 - cosine), ``sizes`` the rows of each cluster,
    ``resources`` the seconds and the peak memory of the first task where the fit ran in tasks.
    """

    centres: Floats
    cost: float
    iterations: int
    sizes: Labels
    resources: dict[str, Any] = field(default_factory=dict)


def fit(data: ExactRows, group: WorkerGroup, settings: Settings) -> Outcome:
    """Cluster the rows of all tasks; every task calls this and gets the same outcome.

    Of ``n_init`` starts, each with a seed of its own, the one of least cost is kept.

    Raises
    ------
    DataContractError
        No rows; NaN or infinity; with cosine, rows of length zero.
    """
    rows, bound = _checked(data, group)
    mean = np.zeros(data.rows.shape[1])
    if settings.cosine:
        zeros = int(group.total(np.array([data.unit()], dtype=np.int64))[0])
        if zeros:
            raise DataContractError(
                "features",
                f"{zeros} of {rows} rows have length zero, and no angle to anything",
                allowed="with distanceMeasure cosine: at least one number that is not 0",
                remedy="leave those rows out, or set distanceMeasure to euclidean",
            )
    else:
        scale = grid(bound, rows)
        summed = group.total(data.sums(scale, np.zeros(len(data.rows), dtype=np.int64), 1))[0]
        if summed[-1]:
            mean = summed[:-1] / summed[-1]
        data.shift(mean)
    highest = group.largest(np.array([data.largest() or 1.0, data.weights.max(initial=0.0)]))
    scale = grid(max(highest[0], 1.0) * (highest[1] or 1.0), rows)
    best: Outcome | None = None
    for number in range(settings.n_init):
        found = _from_start(data, group, replace(settings, seed=settings.seed + number), scale)
        if best is None or found.cost < (1 - CHEAPER) * best.cost:
            best = found
    assert best is not None
    return replace(best, centres=best.centres + mean)


def _from_start(data: ExactRows, group: WorkerGroup, settings: Settings, scale: float) -> Outcome:
    """One start and its iterations; the centres are those of the shifted rows."""
    centres = first_centres(
        data,
        group,
        k=settings.k,
        mode=settings.init_mode,
        steps=settings.init_steps,
        seed=settings.seed,
        scale=scale,
    )
    if settings.cosine:
        centres = unit(centres)
    labels = data.nearest(centres)
    sums = group.total(data.sums(scale, labels, len(centres)))
    done, still = 0, False
    while done < settings.max_iter and not still:
        done += 1
        moved = _means(sums, centres, settings.cosine)
        empty = np.flatnonzero(sums[:, -1] == 0)
        if len(empty):
            moved[empty] = _farthest(data, group, centres, labels, count=len(empty), seed=settings.seed)
            if settings.cosine:
                moved = unit(moved)
        still = arrived(centres, moved, settings)
        centres = moved
        fresh = data.nearest(centres)
        changed = np.flatnonzero(fresh != labels)
        added = data.sums(scale, fresh[changed], len(centres), changed)
        taken = data.sums(scale, labels[changed], len(centres), changed)
        labels = fresh
        # Whole numbers below 2^53: adding and taking away leaves no trace of the order.
        sums = sums + group.total(added - taken)
    counted = np.zeros(len(centres) + 1)
    counted[:-1] = np.bincount(labels, minlength=len(centres))
    counted[-1] = (data.squared(centres, labels) * data.weights).sum()
    counted = group.total(counted)
    # |x - c|^2 of unit vectors is twice 1 - cosine.
    cost = counted[-1] / 2 if settings.cosine else counted[-1]
    return Outcome(centres, float(cost), done, counted[:-1].astype(np.int64))


def _checked(data: ExactRows, group: WorkerGroup) -> tuple[int, float]:
    """Return the rows of all tasks and a bound of weight times value."""
    largest = data.largest()
    bad = 0 if math.isfinite(largest) else data.not_finite()
    counted = np.array([len(data.rows) + data.nulls, bad + data.nulls], dtype=np.int64)
    rows, bad = (int(n) for n in group.total(counted))
    if not rows:
        raise no_rows()
    if bad:
        raise not_finite(bad, rows)
    if group.largest(np.array([float(not (data.weights >= 0).all())]))[0]:
        raise DataContractError("weights", "some are null, NaN or negative", allowed="0 or more")
    highest = group.largest(np.array([largest, data.weights.max(initial=0.0)]))
    return rows, max(float(highest[0]), 1.0) * (float(highest[1]) or 1.0)


def no_rows() -> DataContractError:
    """Return the error of an empty table."""
    return DataContractError("rows for clustering", "there are none", remedy="check the filters before it")


def not_finite(bad: int, rows: int) -> DataContractError:
    """Return the error of rows that hold no numbers that can be used."""
    return DataContractError(
        "features",
        f"{bad} of {rows} rows for clustering are null or hold NaN or infinity",
        allowed="finite numbers",
        remedy="impute before, or use FeatureFuser with handleInvalid keep",
    )


def _means(sums: Floats, centres: Floats, cosine: bool) -> Floats:
    mass = sums[:, -1]
    means = np.where((mass > 0)[:, None], sums[:, :-1] / np.where(mass > 0, mass, 1.0)[:, None], centres)
    return unit(means, centres) if cosine else means


def unit(centres: Floats, instead: Floats | None = None) -> Floats:
    """Return the centres at length 1; one of length zero has no direction and is replaced."""
    lengths = np.sqrt((centres**2).sum(axis=1))[:, None]
    return np.where(
        lengths > 0, centres / np.where(lengths > 0, lengths, 1.0), centres if instead is None else instead
    )


def arrived(old: Floats, new: Floats, settings: Settings) -> bool:
    """Whether no centre moved by more than the tolerance, measured as MLlib does."""
    squared = ((old - new) ** 2).sum(axis=1)
    limit = 2 * settings.tol if settings.cosine else settings.tol**2
    return bool((squared <= limit).all())


def _farthest(
    data: ExactRows, group: WorkerGroup, centres: Floats, labels: Labels, *, count: int, seed: int
) -> Floats:
    """Return the ``count`` distinct rows farthest from their centres, for clusters that lost all rows."""
    squared = data.squared(centres, labels)
    hashes = row_hashes(data.rows, seed)
    kept = np.unique(hashes, return_index=True)[1]
    # By distance, then by hash: the same rows whoever holds them.
    kept = kept[np.lexsort((hashes[kept], -squared[kept]))][:count]
    here = np.column_stack([squared[kept], data.rows[kept].astype(np.float64)])
    everywhere = group.gather(here)
    found = everywhere[:, 1:].astype(np.float32)
    order = np.lexsort((row_hashes(found, seed), -everywhere[:, 0]))
    unique = np.unique(everywhere[order], axis=0, return_index=True)[1]
    order = order[np.sort(unique)][:count]
    replaced = everywhere[order, 1:]
    if len(replaced) < count:
        # Fewer distinct rows than clusters: the others stay as they are, on a row that another holds.
        replaced = np.concatenate([replaced, np.repeat(replaced[-1:], count - len(replaced), axis=0)])
    return replaced
