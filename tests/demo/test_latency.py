"""The latency book: every call counts, and percentiles are values that occurred."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.demo.latency import LatencyBook, percentile


@given(values=st.lists(st.integers(min_value=0), min_size=1), percent=st.integers(min_value=1, max_value=100))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(values: list[int], percent: int) -> None:
    found = percentile(sorted(values), percent)
    assert found in values
    assert 100 * sum(value <= found for value in values) >= percent * len(values)
    assert 100 * sum(value < found for value in values) < percent * len(values)


def test_calls_and_rows_are_counted_by_operation() -> None:
    book = LatencyBook()
    assert book.measure("write", lambda: "done", rows=3) == "done"
    book.measure("read", lambda: time.sleep(0.002))
    book.measure("write", lambda: None, rows=4)
    write, read = book.rows()
    assert (write.operation, write.calls, write.rows) == ("write", 2, 7)
    assert (read.operation, read.calls, read.rows) == ("read", 1, 1)
    assert read.p50_us == read.p99_us == read.max_us >= 2_000


def test_a_call_that_fails_is_not_measured() -> None:
    book = LatencyBook()
    with pytest.raises(ZeroDivisionError):
        book.measure("write", lambda: 1 / 0)
    assert book.rows() == ()
