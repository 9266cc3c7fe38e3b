"""Params that several fusion methods have, beside those of `pyspark.ml.param.shared`."""

from __future__ import annotations

from pyspark.ml.param import Param, Params, TypeConverters


class HasLabels(Params):
    """Mixin for ``labels``."""

    labels: Param[list[str]] = Param(
        Params._dummy(), "labels", "the classes in order", TypeConverters.toListString
    )

    def getLabels(self) -> list[str]:
        """Return the classes in order; empty before the fit where none were set."""
        return self.getOrDefault(self.labels)


class HasNumFolds(Params):
    """Mixin for ``numFolds``."""

    numFolds: Param[int] = Param(Params._dummy(), "numFolds", "number of folds", TypeConverters.toInt)

    def getNumFolds(self) -> int:
        """Return the number of folds."""
        return self.getOrDefault(self.numFolds)
