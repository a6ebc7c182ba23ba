"""Manifest algebra: nothing that may hold an answer is left out."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.archive.manifest import ArchiveFile, prune, split
from hybridstore.clock import DAY_US
from hybridstore.schema.internal import ARCHIVE_FILES

FILE = ArchiveFile(
    file_id="f",
    dataset="trades",
    tier="warm",
    path="archives/f.parquet",
    start_us=0,
    end_us=DAY_US,
    id_min=1,
    id_max=9,
    visible_through=None,
    time_min_us=10,
    time_max_us=20,
    symbol_min="B",
    symbol_max="D",
    row_count=5,
    size_bytes=100,
    sha256="0" * 64,
    sums="{}",
    schema_version=1,
    column_count=9,
    created_seq=7,
)


def test_fields_are_the_columns_of_the_manifest() -> None:
    assert ArchiveFile.__struct_fields__ == ARCHIVE_FILES.column_names
    assert ArchiveFile.from_row(FILE.as_row()) == FILE


@given(
    times=st.lists(st.integers(0, 30), min_size=1),
    symbols=st.lists(st.sampled_from("ABCDE"), min_size=1),
    start=st.none() | st.integers(0, 30),
    end=st.none() | st.integers(0, 30),
    symbol=st.none() | st.sampled_from("ABCDE"),
)
def test_a_file_with_a_matching_row_is_never_pruned(
    times: list[int], symbols: list[str], start: int | None, end: int | None, symbol: str | None
) -> None:
    file = msgspec.structs.replace(
        FILE, time_min_us=min(times), time_max_us=max(times), symbol_min=min(symbols), symbol_max=max(symbols)
    )
    matches = any((start is None or time >= start) and (end is None or time < end) for time in times)
    matches = matches and (symbol is None or symbol in symbols)
    kept = prune([file], start_us=start, end_us=end, symbol=symbol)
    assert kept == [file] or not matches


def test_files_beside_the_range_or_symbol_are_pruned() -> None:
    assert prune([FILE], start_us=21) == []
    assert prune([FILE], end_us=10) == []
    assert prune([FILE], symbol="A") == prune([FILE], symbol="E") == []
    assert prune([FILE], start_us=20, end_us=21, symbol="D") == [FILE]
    without_symbols = msgspec.structs.replace(FILE, symbol_min=None, symbol_max=None)
    assert prune([without_symbols], symbol="A") == [without_symbols]


def test_files_being_published_are_told_apart() -> None:
    publishing = msgspec.structs.replace(FILE, visible_through=4)
    assert split([FILE, publishing, FILE]) == ([FILE, FILE], [publishing])
