"""How an account did: eight years of real prices with deposits and withdrawals, beside an independent computation."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.books.performance import Performance
from hybridstore.clock import DAY_US
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import InvalidValue, NotFound
from tests.books.trading_life import DAYS as DAYS_LIVED
from tests.books.trading_life import FIRST_US, live
from tests.conftest import recorded_data

SYMBOL = "BTC/USDT"
ACCOUNT = "kraken/main"
DAYS = 8 * 365 + 2
CENT = Decimal("0.01")


class Life(NamedTuple):
    """What a simulated account did.

    Attributes:
        root: Its store.
        days: The days, the first of which has no return.
        closes: The market's close of each.
        equity: Its worth at the end of each.
        flows: Deposits less withdrawals of each.
    """

    root: Path
    days: list[dt.date]
    closes: list[Decimal]
    equity: list[Decimal]
    flows: list[Decimal]


def closes_of_bitcoin() -> list[tuple[dt.date, Decimal]]:
    """Return recorded daily closes."""
    path = recorded_data() / "candles" / "skforecast_bitcoin_daily_2013-04_2022-01.csv"
    if not path.exists():
        pytest.skip(f"recorded daily prices are absent ({path.name}, HYBRIDSTORE_TEST_DATA)")
    with path.open(encoding="utf-8") as file:
        found = {dt.date.fromisoformat(row["date"]): Decimal(row["close"]) for row in csv.DictReader(file)}
    day, close = min(found) + dt.timedelta(40), Decimal(0)
    rows = []
    for _ in range(DAYS + 1):  # some days are missing in the record
        close = found.get(day, close).quantize(Decimal("1e-8"))
        rows.append((day, close))
        day += dt.timedelta(1)
    return rows


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Live for eight years: hold, trade a little every week, deposit and withdraw every now and then."""
    prices = closes_of_bitcoin()
    rng = Random(20_241_123)
    root = tmp_path_factory.mktemp("performance") / "root"
    clock = ManualClock(at(prices[0][0]))
    usd, btc = Decimal(50_000), Decimal(100)
    equity, flows = [], []
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), durability="normal", enable_logs=False)
    with HybridStore(config=config, clock=clock) as store:
        store.record_candles(
            (SYMBOL, "1d", at(day) - DAY_US, close, close, close, close, 1) for day, close in prices
        )
        for number, (day, close) in enumerate(prices):
            clock.set(at(day))
            flow = Decimal(0)
            if number % 45 == 17:
                flow = (usd * Decimal(rng.randint(-30, 60)) / 100).quantize(CENT)
                kind = "deposit" if flow > 0 else "withdrawal"
                store.record_ledger_entries(
                    [(ACCOUNT, f"flow-{number}", kind, "USDT", flow, None, clock.now_us() - 1)]
                )
            elif number % 7 == 3:
                bought = (usd * Decimal(rng.randint(-20, 20)) / 100 / close).quantize(Decimal("1e-6"))
                btc, usd = btc + bought, usd - (bought * close).quantize(CENT) - CENT
            usd += flow
            store.record_balance_update("USDT", usd, 0, "test", account=ACCOUNT)
            store.record_balance_update("BTC", btc, 0, "test", account=ACCOUNT)
            store.record_mark(SYMBOL, mark=close)
            assert store.record_portfolio_snapshot(ACCOUNT, taken_at=at(day)).unpriced == ()
            equity.append(usd + btc * close)
            flows.append(flow)
    days = [day for day, _ in prices]
    return Life(root, days, [close for _, close in prices], equity, flows)


def at(day: dt.date) -> int:
    """Return the midnight that ends a day, us UTC."""
    return (day - dt.date(1970, 1, 1)).days * DAY_US + DAY_US


def measured_in(root: Path, **options: Any) -> Performance:
    """Ask a store how its account did."""
    with HybridStore(root) as store:
        return store.books.performance(ACCOUNT, **options)


def close_to(value: float) -> object:
    """Agree to 1e-9."""
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def test_eight_years_are_what_numpy_says(life: Life) -> None:
    risk_free = 0.03
    found = measured_in(life.root, benchmark=SYMBOL, risk_free=risk_free)
    worth, flows = np.array(life.equity, float), np.array(life.flows, float)
    returns = (worth[1:] - flows[1:]) / worth[:-1] - 1
    prices = np.array(life.closes, float)
    market = prices[1:] / prices[:-1] - 1
    free = (1 + risk_free) ** (1 / 365) - 1
    excess, other, active = returns - free, market - free, returns - market
    growth = np.concatenate([[1.0], np.cumprod(1 + returns)])
    drawdown = growth / np.maximum.accumulate(growth) - 1
    beta = np.cov(excess, other, ddof=1)[0, 1] / np.var(other, ddof=1)
    years = len(returns) / 365
    expected = {
        "total_return": growth[-1] - 1,
        "cagr": growth[-1] ** (1 / years) - 1,
        "volatility": returns.std(ddof=1) * np.sqrt(365),
        "sharpe": excess.mean() / excess.std(ddof=1) * np.sqrt(365),
        "sortino": excess.mean() / np.sqrt((np.minimum(excess, 0) ** 2).mean()) * np.sqrt(365),
        "downside_risk": np.sqrt((np.minimum(excess, 0) ** 2).mean()) * np.sqrt(365),
        "max_drawdown": drawdown.min(),
        "calmar": (growth[-1] ** (1 / years) - 1) / abs(drawdown.min()),
        "ulcer": np.sqrt((drawdown[1:] ** 2).mean()),
        "var_95": np.quantile(returns, 0.05),
        "cvar_95": returns[returns <= np.quantile(returns, 0.05)].mean(),
        "omega": np.maximum(excess, 0).sum() / -np.minimum(excess, 0).sum(),
        "best_day": returns.max(),
        "worst_day": returns.min(),
        "benchmark_return": prices[-1] / prices[0] - 1,
        "beta": beta,
        "alpha": (excess.mean() - beta * other.mean()) * 365,
        "correlation": np.corrcoef(excess, other)[0, 1],
        "tracking_error": active.std(ddof=1) * np.sqrt(365),
        "information_ratio": active.mean() / active.std(ddof=1) * np.sqrt(365),
    }
    for name, value in expected.items():
        assert found.value(name) == close_to(float(value)), name
    captures = {"up_capture": True, "down_capture": False}
    months: dict[tuple[int, int], list[int]] = {}
    for place, day in enumerate(life.days[1:]):
        months.setdefault((day.year, day.month), []).append(place)
    for name, rose in captures.items():
        ours, theirs, count = 1.0, 1.0, 0
        for places in months.values():
            moved = np.prod(1 + market[places])
            if moved != 1 and (moved > 1) == rose:
                ours, theirs, count = ours * np.prod(1 + returns[places]), theirs * moved, count + 1
        assert found.value(name) == close_to(
            float((ours ** (1 / count) - 1) / (theirs ** (1 / count) - 1))
        ), name
    assert [one.ret for one in found.days] == [close_to(value) for value in returns.tolist()]
    assert (found.start, found.end, len(found.days)) == (life.days[1], life.days[-1], DAYS)
    assert (found.days_without_snapshot, found.undefined_steps) == (0, 0)


def test_money_is_exact(life: Life) -> None:
    found = measured_in(life.root)
    flows = sum(life.flows[1:], Decimal(0))
    assert found.start_equity == life.equity[0]
    assert found.end_equity == life.equity[-1]
    assert found.net_flow == flows
    assert found.profit == life.equity[-1] - life.equity[0] - flows
    assert [one.equity for one in found.days] == life.equity[1:]
    assert [one.net_flow for one in found.days] == life.flows[1:]
    assert found.benchmark is None
    assert found.value("beta") is None


def test_a_part_of_the_time_is_what_it_would_be_alone(life: Life) -> None:
    first, last = 700, 1_500
    part = measured_in(
        life.root,
        start=dt.datetime.fromtimestamp(at(life.days[first]) / 1e6, dt.UTC),
        end=at(life.days[last]),
        benchmark=SYMBOL,
    )
    whole = measured_in(life.root, benchmark=SYMBOL)
    without = [msgspec.structs.replace(one, benchmark=None) for one in (*part.days, *whole.days[first:last])]
    assert without[: last - first] == without[last - first :]
    assert [one.benchmark for one in part.days] == [
        close_to(one.benchmark or 0) for one in whole.days[first:last]
    ]
    assert part.start_equity == life.equity[first]
    assert part.end_equity == life.equity[last]
    assert part.value("total_return") == close_to(float(np.prod([1 + one.ret for one in part.days]) - 1))


def test_a_basket_is_bought_once_and_held(life: Life, tmp_path: Path) -> None:
    days = life.days[:60]
    other = [Decimal(100 + number % 9) for number in range(len(days))]
    with HybridStore(tmp_path / "root", clock=ManualClock(at(days[-1]))) as store:
        for symbol, closes in ((SYMBOL, life.closes), ("ETH/USDT", other)):
            rows = [
                (symbol, "1d", at(day) - DAY_US, c, c, c, c, 1) for day, c in zip(days, closes, strict=False)
            ]
            store.record_candles(rows[:20] + rows[22:])  # two days are missing: they keep the close before
        for number, day in enumerate(days):
            store.record_balance_update("USDT", 100 + number, 0, "test", account=ACCOUNT)
            store.record_portfolio_snapshot(ACCOUNT, taken_at=at(day))
    found = measured_in(tmp_path / "root", benchmark={SYMBOL: 3, "ETH/USDT": 1})
    assert found.benchmark == "75% BTC/USDT, 25% ETH/USDT"
    worth = []
    for number in range(len(days)):
        place = 19 if number in (20, 21) else number
        worth.append(
            0.75 * float(life.closes[place] / life.closes[0]) + 0.25 * float(other[place] / other[0])
        )
    expected = [after / before - 1 for before, after in pairwise(worth)]
    assert [one.benchmark for one in found.days] == [close_to(value) for value in expected]


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    clock = ManualClock(20_000 * DAY_US)
    HybridStore(tmp_path / "root", clock=clock).open().close()
    with pytest.raises(NotFound, match="not two snapshots"):
        measured_in(tmp_path / "root")
    with HybridStore(tmp_path / "root", clock=clock) as store:
        for amount, days in ((100, 1), (0, 1), (50, 3), (100, 1)):
            store.record_balance_update("USDT", amount, 0, "test", account=ACCOUNT)
            store.record_portfolio_snapshot(ACCOUNT)
            clock.advance(days * DAY_US)
    found = measured_in(tmp_path / "root")
    assert (found.undefined_steps, found.days_without_snapshot) == (1, 2)
    assert [one.ret for one in found.days] == [-1, 0, 0, 0, 1]
    assert found.value("sharpe") is None, "of so few days"
    assert found.value("total_return") == -1
    for options, error in (
        ({"benchmark": "NONE/USDT"}, NotFound),
        ({"benchmark": {}}, InvalidValue),
        ({"benchmark": {SYMBOL: -1}}, InvalidValue),
        ({"risk_free": -1}, InvalidValue),
        ({"start": 17}, InvalidValue),
    ):
        with pytest.raises(error):
            measured_in(tmp_path / "root", **options)
    with pytest.raises(NotFound, match="did you mean sharpe"):
        found.value("sharp")


def test_where_no_snapshots_were_taken_the_ledger_tells_the_same(tmp_path: Path) -> None:
    lived = live(tmp_path / "store", 31)
    with HybridStore(lived.root, clock=ManualClock(FIRST_US + DAYS_LIVED * DAY_US)) as store:
        taken = store.books.performance(benchmark="BTC/USDT")
        found = store.books.performance(benchmark="BTC/USDT", source="booked")
        assert (found.start, found.end) == (taken.start, taken.end)
        assert [(one.equity, one.net_flow) for one in found.days] == [
            (one.equity, one.net_flow) for one in taken.days
        ]
        for one in taken.figures:
            assert found.value(one.figure.name) == close_to(one.value or 0) or one.value is None
        parts = store.books.attribution(source="booked").parts
        assert [part.profit for part in parts] == [part.profit for part in store.books.attribution().parts]
        part = store.books.performance(source="booked", start=FIRST_US + 40 * DAY_US)
        assert part.days == tuple(msgspec.structs.replace(one, benchmark=None) for one in taken.days[40:])
        with pytest.raises(InvalidValue, match="snapshots, booked, reported"):
            store.books.performance(source="guessed")  # type: ignore[arg-type]
        with pytest.raises(NotFound, match="two midnights"):
            store.books.performance("nobody", source="booked")


def test_what_was_reported_tells_it_too(tmp_path: Path) -> None:
    clock = ManualClock(FIRST_US - DAY_US)
    reports = ((100, 0), (110, 0), (160, 50), (80, 0))
    with HybridStore(tmp_path / "store", clock=clock) as store:
        for day, (balance, flow) in enumerate(reports):
            clock.set(FIRST_US + day * DAY_US - 1_000_000)
            store.record_balance_update("USDT", balance, 0, "test")
            if flow:
                store.record_ledger_entries(
                    [("default", f"d{day}", "deposit", "USDT", flow, None, clock.now_us())]
                )
        clock.set(FIRST_US + 3 * DAY_US + 1)
        store.record_mark("BTC/USDT", mark=1)  # days are told up to the last commit
        found = store.books.performance(source="reported")
        with pytest.raises(NotFound, match="source='booked'"):
            store.books.performance()
    assert [one.ret for one in found.days] == [close_to(0.1), close_to(0), close_to(-0.5)]
    assert found.net_flow == 50
    assert found.profit == -70
