"""What changed in the rows since the run before: new, changed, gone and same."""

from __future__ import annotations

from typing import Any

from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.tables import RunFolder, newest_run

_BEFORE = "__before"


def changes(run: RunFolder) -> dict[str, Any]:
    """Compare the collected rows with those of the newest published run of an earlier date.

    One join of two narrow tables, row_id and content hash. A row without key columns is known by its
    content alone, so that a changed one counts as gone and new.

    Returns
    -------
    dict
        ``new``, ``changed``, ``gone``, ``same`` as numbers of rows and ``since``, the date of the other
        run; where there is none, every row is new and ``since`` is None.
    """
    rows = run.read(c.COLLECTED).select(c.ROW_ID, c.CONTENT_HASH)
    earlier = newest_run(run.spark, run.root, run.table_format, before=run.run_date)
    before = earlier.read(c.COLLECTED) if earlier else None
    # Runs from before there was a content hash can be read, but not compared with.
    if earlier is None or before is None or c.CONTENT_HASH not in before.columns:
        return {"new": rows.count(), "changed": 0, "gone": 0, "same": 0, "since": None}
    then = before.select(c.ROW_ID, F.col(c.CONTENT_HASH).alias(_BEFORE))
    now, was = F.col(c.CONTENT_HASH), F.col(_BEFORE)
    kinds = {
        "new": was.isNull(),
        "changed": now != was,
        "gone": now.isNull(),
        "same": now == was,
    }
    counts = rows.join(then, c.ROW_ID, "full").agg(*[F.count_if(kind).alias(n) for n, kind in kinds.items()])
    return {**counts.collect()[0].asDict(), "since": earlier.run_date}
