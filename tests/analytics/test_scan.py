"""Scans: the rows asked for and no others, from files that can hold them, filters pushed down."""

from __future__ import annotations

from decimal import Decimal

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from hybridstore.analytics.scan import check_bounds
from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue, UnknownDataset
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import moment
from hybridstore.store import HybridStore
from tests.analytics.ticks import FIRST_DAY, SYMBOLS, Tick

START_US = FIRST_DAY * DAY_US
moments = st.one_of(st.none(), st.integers(START_US - DAY_US, START_US + 7 * DAY_US))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start_us=moments, end_us=moments, symbol=st.sampled_from((None, *SYMBOLS, "NO/SUCH")))
def test_a_scan_returns_what_was_asked(
    tiered: HybridStore, ticks: list[Tick], start_us: int | None, end_us: int | None, symbol: str | None
) -> None:
    expected = sorted(
        tick.trade_id
        for tick in ticks
        if (start_us is None or tick.traded_us >= start_us)
        and (end_us is None or tick.traded_us < end_us)
        and symbol in (None, tick.symbol)
    )
    found = tiered.scan("market_trades", start=start_us, end=end_us, symbol=symbol).collect()
    assert sorted(found["trade_id"].to_list()) == expected


def test_times_may_be_moments_or_text(tiered: HybridStore, ticks: list[Tick]) -> None:
    day = START_US + DAY_US
    forms: list[tuple[object, object]] = [
        (day, day + DAY_US),
        (moment(day), moment(day + DAY_US)),
        (moment(day).isoformat(), moment(day + DAY_US).isoformat()),
    ]
    expected = sum(day <= tick.traded_us < day + DAY_US for tick in ticks)
    heights = [
        tiered.analytics.scan("market_trades", start=start, end=end).collect().height for start, end in forms
    ]
    assert heights == [expected] * 3


def test_files_outside_the_time_are_not_even_checked(tiered: HybridStore, ticks: list[Tick]) -> None:
    (first, *_rest) = sorted((tiered.root / "archives").rglob("*.parquet"))
    first.unlink()

    rows = tiered.scan("market_trades", start=START_US + DAY_US).collect()
    assert rows.height == sum(tick.traded_us >= START_US + DAY_US for tick in ticks)


def test_filters_and_columns_reach_the_files(tiered: HybridStore) -> None:
    frame = (
        tiered.scan("market_trades", symbol="BTC/USDT").filter(pl.col("price") > 5).select("price", "amount")
    )
    plan = frame.explain()

    assert "Parquet SCAN" in plan
    scan = plan[plan.index("Parquet SCAN") :]
    assert "PROJECT 3/8 COLUMNS" in scan or "PROJECT 2/8 COLUMNS" in scan
    assert "SELECTION:" in scan


def test_only_some_columns(tiered: HybridStore) -> None:
    frame = tiered.analytics.scan("market_trades", columns=["price", "id"], symbol="ETH/USDT").collect()
    assert frame.columns == ["price", "id"]
    with pytest.raises(InvalidValue, match="has no column 'prize'"):
        tiered.analytics.scan("market_trades", columns=["prize"])


def test_money_and_times_keep_their_types(tiered: HybridStore, ticks: list[Tick]) -> None:
    frame = tiered.scan("market_trades").sort("trade_id").collect()
    assert frame.schema["price"] == pl.Decimal(18, 8)
    assert frame.schema["traded_at"] == pl.Datetime("us", "UTC")
    assert frame["price"].to_list() == [tick.price for tick in ticks]


def test_an_asset_is_the_symbol_of_a_balance(store: HybridStore) -> None:
    for asset, amount in (("BTC", 1), ("ETH", 2), ("BTC", 3)):
        store.record_balance_update(asset, amount)
    store.record_balance_update("BTC", 9, account="other")

    history = store.scan("balance_history", symbol="BTC", account="default").sort("id").collect()
    assert history["balance"].to_list() == [Decimal(1), Decimal(3)]
    assert store.scan("balances", symbol="ETH").collect()["balance"].to_list() == [Decimal(2)]


@pytest.mark.parametrize(
    ("dataset", "bounds", "message"),
    [
        ("balances", {"start": START_US}, "balances has no time"),
        ("portfolio_daily", {"symbol": "BTC"}, "neither symbol nor asset"),
        ("market_trades", {"account": "default"}, "has no column 'account'"),
        ("market_trades", {"start": 17}, "microseconds"),
        ("market_trades", {"end": "2026-01-01"}, "naive"),
    ],
)
def test_a_bound_that_makes_no_sense_is_refused(
    store: HybridStore, dataset: str, bounds: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        store.analytics.scan(dataset, **bounds)  # type: ignore[arg-type]


def test_an_unknown_dataset_names_the_nearest(store: HybridStore) -> None:
    with pytest.raises(UnknownDataset, match="did you mean"):
        store.scan("market_trade")


def test_a_period_is_the_time_of_an_aggregate() -> None:
    bounds = check_bounds(Registry()["portfolio_daily"], START_US, None, None, "default")
    assert bounds.time == "period"
