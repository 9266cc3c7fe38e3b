"""Params that several fusion methods have, beside those of `pyspark.ml.param.shared`."""

from __future__ import annotations

from pyspark.ml.param import Param, Params, TypeConverters

from fusionspark.errors import ConfigError
from fusionspark.fuse.folds import FOLD_BY


class HasLabels(Params):
    """Mixin for ``labels``."""

    labels: Param[list[str]] = Param(
        Params._dummy(), "labels", "the classes in order", TypeConverters.toListString
    )

    def getLabels(self) -> list[str]:
        """Return the classes in order; empty before the fit where none were set."""
        return self.getOrDefault(self.labels)


class HasFolds(Params):
    """Mixin for ``numFolds``, ``foldBy`` and ``foldCol``."""

    numFolds: Param[int] = Param(Params._dummy(), "numFolds", "number of folds", TypeConverters.toInt)
    foldBy: Param[str] = Param(
        Params._dummy(),
        "foldBy",
        "hash: by a hash of foldCol; time: stretches of foldCol",
        TypeConverters.toString,
    )
    foldCol: Param[str] = Param(
        Params._dummy(), "foldCol", "row id, group, or date of a row", TypeConverters.toString
    )

    def getNumFolds(self) -> int:
        """Return the number of folds."""
        return self.getOrDefault(self.numFolds)

    def getFoldBy(self) -> str:
        """Return how folds are made."""
        return self.getOrDefault(self.foldBy)

    def getFoldCol(self) -> str:
        """Return the column that folds are made by."""
        return self.getOrDefault(self.foldCol)

    def _check_folds(self) -> None:
        """Raise a ConfigError where no folds can be made."""
        if self.getFoldBy() not in FOLD_BY:
            raise ConfigError("foldBy", repr(self.getFoldBy()), allowed=", ".join(FOLD_BY))
        if self.getNumFolds() < 2:
            raise ConfigError("numFolds", str(self.getNumFolds()), allowed="2 or more")
