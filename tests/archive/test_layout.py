"""Paths of archived files: safe on every system, one for each name."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.archive.layout import encode_name, file_path, temporary_path, unit_of
from hybridstore.clock import DAY_US

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


@given(
    name=NAMES
    | st.sampled_from(["CON", "con", "aux.txt", "..", ".", "a.", "a/b", "a\\b", "C:", "\x00", "A", "a"])
)
def test_an_encoded_name_is_one_harmless_part_of_a_path(name: str) -> None:
    encoded = encode_name(name)
    assert PurePosixPath(encoded).parts == (encoded,)
    assert PureWindowsPath(encoded).parts == (encoded,)
    assert encoded == encoded.lower()
    assert encoded.isascii()
    assert encoded.isprintable()
    assert not set(encoded) & set('<>:"|?* ')
    assert not encoded.startswith(".")
    assert not encoded.endswith(".")
    assert encoded.partition(".")[0] not in DEVICES


@given(one=NAMES, other=NAMES)
def test_two_names_never_share_a_path(one: str, other: str) -> None:
    assert (encode_name(one) == encode_name(other)) is (one == other)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("market_trades", "market_trades"),
        ("BTC/USDT", "%42%54%43%2f%55%53%44%54"),
        ("nul", "%6eul"),
        ("", "%"),
    ],
)
def test_examples_of_encoded_names(name: str, encoded: str) -> None:
    assert encode_name(name) == encoded


def test_a_file_lies_in_the_folder_of_its_day() -> None:
    start_us, end_us = unit_of(20_000 * DAY_US + 12_345)
    path = file_path("market_trades", "warm", start_us, end_us, "0a1b")
    assert path == (
        "archives/warm/market_trades/year=2024/month=10/day=04/market_trades-warm-20241004-20241004-0a1b.parquet"
    )
    assert temporary_path(path) == f"{path}.tmp"


@given(time_us=st.integers(0, 253_402_300_799_999_999))
def test_a_unit_is_the_utc_day_of_its_moment(time_us: int) -> None:
    start_us, end_us = unit_of(time_us)
    assert start_us <= time_us < end_us
    assert (start_us % DAY_US, end_us - start_us) == (0, DAY_US)
