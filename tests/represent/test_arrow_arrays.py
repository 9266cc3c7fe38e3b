import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from fusionspark.represent.arrow_arrays import booleans, float_lists, numbers, strings


@pytest.mark.parametrize("count", [0, 1, 8, 9])
def test_arrays_say_what_pyarrow_would(count):
    found = np.random.default_rng(0).normal(size=2 * count)[::2]
    for array, expected in (
        (numbers(found.astype(np.float32)), pa.array(found.astype(np.float32))),
        (numbers(found.astype(np.int32)), pa.array(found.astype(np.int32))),
        (booleans(found > 0), pa.array(found > 0)),
        (strings(["é ok", "", "失败"][:count]), pa.array(["é ok", "", "失败"][:count], pa.string())),
    ):
        array.validate(full=True)
        assert array.equals(expected)
        assert array.null_count == 0


@pytest.mark.parametrize("missing", [[], [False, False], [True, False, True], [True] * 9])
def test_lists_are_null_where_a_row_is_missing(missing):
    matrix = np.arange(len(missing) * 3, dtype=np.float64).reshape(-1, 3)
    lists = float_lists(matrix, np.array(missing, dtype=bool))
    lists.validate(full=True)
    assert lists.type == pa.list_(pa.float32())
    rows = zip(matrix.tolist(), missing, strict=True)
    assert lists.to_pylist() == [None if gone else row for row, gone in rows]


def test_a_worker_that_embeds_never_imports_pandas(tiny_bert):
    code = f"""
import sys
import pyarrow as pa
from fusionspark.represent.arrow_partition import text_partition
from fusionspark.represent.loading import EngineSettings
run = text_partition(EngineSettings(model={str(tiny_bert)!r}, device="cpu"), "text", 2, "skip", None)
# "a", "", "b": with pa.array the test itself would import pandas.
ends = pa.py_buffer(bytes([0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]))
texts = pa.StringArray.from_buffers(3, ends, pa.py_buffer(b"ab"))
batch = pa.RecordBatch.from_arrays([texts], names=["text"])
print(sum(part.num_rows for part in run([batch])), 'pandas' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
