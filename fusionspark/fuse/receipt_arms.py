"""The arms of the fusion receipt: the same learners on each block alone, on all, and with the texts shuffled.

All arms see the same rows and have the same freedom, so what differs between two of them is what their blocks
are worth. Each arm keeps the learner and penalty that did best on the validation rows; test rows are only
predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionspark.columns import TEST, TRAIN, VALIDATION
from fusionspark.fuse.softmax import fit_best, fit_softmax, log_loss
from fusionspark.fuse.vector_rows import columns_of

Span = tuple[int, int]

FUSED, SHUFFLED = "fused", "shuffled"
#: Folds of the out-of-fold answers that the trees of a fused arm see.
FOLDS = 5
#: Rounds of boosting at most; it stops early.
ROUNDS = 100


@dataclass(frozen=True)
class Arm:
    """What one model of the receipt sees.

    Parameters
    ----------
    name : str
        A block's name, `FUSED` or `SHUFFLED`.
    linear : dict of str to (start, end)
        Blocks that a linear model reads: text, pictures. Trees see its out-of-fold answer.
    narrow : dict of str to (start, end)
        Blocks of few columns with a meaning each (the table), which trees read as they are.
    shuffled : tuple of str
        Blocks whose rows change places within each split.
    """

    name: str
    linear: Mapping[str, Span] = field(default_factory=dict)
    narrow: Mapping[str, Span] = field(default_factory=dict)
    shuffled: tuple[str, ...] = ()

    @property
    def blocks(self) -> dict[str, Span]:
        """All blocks of the arm."""
        return {**self.linear, **self.narrow}


def arms_of(layout: Mapping[str, Span], narrow: Sequence[str], texts: Sequence[str]) -> list[Arm]:
    """Return the arms that a layout of blocks allows: each block, all of them, all with shuffled texts."""
    wide = {name: span for name, span in layout.items() if name not in narrow}
    flat = {name: span for name, span in layout.items() if name in narrow}
    arms = [Arm(name, linear={name: span}) for name, span in wide.items()]
    arms += [Arm(name, narrow={name: span}) for name, span in flat.items()]
    if len(layout) > 1:
        arms.append(Arm(FUSED, wide, flat))
    shuffled = tuple(name for name in layout if name in texts)
    if shuffled:
        arms.append(Arm(SHUFFLED, wide, flat, shuffled))
    return arms


@dataclass(frozen=True)
class Answer:
    """What an arm says of the validation and test rows.

    Parameters
    ----------
    learner : str
        The linear model or ``boosted_trees``, whichever did better on validation rows.
    loss : float
        Its loss there; that of the training rows where there are no validation rows.
    said : array, shape (rows, classes), or (rows, 1) where the label is a number
        Log-probabilities, or the number, of all rows that were given, in their order.
    """

    learner: str
    loss: float
    said: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """What all arms share, sorted by ``row_id`` so that nothing depends on how the rows arrived.

    Parameters
    ----------
    vectors : scipy CSR matrix
        Fused vectors.
    folds : array of int
        Fold of each row, for out-of-fold answers.
    splits : array of str
    classes : array of int
        Class of each row; a label that training never saw has the value -1 and counts as wrong everywhere.
    count : int
        Number of classes.
    """

    vectors: Any
    folds: npt.NDArray[np.int64]
    splits: npt.NDArray[Any]
    classes: npt.NDArray[np.int64]
    count: int


def train_arm(arm: Arm, rows: Rows, seed: int) -> Answer:
    """Train the arm on the rows of split train and answer for all rows; on one core, as tasks have."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _train(arm, rows, seed)


def _train(arm: Arm, rows: Rows, seed: int) -> Answer:
    splits, classes, count = rows.splits, rows.classes, rows.count
    blocks = blocks_of(arm, rows.vectors, splits, seed)
    train, validation = splits == TRAIN, (splits == VALIDATION) & (classes >= 0)
    joined = side_by_side([blocks[name] for name in blocks])
    held = (joined[validation], classes[validation])
    _, linear = fit_best(joined[train], classes[train], held, count)
    answers = [("logistic_regression", linear.log_probabilities(joined))]
    if arm.narrow and len(np.unique(classes[train])) > 1:
        level = [dense(blocks[name]) for name in arm.narrow]
        if arm.linear:
            wide = side_by_side([blocks[name] for name in arm.linear])
            chosen = fit_best(wide[train], classes[train], (wide[validation], classes[validation]), count)[0]
            level.append(out_of_fold(wide, rows, chosen))
        answers.append(("boosted_trees", _boosted(np.hstack(level), rows, seed)))
    judged = validation if validation.any() else train
    losses = [log_loss(logs[judged], classes[judged]) for _, logs in answers]
    best = int(np.argmin(losses))
    return Answer(answers[best][0], losses[best], answers[best][1])


def blocks_of(arm: Arm, vectors: Any, splits: npt.NDArray[Any], seed: int) -> dict[str, Any]:
    """Columns of each block of the arm by name, those of its shuffled blocks with their rows changed."""
    blocks = {name: columns_of(vectors, [span]) for name, span in arm.blocks.items()}
    if not arm.shuffled:
        return blocks
    # One permutation for all text blocks: embedding and TF-IDF are of the same text.
    order = shuffled_within(splits, seed)
    return {name: part[order] if name in arm.shuffled else part for name, part in blocks.items()}


def shuffled_within(splits: npt.NDArray[Any], seed: int) -> npt.NDArray[np.int64]:
    """Return an order in which the rows of each split have changed places among themselves."""
    order = np.arange(len(splits))
    random = np.random.default_rng(seed)
    for split in (TRAIN, VALIDATION, TEST):
        here = np.flatnonzero(splits == split)
        order[here] = random.permutation(here)
    return order


def out_of_fold(wide: Any, rows: Rows, penalty: float) -> npt.NDArray[np.float64]:
    """Log-probabilities of each row by a model of ``wide`` that has not seen the rows of its fold.

    Rows outside training have a fold as well, so that what a second model reads is made alike for all.
    """
    logs, train = np.zeros((wide.shape[0], rows.count)), rows.splits == TRAIN
    for fold in np.unique(rows.folds):
        here, others = rows.folds == fold, train & (rows.folds != fold)
        if others.any():
            model = fit_softmax(wide[others], rows.classes[others], rows.count, penalty)
            logs[here] = model.log_probabilities(wide[here])
    return logs


def _boosted(level: npt.NDArray[Any], rows: Rows, seed: int) -> npt.NDArray[np.float64]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    train = rows.splits == TRAIN
    sizes = np.bincount(rows.classes[train])
    # The rows that say when to stop are drawn by class, which takes two of each.
    settings = boosting(int(train.sum()), seed, stop=bool(sizes[sizes > 0].min() > 1))
    model = HistGradientBoostingClassifier(**settings).fit(level[train], rows.classes[train])
    found = np.full((len(level), rows.count), 1e-6)
    found[:, model.classes_] = np.maximum(model.predict_proba(level), 1e-6)
    logs: npt.NDArray[np.float64] = np.log(found / found.sum(axis=1, keepdims=True))
    return logs


def boosting(rows: int, seed: int, *, stop: bool = True) -> dict[str, Any]:
    """Settings of scikit-learn's histogram boosting for so many training rows, whatever the label is."""
    return {
        "max_iter": ROUNDS,
        "max_leaf_nodes": 8,
        "min_samples_leaf": max(2, min(20, rows // 20)),
        "l2_regularization": 1.0,
        "early_stopping": stop and rows >= 50,
        "validation_fraction": 0.15,
        "n_iter_no_change": 5,
        "random_state": seed,
    }


def dense(part: Any) -> npt.NDArray[Any]:
    """The block as an array."""
    return np.asarray(part if isinstance(part, np.ndarray) else part.toarray())


def side_by_side(parts: Sequence[Any]) -> Any:
    """Blocks as one matrix, sparse where any of them is."""
    from scipy import sparse

    if all(isinstance(part, np.ndarray) for part in parts):
        return np.hstack(parts)
    return sparse.hstack([sparse.csr_matrix(part) for part in parts], format="csr")
