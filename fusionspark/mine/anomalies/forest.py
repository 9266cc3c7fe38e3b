"""An isolation forest as plain arrays: fitted by scikit-learn, scored by NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Forest:
    """The trees of an isolation forest (Liu, Ting and Zhou 2008), the nodes of all in one row of arrays.

    ``feature`` is -1 at a leaf; ``depth`` is the expected path length to a node that is a leaf (its depth and
    what its rows would add); ``roots`` says where each tree begins; ``normal`` the path length that is
    expected of a tree's sample.
    """

    feature: Any
    threshold: Any
    left: Any
    right: Any
    depth: Any
    roots: Any
    normal: float

    @classmethod
    def fit(cls, matrix: Any, *, trees: int, seed: int) -> Forest:
        """Fit on rows x features of finite numbers, each tree on up to 256 of the rows."""
        from sklearn.ensemble import IsolationForest

        fitted = IsolationForest(n_estimators=trees, random_state=seed).fit(np.asarray(matrix, np.float32))
        parts: dict[str, list[Any]] = {
            name: [] for name in ("feature", "threshold", "left", "right", "depth")
        }
        roots, start = [], 0
        for estimator, features in zip(fitted.estimators_, fitted.estimators_features_, strict=True):
            tree = estimator.tree_
            leaf = tree.children_left < 0
            parts["feature"].append(np.where(leaf, -1, features[np.maximum(tree.feature, 0)]))
            parts["threshold"].append(tree.threshold)
            parts["left"].append(np.where(leaf, 0, tree.children_left + start))
            parts["right"].append(np.where(leaf, 0, tree.children_right + start))
            levels = np.zeros(tree.node_count)
            for node in np.flatnonzero(~leaf):
                levels[[tree.children_left[node], tree.children_right[node]]] = levels[node] + 1
            parts["depth"].append(levels + _expected_path(tree.n_node_samples))
            roots.append(start)
            start += tree.node_count
        joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        return cls(
            joined["feature"].astype(np.int32),
            joined["threshold"],
            joined["left"].astype(np.int32),
            joined["right"].astype(np.int32),
            joined["depth"],
            np.array(roots, dtype=np.int32),
            float(_expected_path(np.array([fitted.max_samples_]))[0]),
        )

    def scores(self, matrix: Any) -> Any:
        """Anomaly score of each row, 0 to 1; scikit-learn's ``-score_samples``."""
        matrix = np.asarray(matrix, dtype=np.float32)
        node = np.broadcast_to(self.roots, (len(matrix), len(self.roots))).copy()
        rows = np.arange(len(matrix))[:, None]
        while True:
            feature = self.feature[node]
            inside = feature >= 0
            if not inside.any():
                break
            lower = matrix[rows, np.maximum(feature, 0)] <= self.threshold[node]
            node = np.where(inside, np.where(lower, self.left[node], self.right[node]), node)
        mean = self.depth[node].sum(axis=1) / len(self.roots)
        return 2.0 ** -(mean / self.normal) if self.normal else np.full(len(matrix), 0.5)

    def arrays(self) -> dict[str, Any]:
        """What `from_arrays` wants."""
        return dict(self.__dict__)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Forest:
        """Make it again from `arrays`."""
        return cls(**arrays)


def _expected_path(samples: Any) -> Any:
    """Mean path length of an unsuccessful search in a binary tree of so many rows (Liu et al., eq. 1)."""
    n = np.asarray(samples, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        long = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.select([n <= 1, n == 2], [0.0, 1.0], long)
