"""Figures as text: nothing is lost where nothing may be, and units fit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.reports.wording import count, counted, duration, exact, ratio, rounded, size


@given(value=st.decimals(min_value=-(10**20), max_value=10**20, places=18))
def test_exact_keeps_every_digit(value: Decimal) -> None:
    text = exact(value)
    assert Decimal(text.replace(",", "").replace("\N{MINUS SIGN}", "-")) == value
    assert not text.endswith(".")
    assert "E" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("-0.000", "0"),
        ("0E-18", "0"),
        ("1E+3", "1,000"),
        ("-1234567.890", "\N{MINUS SIGN}1,234,567.89"),
        ("0.000000000000000001", "0.000000000000000001"),
    ],
)
def test_exact_reads_well(value: str, text: str) -> None:
    assert exact(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "how", "text"),
    [
        ("1234.567", {}, "1,234.57"),
        ("1234.567", {"signed": True}, "+1,234.57"),
        ("-0.004", {"signed": True}, "0.00"),
        ("0.004", {"signed": True}, "0.00"),
        ("-12.345", {"signed": True}, "\N{MINUS SIGN}12.34"),
    ],
)
def test_rounded_is_for_the_eye(value: str, how: dict[str, bool], text: str) -> None:
    assert rounded(Decimal(value), signed=how.get("signed", False)) == text


@pytest.mark.parametrize(
    ("us", "text"),
    [(0.4, "0.4 µs"), (999.0, "999.0 µs"), (1_250.0, "1.25 ms"), (2_500_000.0, "2.5 s")],
)
def test_a_duration_takes_the_unit_that_suits_it(us: float, text: str) -> None:
    assert duration(us).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5.0 TiB")],
)
def test_a_size_takes_the_unit_that_suits_it(size_bytes: int, text: str) -> None:
    assert size(size_bytes).replace("\N{NO-BREAK SPACE}", " ") == text


def test_counts_and_shares() -> None:
    assert count(1_234_567) == "1,234,567"
    assert counted(1, "file") == "1 file"
    assert counted(2_000, "file") == "2,000 files"
    assert ratio(1, 8).replace("\N{NO-BREAK SPACE}", " ") == "12.5 %"
    assert ratio(0, 0) == "\N{EN DASH}"
