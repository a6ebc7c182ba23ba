"""The door: what passes is stored exactly, what does not fit is named and refused."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.errors import InvalidValue
from hybridstore.schema.plain import check_blob, check_boolean, check_integer, check_json, check_ratio
from hybridstore.schema.types import (
    CHECKS,
    LogicalType,
    check_money,
    check_name,
    check_text,
    check_tick,
    check_timestamp,
    moment,
    tick_decimal,
    to_decimal,
)

MONEY = st.integers(-(10**38) + 1, 10**38 - 1).map(
    lambda units: Decimal(units).scaleb(-18, decimal.Context(60))
)
TICKS = st.integers(-(10**18) + 1, 10**18 - 1).map(
    lambda units: Decimal(units).scaleb(-8, decimal.Context(60))
)

MONEY_TEXTS = {
    "0": "0",
    "-0": "0",
    "-0.00": "0",
    "0E-30": "0",
    "0E+30": "0",
    "0E+999": "0",
    "1": "1",
    "+1": "1",
    "1.50": "1.5",
    "-1.500": "-1.5",
    "100": "100",
    "1E+2": "100",
    "1E2": "100",
    "1.5e-3": "0.0015",
    "1E-8": "0.00000001",
    "1E-18": "0.000000000000000001",
    "-1E-18": "-0.000000000000000001",
    "0.0000000000000000010": "0.000000000000000001",
    "99999999999999999999.999999999999999999": "99999999999999999999.999999999999999999",
    "-99999999999999999999.999999999999999999": "-99999999999999999999.999999999999999999",
    "1E+19": "10000000000000000000",
    "00001.10": "1.1",
    ".5": "0.5",
    "5.": "5",
}

NOT_MONEY: list[tuple[object, str]] = [
    (Decimal("0.0000000000000000001"), "19 decimal places"),
    (Decimal("1.1234567890123456789"), "1.1234567890123456789"),
    (Decimal(10**20), "20 digits"),
    (Decimal("1E+20"), "20 digits"),
    (Decimal("1E+999999"), "1E\\+999999"),
    (Decimal("1E-999999"), "1E-999999"),
    (10**20, "20 digits"),
    (Decimal("NaN"), "NaN"),
    (Decimal("sNaN"), "sNaN"),
    (Decimal("Infinity"), "Infinity"),
    (Decimal("-Infinity"), "-Infinity"),
    (0.1, "0.1: a float is not exact"),
    (1.0, "a float is not exact"),
    (math.nan, "a float is not exact"),
    (True, "a bool is not money"),
    (None, "a NoneType is not money"),
    ("", "''"),
    ("abc", "'abc'"),
    ("1,5", "'1,5'"),
    (" 1", "' 1'"),
    ("1_000", "'1_000'"),
    ("NaN", "'NaN'"),
    ("Infinity", "'Infinity'"),
    ("0x10", "'0x10'"),
    ("\u0661", "not a decimal number"),
    ("1e9999", "'1e9999'"),
    (b"1", "bytes"),
    (Fraction(1, 2), "Fraction"),
    ([1], "list"),
]

NOT_TIMES: list[tuple[object, str]] = [
    (datetime(2026, 8, 1), "naive"),  # noqa: DTZ001  the point of the test
    ("2026-08-01T00:00:00", "naive"),
    ("2026-08-01", "naive"),
    ("yesterday", "'yesterday'"),
    (1_785_585_600, "seconds or milliseconds"),
    (1_785_585_600_000, "seconds or milliseconds"),
    (1, "seconds or milliseconds"),
    (-1, "seconds or milliseconds"),
    (-1.5, "not a time"),
    (1_785_585_600_000.0, "not a time"),
    (math.nan, "not a time"),
    (math.inf, "not a time"),
    (True, "True"),
    (None, "None"),
    (Decimal(1), "not a time"),
    (b"2026", "not a time"),
    (datetime(1969, 12, 31, tzinfo=UTC), "outside 1970"),
    (253_402_300_800_000_000, "outside 1970"),
    (datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), "outside 1970"),
]

NOT_NAMES: list[object] = [
    5, None, b"BTC", True, "", " BTC", "BTC ", "\tBTC", "B\nTC", "B\x00TC", "B\x7fTC", "B\x1fTC", "x" * 201,
    "\ud800", "BTC/\udfff",
]  # fmt: skip

OTHERS: list[tuple[Callable[[Any, str], Any], object]] = [
    (check_text, 5),
    (check_text, None),
    (check_text, "a\x00b"),
    (check_text, "\ud800"),
    (check_integer, 2**63),
    (check_integer, -(2**63) - 1),
    (check_integer, True),
    (check_integer, 1.0),
    (check_integer, "1"),
    (check_boolean, 1),
    (check_boolean, None),
    (check_boolean, "true"),
    (check_ratio, math.nan),
    (check_ratio, math.inf),
    (check_ratio, True),
    (check_ratio, "1"),
    (check_ratio, 10**400),
    (check_json, "{"),
    (check_json, "nonsense"),
    (check_json, object()),
    (check_json, {"a": [1, {"b": float("nan")}]}),
    (check_json, {"a": float("-inf")}),
    (check_json, [b"bytes"]),
    (check_json, "\ud800"),
    (check_blob, "text"),
]


@pytest.fixture(params=["usual", "three digits", "strict", "lower case"])
def caller_context(request: pytest.FixtureRequest) -> decimal.Context:
    """Return a decimal context that a caller may have set for calculations of their own."""
    strict = [decimal.Inexact, decimal.Rounded, decimal.FloatOperation, decimal.Subnormal, decimal.Clamped]
    return {
        "usual": decimal.Context(),
        "three digits": decimal.Context(prec=3, rounding=decimal.ROUND_UP, Emax=5, Emin=-5),
        "strict": decimal.Context(prec=3, traps=[*strict, decimal.InvalidOperation]),
        "lower case": decimal.Context(capitals=0),
    }[request.param]


@pytest.mark.parametrize(("given_text", "stored"), MONEY_TEXTS.items())
def test_money_is_stored_as_plain_text(given_text: str, stored: str, caller_context: decimal.Context) -> None:
    value = Decimal(given_text)
    with decimal.localcontext(caller_context):
        assert check_money(value, "amount") == stored
        assert check_money(given_text, "amount") == stored


@pytest.mark.parametrize(("value", "named"), NOT_MONEY, ids=repr)
def test_what_is_no_money_is_named(value: object, named: str) -> None:
    with pytest.raises(InvalidValue, match=named) as caught:
        check_money(value, "hold_trade")
    assert caught.value.message.startswith("hold_trade=")
    with pytest.raises(InvalidValue, match=r"^price="):
        check_tick(value, "price")


@given(MONEY)
def test_money_comes_back_to_the_last_digit(value: Decimal) -> None:
    stored = check_money(value, "amount")
    assert Decimal(stored) == value
    assert "E" not in stored.upper()
    assert not stored.endswith(".")
    assert stored == "0" or not ("." in stored and stored.endswith("0"))
    assert check_money(stored, "amount") == stored
    with decimal.localcontext(prec=2, capitals=0):
        assert check_money(value, "amount") == stored


@given(st.decimals(allow_nan=True, allow_infinity=True) | st.text(max_size=12) | st.integers())
def test_any_value_is_stored_exactly_or_refused(value: Decimal | str | int) -> None:
    try:
        stored = check_money(value, "amount")
    except InvalidValue:
        return
    assert Decimal(stored) == Decimal(value)
    whole, _, fraction = stored.lstrip("-").partition(".")
    assert len(whole) <= 20
    assert len(fraction) <= 18


def test_a_kind_of_decimal_is_a_decimal() -> None:
    class Price(Decimal):
        """A caller's own."""

    assert type(to_decimal(Price("1.5"), "price")) is Decimal
    with pytest.raises(InvalidValue, match="NaN"):
        to_decimal(Price("NaN"), "price")


@given(TICKS)
def test_ticks_come_back_to_the_last_digit(value: Decimal) -> None:
    stored = check_tick(value, "price")
    assert type(stored) is int
    assert tick_decimal(stored) == value
    with decimal.localcontext(prec=2):
        assert check_tick(value, "price") == stored
        assert tick_decimal(stored) == value


@pytest.mark.parametrize(
    "value", ["0.000000001", "10000000000", "-10000000000", "1E+30", "1E-30", "9999999999.999999999"]
)
def test_what_no_tick_can_hold_is_named(value: str) -> None:
    with pytest.raises(InvalidValue, match=r"^price=") as caught:
        check_tick(Decimal(value), "price")
    assert str(Decimal(value)) in caught.value.message


def test_zero_ticks() -> None:
    for zero in ("0", "-0", "0.000000000000", "0E+5"):
        assert check_tick(Decimal(zero), "price") == 0


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 8, 1, 12, tzinfo=UTC),
        datetime(2026, 8, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        "2026-08-01T12:00:00+00:00",
        "2026-08-01T12:00:00Z",
        "2026-08-01T05:00:00-07:00",
        1_785_585_600_000_000,
        1_785_585_600.0,
    ],
    ids=str,
)
def test_one_moment_in_many_forms(value: object) -> None:
    assert check_timestamp(value, "changed_at") == 1_785_585_600_000_000


@pytest.mark.parametrize(("value", "named"), NOT_TIMES, ids=repr)
def test_what_is_no_time_is_named(value: object, named: str) -> None:
    with pytest.raises(InvalidValue, match=named) as caught:
        check_timestamp(value, "changed_at")
    assert caught.value.message.startswith("changed_at=")


@given(st.integers(100_000_000_000_000, 253_402_300_799_999_999))
def test_a_moment_comes_back_to_the_microsecond(ts_us: int) -> None:
    assert check_timestamp(moment(ts_us), "changed_at") == ts_us
    assert check_timestamp(moment(ts_us).isoformat(), "changed_at") == ts_us
    assert moment(ts_us).tzinfo is UTC


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_seconds_as_the_clock_gives_them(value: datetime) -> None:
    assert abs(check_timestamp(value.timestamp(), "t") - check_timestamp(value, "t")) <= 1


@pytest.mark.parametrize(
    "value",
    ["BTC", "BTC/USDT:USDT", "币安", "Ünïcode", "🚀", "a b", "-", "kraken/main", "x" * 200, "e\u0301"],
)
def test_names_pass_as_they_are(value: str) -> None:
    assert check_name(value, "asset") == value


@pytest.mark.parametrize("value", NOT_NAMES, ids=repr)
def test_what_is_no_name_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"^asset="):
        check_name(value, "asset")


@pytest.mark.parametrize(
    ("check", "value"), OTHERS, ids=[f"{check.__name__}-{ascii(value)[:20]}" for check, value in OTHERS]
)
def test_other_types_refuse_what_does_not_fit(check: Callable[[Any, str], Any], value: object) -> None:
    with pytest.raises(InvalidValue, match=r"^column="):
        check(value, "column")


def test_other_types_take_what_fits() -> None:
    assert check_text("a\tb\n", "t") == "a\tb\n"
    assert check_integer(-(2**63), "i") == -(2**63)
    assert (check_boolean(value=True, column="b"), check_boolean(value=False, column="b")) == (1, 0)
    assert check_ratio(1, "r") == 1.0
    assert check_json('{"a": 1}', "j") == '{"a": 1}'
    assert check_json({"price": Decimal("0.10")}, "j") == '{"price":"0.10"}'
    assert check_blob(b"\x00", "b") == b"\x00"
    assert set(CHECKS) == set(LogicalType)
