import numpy as np
import pyarrow as pa
import pytest

from fusionspark.errors import DataContractError
from fusionspark.represent.arrow_arrays import float_lists
from fusionspark.represent.store.partition import binaries, byte_rows, pack, unpack


class Sink(list):
    add = list.append


def rows(matrix, missing):
    n = len(matrix)
    columns = [
        pa.array([bytes([i]) * 32 for i in range(n)], pa.binary()),
        pa.array([f"t{i}" for i in range(n)]),
        float_lists(np.asarray(matrix, dtype=np.float32), np.asarray(missing, dtype=bool)),
        pa.array([5] * n, pa.int32()),
        pa.array([False] * n, pa.bool_()),
        pa.array(["ok"] * n),
    ]
    return pa.RecordBatch.from_arrays(columns, names=list("abcdef"))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_rows_come_back_and_rows_without_a_vector_stay_null(dtype):
    matrix = np.array([[1.0, 0.5], [0, 0], [0.25, -1.0]])
    sink = Sink()
    stored = pack(rows(matrix, [False, True, False]), dtype, sink)
    assert stored.schema.names == ["key", "vector", "scale", "n_tokens", "truncated", "status"]
    assert stored.column("vector").is_valid().to_pylist() == [True, False, True]
    lists = unpack(stored.column("vector"), stored.column("scale"), dtype).to_pylist()
    assert lists[1] is None
    np.testing.assert_allclose([lists[0], lists[2]], matrix[[0, 2]], atol=0.5 / 127)
    assert [told["measured"] for told in sink] == [2]
    assert sink[0]["lowest_cosine"] > 0.999


def test_no_rows_one_row_and_all_null():
    for n, missing in ((0, []), (1, [False]), (3, [True] * 3)):
        stored = pack(rows(np.ones((n, 2)), missing), "float16")
        lists = unpack(stored.column("vector"), stored.column("scale"), "float16")
        assert lists.to_pylist() == [None if gone else [1.0, 1.0] for gone in missing]


def test_a_slice_of_a_column_is_its_own_rows():
    data = np.arange(12, dtype=np.uint8).reshape(4, 3)
    column = binaries(data, np.array([True, True, False, True, True]))
    assert column.to_pylist() == [b"\0\1\2", b"\3\4\5", None, b"\6\7\x08", b"\x09\x0a\x0b"]
    assert byte_rows(column.slice(1, 3)).tolist() == [[3, 4, 5], [6, 7, 8]]


def test_vectors_of_unlike_length_are_refused():
    column = pa.array([b"abcd", b"abcdefgh"], pa.binary())
    with pytest.raises(DataContractError, match=r"4 to 8 bytes.*one length"):
        byte_rows(column)
