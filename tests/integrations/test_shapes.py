"""The readers of shapes on anything at all: they find what is there, refuse what is wrong, and never fail otherwise."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import prepare_balance
from hybridstore.integrations.balance_entries import exact_balance
from hybridstore.integrations.balance_shapes import told_by, told_by_call
from hybridstore.integrations.calls import Call
from hybridstore.integrations.exact import Exact
from hybridstore.integrations.fields import Fields, plain
from hybridstore.integrations.fill_shapes import FillShapes, is_fill, items_of
from hybridstore.integrations.market_names import MarketNames
from hybridstore.integrations.position_shapes import PositionShapes, told_positions

AT = datetime(2026, 8, 1, 12, tzinfo=UTC)
NAIVE = datetime(2026, 8, 1)  # noqa: DTZ001  the point
KEYS = st.sampled_from(
    ["asset", "symbol", "balance", "free", "used", "total", "data", "BTC", "price", "amount", "side", "id", "fee",
     "timestamp", "positions", "trades", "filled", "remaining", "entry_price", "leverage", "status"]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.text(max_size=8), st.binary(max_size=4),
    st.sampled_from(["BTC", "BTC/USDT", "BTCUSDT", "buy", "1.5", "NaN", "closed", "2026-08-01", "{", "[1]"]),
    st.datetimes(), st.just(object()), st.just(dict),
)  # fmt: skip
THINGS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6), st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.integers(), st.tuples(st.text(max_size=2))), inner, max_size=2),
    ),
    max_leaves=20,
)  # fmt: skip


def call_of(arguments: dict[str, Any], name: str = "told") -> Call:
    return Call(name, arguments, tuple(arguments.values()), None, (), arguments)


@given(
    arguments=st.dictionaries(st.one_of(KEYS, st.sampled_from(["*0", "*1"])), THINGS, max_size=4),
    named=st.booleans(),
)
def test_anything_is_read_or_refused(arguments: dict[str, Any], named: bool) -> None:  # noqa: FBT001  drawn
    exact = Exact()
    names = MarketNames()
    call = call_of(arguments, "told" if named else "")
    with suppress(InvalidValue):
        for told in told_by_call(call):
            exact_balance(told, exact, "test", AT)
    fills = FillShapes(exact, names, {})
    for fields in items_of(call):
        with suppress(InvalidValue):
            assert is_fill(fields) in {True, False}
            for fill in fills.fills(fields, AT):
                assert fill.side in {"buy", "sell"}
                assert fill.price.is_finite()
    with suppress(InvalidValue):
        fills.marks(call, AT)
    for value in arguments.values():
        for position in told_positions(value):
            with suppress(InvalidValue):
                assert PositionShapes(exact, names).position(position).amount >= 0


@given(
    assets=st.dictionaries(
        st.sampled_from(["BTC", "ETH", "USDT", "stETH", "1INCH", "TIME"]),
        st.tuples(st.decimals(0, 10**9, places=8), st.decimals(0, 10**9, places=8)),
        min_size=1,
    ),
    wrap=st.sampled_from(["plain", "data", "list", "columns", "json", "ccxt"]),
)
def test_one_account_in_every_shape_is_the_same(
    assets: dict[str, tuple[Decimal, Decimal]], wrap: str
) -> None:
    entries = {name: {"free": str(free), "used": str(used)} for name, (free, used) in assets.items()}
    columns: dict[str, Any] = {
        kind: {name: entry[kind] for name, entry in entries.items()} for kind in ("free", "used")
    }
    shapes: dict[str, Any] = {
        "plain": entries,
        "data": {"type": "snapshot", "result": {"balances": entries}},
        "list": [{"coin": name, "available": e["free"], "locked": e["used"]} for name, e in entries.items()],
        "columns": columns,
        "json": json.dumps({"data": entries}),
        "ccxt": {**entries, **columns, "info": {"x": 1}, "timestamp": 1_785_585_600_000, "datetime": None},
    }
    found = [exact_balance(told, Exact(), "test", AT) for told in told_by(shapes[wrap])]
    taken = [prepare_balance(each.asset, each.balance, each.hold, available=each.available) for each in found]
    assert {each.asset: (each.balance, each.hold, each.available) for each in taken} == {
        name: (free + used, used, free) for name, (free, used) in assets.items()
    }
    if wrap == "ccxt":
        assert {each.changed_at for each in found} == {AT}


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_a_float_is_its_shortest_decimal_or_the_nearest_that_fits(value: float) -> None:
    exact = Exact()
    number = exact.amount(value, "x")
    if exact.rounded:
        assert abs(number - Decimal(repr(value))) <= Decimal("5E-19")
    else:
        assert float(number) == value
        assert len(number.as_tuple().digits) <= 17 or number == number.to_integral_value()
    assert exact.floats_converted == 1


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0.1, "0.1"), (1e-7, "1E-7"), (np.float64(0.3), "0.3"), (np.float32(0.1), "0.1"), (np.int64(7), "7"),
        ("1.50", "1.50"), (Decimal("2.5"), "2.5"), (10**19, str(10**19)), (Decimal(1) / 3, "0.333333333333333333"),
    ],
)  # fmt: skip
def test_a_figure_is_taken(value: object, number: str) -> None:
    assert str(Exact().amount(value, "x")) == number


@pytest.mark.parametrize(
    "value", [None, True, float("nan"), -float("inf"), "x", "1,5", Decimal("NaN"), Fraction(1, 3), [], 1j]
)
def test_a_figure_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match="x"):
        Exact().amount(value, "x")


@pytest.mark.parametrize("value", [0.5, np.float32(0.25), np.float64(0.75)])
def test_floats_are_refused_where_they_are(value: object) -> None:
    exact = Exact("refuse")
    with pytest.raises(InvalidValue, match="x"):
        exact.amount(value, "x")
    assert exact.floats_converted == 0


S = 1_785_585_600


@pytest.mark.parametrize(
    "value",
    [
        S, float(S), str(S), S * 1000, f"{S}000", S * 10**6, S * 10**9, Decimal(S), np.int64(S * 1000), AT,
        AT.astimezone(timezone(timedelta(hours=-5))), "2026-08-01T12:00:00Z", "2026-08-01T14:00:00+02:00",
    ],
    ids=repr,
)  # fmt: skip
def test_a_time_in_any_unit(value: object) -> None:
    exact = Exact()
    assert exact.moment(value) == AT
    assert exact.times_ignored == 0


@pytest.mark.parametrize(
    "value",
    [
        5,
        12_345.6,
        -S,
        "soon",
        "2026-08-01T12:00:00",
        NAIVE,
        True,
        float("nan"),
        10**30,
        object(),
    ],
)
def test_a_time_that_cannot_be_placed_is_counted(value: object) -> None:
    exact = Exact()
    assert exact.moment(value) is None
    assert exact.times_ignored == 1


def test_a_zone_places_a_time_that_names_none() -> None:
    exact = Exact(zone=timezone(timedelta(hours=2)))
    assert exact.moment(NAIVE.replace(hour=14)) == AT
    assert exact.moment("2026-08-01 14:00:00") == AT
    assert exact.moment(None) is None
    assert exact.times_ignored == 0


@pytest.mark.parametrize(
    ("name", "unified"),
    [
        ("BTC/USDT", "BTC/USDT"), ("BTC/USD:BTC", "BTC/USD:BTC"), ("BTCUSDT", "BTC/USDT"), ("btc-usd", "BTC/USD"),
        ("ETH_BTC", "ETH/BTC"), ("SHIBFDUSD", "SHIB/FDUSD"), ("1INCHUSDC", "1INCH/USDC"),
    ],
)  # fmt: skip
def test_a_market_is_named(name: str, unified: str) -> None:
    assert MarketNames().unified(name) == unified
    assert MarketNames(lambda given: f"{given}/X").unified("A") == "A/X"


@pytest.mark.parametrize("name", ["DOGE", "USDT", "", "A B"])
def test_a_market_nobody_can_name(name: str) -> None:
    with pytest.raises(InvalidValue, match="not a unified symbol"):
        MarketNames().unified(name)
    with pytest.raises(InvalidValue, match="market='perp'"):
        MarketNames(market="perp")  # type: ignore[arg-type]  # the point


class _Slots:
    __slots__ = ("free",)

    def __init__(self) -> None:
        self.free = 3


class _Property(_Slots):
    @property
    def lockedAmount(self) -> int:  # noqa: N802  somebody's style
        return 4

    def total(self) -> int:
        return 7


def test_fields_of_objects() -> None:
    fields = Fields(_Property(), {"asset": "BTC"})
    assert fields.get(("free",)) == 3
    assert fields.get(("locked_amount",)) == 4
    assert fields.get(("total",)) is None, "a method is no field"
    assert fields.get(("asset",)) == "BTC"
    assert plain("lockedAmount") == plain("locked_amount")
