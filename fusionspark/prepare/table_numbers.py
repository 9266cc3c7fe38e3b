"""Numbers of a table: clipped, made less skewed, imputed, scaled. Learnt in passes, applied as SQL."""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import ROW_ID

#: Rows from which the exponent of a power transform is learnt.
_SAMPLE = 10_000
_QUANTILE_ACCURACY = 10_000


def learn(dataset: DataFrame, names: list[str], *, clip: float, skew: float) -> dict[str, dict[str, Any]]:
    """Learn how each number becomes a feature, in two passes however many columns there are.

    The rule for skew: where the skewness of the clipped values is above ``skew`` in size, log1p is taken if
    no value is negative and it at least halves the skewness; otherwise the Yeo-Johnson power (Yeo & Johnson
    2000, Biometrika 87) whose exponent is the most likely one on a sample. That takes one pass more.

    Returns
    -------
    dict
        For each column ``median, low, high, shape`` (``none``, ``log1p`` or ``power``), ``exponent``,
        ``mean`` and ``std``; the last two of the shaped and filled values.
    """
    if not names:
        return {}
    finite = {n: F.when(~F.isnan(F.col(f"`{n}`")), F.col(f"`{n}`").cast("double")) for n in names}
    quantiles = dataset.agg(
        *[
            F.percentile_approx(finite[n], [clip, 0.5, 1 - clip], _QUANTILE_ACCURACY).alias(str(i))
            for i, n in enumerate(names)
        ]
    ).collect()[0]
    found: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(names):
        low, median, high = map(float, quantiles[i] or (0.0, 0.0, 0.0))
        found[name] = {"median": median, "low": low, "high": high, "shape": "none", "exponent": 1.0}
        if not clip:
            found[name] |= {"low": None, "high": None}
    log = {name: {**found[name], "shape": "log1p"} for name in names}
    asked = []
    for i, n in enumerate(names):
        asked += [F.skewness(clipped(finite[n], found[n])).alias(f"k{i}"), F.min(finite[n]).alias(f"min{i}")]
        asked += [
            F.skewness(shaped(F.greatest(clipped(finite[n], found[n]), F.lit(0.0)), log[n])).alias(f"kl{i}")
        ]
        asked += _moments(finite[n], found[n], f"{i}") + _moments(
            F.greatest(finite[n], F.lit(0.0)), log[n], f"l{i}"
        )
    told = dataset.agg(*asked).collect()[0]
    powers = []
    for i, name in enumerate(names):
        raw, logged = abs(told[f"k{i}"] or 0.0), abs(told[f"kl{i}"] or 0.0)
        which = f"{i}"
        if skew and raw > skew:
            if told[f"min{i}"] >= 0 and logged <= raw / 2:
                found[name]["shape"], which = "log1p", f"l{i}"
            else:
                powers.append(name)
        found[name] |= _scale(told, which)
    return found | _powers(dataset, finite, {name: found[name] for name in powers})


def _powers(
    dataset: DataFrame, finite: dict[str, Column], found: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Learn the exponents of the columns in ``found`` and measure them anew."""
    if not found:
        return {}
    from sklearn.preprocessing import PowerTransformer

    names = list(found)
    values = [clipped(finite[name], found[name]).alias(str(i)) for i, name in enumerate(names)]
    # A hash of the row draws the same sample whatever the partitioning.
    order = F.xxhash64(F.col(ROW_ID)) if ROW_ID in dataset.columns else F.xxhash64(*values)
    sample = dataset.select(*values, order.alias("drawn")).orderBy("drawn", *map(str, range(len(names))))
    rows = sample.limit(_SAMPLE).toPandas()
    for i, name in enumerate(names):
        kept = rows[str(i)].dropna().to_numpy(dtype=float).reshape(-1, 1)
        exponent = float(PowerTransformer(standardize=False).fit(kept).lambdas_[0])
        found[name] |= {"shape": "power", "exponent": exponent}
    told = dataset.agg(
        *[one for i, n in enumerate(names) for one in _moments(finite[n], found[n], str(i))]
    ).collect()[0]
    return {name: found[name] | _scale(told, str(i)) for i, name in enumerate(names)}


def _moments(value: Column, learnt: dict[str, Any], suffix: str) -> list[Column]:
    whole = shaped(clipped(F.coalesce(value, F.lit(learnt["median"])), learnt), learnt)
    return [F.avg(whole).alias(f"m{suffix}"), F.stddev_pop(whole).alias(f"s{suffix}")]


def _scale(told: Any, suffix: str) -> dict[str, float]:
    # A constant column says nothing; dividing by one keeps it at zero.
    return {"mean": float(told[f"m{suffix}"] or 0.0), "std": float(told[f"s{suffix}"] or 0.0) or 1.0}


def clipped(value: Column, learnt: dict[str, Any]) -> Column:
    """The value between the learnt quantiles; null stays null."""
    if learnt["low"] is None:
        return value
    inside = F.least(F.greatest(value, F.lit(learnt["low"])), F.lit(learnt["high"]))
    # greatest and least pass over nulls.
    return F.when(value.isNotNull(), inside)


def shaped(value: Column, learnt: dict[str, Any]) -> Column:
    """The value after the learnt transform."""
    if learnt["shape"] == "none":
        return value
    if learnt["shape"] == "log1p":
        # New rows may hold what training rows never did; the logarithm of one less is none.
        return F.log1p(F.greatest(value, F.lit(0.0)))
    p = learnt["exponent"]
    up = F.log1p(value) if abs(p) < 1e-9 else (F.pow(value + 1, F.lit(p)) - 1) / p
    down = -F.log1p(-value) if abs(p - 2) < 1e-9 else -(F.pow(1 - value, F.lit(2 - p)) - 1) / (2 - p)
    return F.when(value >= 0, up).otherwise(down)


def features(name: str, learnt: dict[str, Any]) -> Column:
    """Two features: the scaled value, and whether it was missing."""
    value = F.col(f"`{name}`").cast("double")
    missing = value.isNull() | F.isnan(value)
    filled = F.when(missing, F.lit(learnt["median"])).otherwise(value)
    scaled = (shaped(clipped(filled, learnt), learnt) - F.lit(learnt["mean"])) / F.lit(learnt["std"])
    return F.array(scaled, missing.cast("double"))
