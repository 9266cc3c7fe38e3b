"""One block's models, each of which has not seen the rows of one fold. Plain numpy, no Spark."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionspark.fuse.folds import NEW
from fusionspark.fuse.softmax import PENALTIES, USUAL, Softmax, fit_softmax, log_loss
from fusionspark.fuse.vector_rows import columns_of

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BlockModels:
    """The models of one block.

    Parameters
    ----------
    block : str
    start, end : int
        Slice of the block in the joined vector.
    penalty : float
        L2 that did best on held-out folds, relative to the mean square norm of the rows.
    weights : array of float32, shape (models, classes, end - start)
    bias : array of float32, shape (models, classes)
        Model f answers for the rows of fold f.
    """

    block: str
    start: int
    end: int
    penalty: float
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def log_probabilities(self, rows: Any, folds: Ints) -> npt.NDArray[np.float64]:
        """Log-probabilities of each row; ``rows`` is the block's slice.

        Those of the model of its fold; of a row of the fold `NEW` those of the mean of what all models say.
        """
        logs = np.zeros((rows.shape[0], self.bias.shape[1]))
        for fold in np.unique(folds):
            here = folds == fold
            asked = range(len(self.bias)) if fold == NEW else [fold]
            said = [Softmax(self.weights[f], self.bias[f]).log_probabilities(rows[here]) for f in asked]
            logs[here] = np.logaddexp.reduce(said) - np.log(len(said))
        return logs

    def to_dict(self) -> dict[str, Any]:
        """Return the models as JSON values; float32 as base64 of little-endian bytes."""
        return {
            **{name: getattr(self, name) for name in ("block", "start", "end", "penalty")},
            "shape": list(self.weights.shape),
            "weights": packed(self.weights),
            "bias": packed(self.bias),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> BlockModels:
        """Build the models from `to_dict`'s values."""
        models, classes, width = value["shape"]
        weights = unpacked(value["weights"], np.float32).reshape(models, classes, width)
        bias = unpacked(value["bias"], np.float32).reshape(models, classes)
        return cls(value["block"], value["start"], value["end"], value["penalty"], weights, bias)


@dataclass(frozen=True)
class StackSays:
    """What the second level of a stack reads of each row.

    Parameters
    ----------
    blocks : tuple of BlockModels
    kept : tuple of (start, end)
        Slices of the joined vector that go on as they are.
    """

    blocks: tuple[BlockModels, ...]
    kept: tuple[tuple[int, int], ...]

    def __call__(self, rows: Any, folds: Ints) -> npt.NDArray[np.float64]:
        """Log-probabilities of each block, then the kept columns; ``rows`` is a CSR matrix."""
        said = [
            block.log_probabilities(columns_of(rows, [(block.start, block.end)]), folds)
            for block in self.blocks
        ]
        said += [rows[:, start:end].toarray().astype(np.float64) for start, end in self.kept]
        return np.hstack(said)


def packed(values: npt.NDArray[Any]) -> str:
    """Return the numbers as base64 of their little-endian bytes, for JSON."""
    return base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def unpacked(text: str, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Return the numbers of `packed` as a flat array of type ``kind``."""
    return np.frombuffer(base64.b64decode(text), dtype=np.dtype(kind).newbyteorder("<")).astype(kind)


def cross_fit(
    rows: Any,
    classes: Ints,
    folds: Ints,
    count: int,
    numbers: int,
    *,
    past_only: bool,
    choosing: npt.NDArray[np.bool_] | None = None,
    folded: bool = False,
) -> tuple[float, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Fit one model a fold without its rows, with the penalty that does best on rows left out.

    Parameters
    ----------
    rows : matrix, shape (rows, width)
    classes, folds : arrays of int
    count : int
        Number of classes.
    numbers : int
        Number of folds. A fold without rows gets a model of all rows.
    past_only : bool
        Folds are stretches of time: model f sees earlier folds only. There is one model more, of all rows,
        for those after the last fold; fold 0, which has no past, is answered with the shares of the classes.
    choosing : array of bool, optional
        Rows that choose the penalty, and that no model learns from. Without any the rows of one fold do.
    folded : bool
        The columns are as many equal parts as there are folds, and a rest of fewer. What made part f has not
        seen fold f: model f reads part f and the rest. Rows of a fold then are as good judges of a penalty as
        those of ``choosing``. Not with ``past_only``.

    Returns
    -------
    (penalty, weights, bias)
        As in `BlockModels`.
    """
    learnt = np.ones(len(classes), dtype=bool) if choosing is None else ~choosing
    whole = rows.shape[1]

    def read(f: int) -> Ints:
        if not folded:
            return np.arange(whole)
        part = whole // numbers
        return np.concatenate([np.arange(f * part, (f + 1) * part), np.arange(numbers * part, whole)])

    def own(f: int) -> Any:
        return rows[:, read(f)] if folded else rows

    def fit(seen: npt.NDArray[np.bool_], penalty: float, f: int) -> Softmax:
        part = own(f)[seen]
        # The weight of a block, which its rows are scaled by, then changes nothing of what its model learns.
        total = float(_squares(part).sum())
        scale = (part.shape[0] / total) ** 0.5 if total else 1.0
        model = fit_softmax(part * scale, classes[seen], count, penalty)
        return Softmax(model.weights * scale, model.bias)

    wanted = range(numbers + 1) if past_only else range(numbers)
    seen = {f: learnt & (folds < f if past_only else folds != f) for f in wanted}
    judged = [f for f in wanted if seen[f].any() and (learnt & (folds == f)).any()]
    tried: dict[float, Softmax] = {}
    # One fold is enough to tell penalties apart that differ tenfold; the last has the longest past.
    penalty, last = USUAL, judged[-1] if judged else None
    if not learnt.all() and not folded:
        tried, last, judges = {p: fit(learnt, p, 0) for p in PENALTIES}, None, ~learnt
    elif last is not None:
        tried, judges = {p: fit(seen[last], p, last) for p in PENALTIES}, ~seen[last]
    if tried:
        judged_rows = own(last or 0)[judges]
        penalty = min(tried, key=lambda p: log_loss(tried[p].log_probabilities(judged_rows), classes[judges]))
    models = []
    for f in wanted:
        if f == last:
            models.append(tried[penalty])
        elif seen[f].any():
            models.append(fit(seen[f], penalty, f))
        else:
            models.append(_shares(len(read(f)), classes[learnt], count))
    # Nothing of the parts that a model does not read: whoever applies the weights need not know of parts.
    weights = np.zeros((len(models), count, whole), dtype=np.float32)
    for f, model in enumerate(models):
        weights[f][:, read(f)] = model.weights
    return penalty, weights, np.stack([m.bias for m in models])


def _squares(rows: Any) -> Any:
    return rows.multiply(rows) if hasattr(rows, "multiply") else np.square(rows)


def _shares(width: int, classes: Ints, count: int) -> Softmax:
    """A model that answers with the shares of the classes, whatever the row."""
    shares = (np.bincount(classes, minlength=count) + 1) / (len(classes) + count)
    return Softmax(np.zeros((count, width), dtype=np.float32), np.log(shares).astype(np.float32))
