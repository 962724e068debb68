import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.arrow_arrays import as_numpy, int64_array, string_array, texts_at

INTS = st.integers(-(2**31), 2**31 - 1)


@settings(deadline=None)
@given(st.lists(INTS))
def test_numbers_come_back(values: list[int]) -> None:
    array = int64_array(np.array(values, dtype=np.int64))
    assert array.to_pylist() == values
    assert as_numpy(array, np.int32).tolist() == values


def test_a_view_with_steps_becomes_an_array_of_its_values() -> None:
    assert int64_array(np.arange(10)[::-3]).to_pylist() == [9, 6, 3, 0]


@settings(deadline=None)
@given(st.lists(st.text()))
def test_texts_come_back(values: list[str]) -> None:
    array = string_array(values)
    array.validate(full=True)
    assert array.to_pylist() == values


@settings(deadline=None)
@given(st.lists(st.lists(st.none() | INTS), max_size=4), st.integers(0, 5))
def test_nulls_become_what_stands_for_them(parts: list[list[int | None]], num_cut: int) -> None:
    column = pa.chunked_array([pa.array(part, pa.int32()) for part in parts], pa.int32())
    column = column.slice(num_cut)
    expected = [-7 if value is None else value for value in column.to_pylist()]
    got_N = as_numpy(column, np.int64, null=-7)
    assert (got_N.tolist(), got_N.dtype) == (expected, np.int64)


def test_nulls_among_floats_become_not_a_number() -> None:
    values_N = as_numpy(pa.array([1.5, None, -2.0]), np.float32, null=float("nan"))
    np.testing.assert_array_equal(values_N, np.array([1.5, np.nan, -2.0], np.float32))


def test_nulls_that_should_not_be_there_are_an_error() -> None:
    with pytest.raises(ValueError, match="1 nulls in a column"):
        as_numpy(pa.array([1, None]), np.int64)


def test_loading_imports_no_pandas(dataset_url: str) -> None:
    program = (
        "import sys; from loader import *; "
        f"config = LoaderConfig(url={dataset_url!r}, split='train', "
        "batch_size=4, crop_seconds=None); "
        "next(iter(ShardLoader(config, world=World()))); "
        "assert 'pandas' not in sys.modules and 'pyarrow.dataset' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@given(texts=st.lists(st.text(), min_size=1, max_size=30), data=st.data())
def test_texts_are_those_of_arrow_in_any_order(texts: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(texts) - 1))
    array = string_array(texts)[first:]
    rows = data.draw(st.lists(st.integers(0, len(array) - 1), max_size=40))
    assert texts_at(array, np.array(rows, dtype=np.int64)) == tuple(
        texts[first + row] for row in rows
    )
