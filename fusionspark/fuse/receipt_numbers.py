"""The arms of the receipt where the label is a number: ridge regression, and boosted trees beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionspark.columns import TRAIN, VALIDATION
from fusionspark.fuse.receipt_arms import Answer, Arm, blocks_of, boosting, dense, side_by_side
from fusionspark.fuse.softmax import PENALTIES, USUAL

#: Directions of the blocks that a linear model reads, which trees get beside its answer.
DIRECTIONS = 4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NumberRows:
    """What all arms share, sorted by ``row_id``; see `fusionspark.fuse.receipt_arms.Rows`.

    ``targets`` is the label of each row.
    """

    vectors: Any
    folds: npt.NDArray[np.int64]
    splits: npt.NDArray[Any]
    targets: Floats


def train_arm(arm: Arm, rows: NumberRows, seed: int) -> Answer:
    """Train the arm on the rows of split train and answer for all rows; on one core, as tasks have."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _train(arm, rows, seed)


def _train(arm: Arm, rows: NumberRows, seed: int) -> Answer:
    blocks = blocks_of(arm, rows.vectors, rows.splits, seed)
    train, validation = rows.splits == TRAIN, rows.splits == VALIDATION
    center, scale = float(rows.targets[train].mean()), float(rows.targets[train].std()) or 1.0
    targets = (rows.targets - center) / scale
    joined = side_by_side(list(blocks.values()))
    answers = [("ridge_regression", _best_ridge(joined, targets, train, validation)[1])]
    if arm.narrow:
        level = [dense(blocks[name]) for name in arm.narrow]
        if arm.linear:
            wide = side_by_side([blocks[name] for name in arm.linear])
            penalty = _best_ridge(wide, targets, train, validation)[0]
            level += [_out_of_fold(wide, targets, rows, penalty)[:, None], _directions(wide, train, seed)]
        answers.append(("boosted_trees", _boosted(np.hstack(level), targets, train, seed)))
    judged = validation if validation.any() else train
    losses = [float(np.mean((said[judged] - targets[judged]) ** 2)) for _, said in answers]
    best = int(np.argmin(losses))
    return Answer(answers[best][0], losses[best], (answers[best][1] * scale + center)[:, None])


def _best_ridge(
    rows: Any, targets: Floats, train: npt.NDArray[np.bool_], validation: npt.NDArray[np.bool_]
) -> tuple[float, Floats]:
    """The penalty with the least squared error on validation rows, and what its model says of all rows."""
    penalties = PENALTIES if validation.any() else (USUAL,)
    said = [(penalty, _ridge(rows[train], targets[train], rows, penalty)) for penalty in penalties]
    return min(said, key=lambda one: float(np.sum((one[1] - targets)[validation] ** 2)))


def _ridge(learnt: Any, targets: Floats, asked: Any, penalty: float) -> Floats:
    from sklearn.linear_model import Ridge

    # The penalty is of the mean squared error, so that it does not depend on the number of rows.
    solver = "cholesky" if isinstance(learnt, np.ndarray) else "sparse_cg"
    model = Ridge(alpha=penalty * len(targets), solver=solver, tol=1e-6).fit(learnt, targets)
    return np.asarray(model.predict(asked), dtype=np.float64)


def _out_of_fold(wide: Any, targets: Floats, rows: NumberRows, penalty: float) -> Floats:
    """What a model of ``wide`` says of each row that has not seen the rows of its fold."""
    said, train = np.zeros(len(targets)), rows.splits == TRAIN
    for fold in np.unique(rows.folds):
        here, others = rows.folds == fold, train & (rows.folds != fold)
        if others.any():
            said[here] = _ridge(wide[others], targets[others], wide[here], penalty)
    return said


def _directions(wide: Any, train: npt.NDArray[np.bool_], seed: int) -> Floats:
    """The first directions of ``wide``, learnt without the label.

    What a text is about may count for nothing by itself, and for much beside a column: of that a model of the
    label alone keeps no trace.
    """
    from sklearn.decomposition import TruncatedSVD

    few = min(DIRECTIONS, wide.shape[1] - 1, int(train.sum()) - 1)
    if few < 1:
        return np.empty((wide.shape[0], 0))
    found = TruncatedSVD(few, random_state=seed).fit(wide[train]).transform(wide)
    return np.asarray(found, dtype=np.float64)


def _boosted(level: Floats, targets: Floats, train: npt.NDArray[np.bool_], seed: int) -> Floats:
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(**boosting(int(train.sum()), seed))
    return np.asarray(model.fit(level[train], targets[train]).predict(level), dtype=np.float64)
