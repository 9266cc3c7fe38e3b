import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.represent.store.codec import DTYPES, cosines, decode, encode

FINITE = st.floats(-(2.0**120), 2.0**120, width=32, allow_nan=False)
MATRICES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=FINITE)

#: Largest error of a value, as a share of the largest value of its row.
ERROR = {"float32": 0.0, "float16": 2.0**-11, "int8": 0.5 / 127}


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=60)
@given(matrix=MATRICES)
def test_the_error_follows_the_largest_value_of_the_row(dtype, matrix):
    data, scale = encode(matrix, dtype)
    assert data.shape == (len(matrix), matrix.shape[1] * np.dtype(DTYPES[dtype]).itemsize)
    again = decode(data, scale, dtype)
    largest = np.abs(matrix).max(axis=1, keepdims=True).astype(np.float64)
    # Below 2^-120 the scale itself has no more digits to give.
    allowed = largest * ERROR[dtype] * (1 + 1e-5) + (0.0 if dtype == "float32" else 2.0**-120)
    assert (np.abs(again.astype(np.float64) - matrix) <= allowed).all()


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=40)
@given(matrix=MATRICES)
def test_what_was_stored_is_stored_again_as_it_is(dtype, matrix):
    """Compaction and later nights must not wear a vector off."""
    first = decode(*encode(matrix, dtype), dtype)
    second = decode(*encode(first, dtype), dtype)
    np.testing.assert_allclose(second, first, rtol=1e-5, atol=2.0**-120)


def test_values_by_hand():
    matrix = np.array([[3.0, -1.25, 0.0], [0.0, 0.0, 0.0], [1e-30, 3e-30, -4e-30]], dtype=np.float32)
    data, scale = encode(matrix, "float16")
    assert scale[0] == 2.0
    assert data[0].view("<f2").tolist() == [1.5, -0.625, 0.0]
    data, scale = encode(matrix, "int8")
    assert data[0].view("<i1").tolist() == [127, -53, 0]
    assert data[1].view("<i1").tolist() == [0, 0, 0]
    assert data[2].view("<i1").tolist() == [32, 95, -127]
    assert encode(matrix, "float32")[1].tolist() == [1.0, 1.0, 1.0]


def test_no_rows_and_what_is_refused():
    for dtype in DTYPES:
        data, scale = encode(np.zeros((0, 4), dtype=np.float32), dtype)
        assert decode(data, scale, dtype).shape[0] == 0
    with pytest.raises(ConfigError, match=r"store\.dtype: is 'bf16'.*float32, float16, int8"):
        encode(np.zeros((1, 2), dtype=np.float32), "bf16")
    with pytest.raises(DataContractError, match=r"has 3 bytes.*a multiple of 2"):
        decode(np.zeros((1, 3), dtype=np.uint8), np.ones(1, dtype=np.float32), "float16")


def test_cosines():
    a = np.array([[1, 0], [1, 1], [0, 0], [2, 0]], dtype=np.float32)
    b = np.array([[0, 5], [2, 2], [0, 0], [-1, 0]], dtype=np.float32)
    np.testing.assert_allclose(cosines(a, b), [0, 1, 1, -1], atol=1e-12)


@settings(max_examples=30)
@given(arrays(np.float32, (20, 384), elements=st.floats(-1, 1, width=32)))
def test_the_loss_that_a_run_states_is_small(matrix):
    matrix[:, 0] += 2.0
    assert cosines(matrix, decode(*encode(matrix, "float16"), "float16")).min() > 0.9999
    assert cosines(matrix, decode(*encode(matrix, "int8"), "int8")).min() > 0.98
