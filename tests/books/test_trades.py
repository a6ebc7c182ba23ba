"""Figures of closed trades: beside Python's own statistics, and by hand."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.books.trades import DIMENSIONS, TRADE_FIGURES, TradeFigures
from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue
from hybridstore.portfolio.money import divide
from tests.books.trading_life import DAYS, FIRST_US, HOUR_US, Lived, live

ZERO = Decimal(0)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return live(tmp_path_factory.mktemp("trades") / "store", 7)


def open_lived(lived: Lived) -> HybridStore:
    return HybridStore(lived.root, clock=ManualClock(FIRST_US + DAYS * DAY_US))


def closed_positions(store: HybridStore) -> list[dict[str, Any]]:
    answer = store.sql("SELECT * FROM positions WHERE status = 'CLOSED' ORDER BY closed_at, position_id")
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows()]


def part_of(row: dict[str, Any], dimension: str) -> str:
    if dimension in {"all", "exchange", "hour"}:
        return {"all": "", "exchange": "default", "hour": f"{row['opened_at']:%H}"}[dimension]
    return row[dimension] or "-"


def longest(outcomes: Iterable[int], wanted: int) -> int:
    return max((len(list(run)) for outcome, run in groupby(outcomes) if outcome == wanted), default=0)


def average(amounts: list[Decimal]) -> Decimal | None:
    return divide(sum(amounts, ZERO), Decimal(len(amounts))) if amounts else None


def check(found: TradeFigures, rows: list[dict[str, Any]]) -> None:
    nets = [row["realized_pnl"] + row["funding"] - row["fees"] for row in rows]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    held_s = [(row["closed_at"] - row["opened_at"]).total_seconds() for row in rows]
    outcomes = [(net > 0) - (net < 0) for net in nets]
    assert (found.trades, found.wins, found.losses) == (len(rows), len(won), len(lost))
    assert found.win_rate == pytest.approx(len(won) / len(rows))
    assert found.net == sum(nets, ZERO)
    assert (found.gross_profit, found.gross_loss) == (sum(won, ZERO), sum(lost, ZERO))
    assert (found.best, found.worst) == (max(nets), min(nets))
    assert found.expectancy == average(nets)
    assert (found.average_win, found.average_loss) == (average(won), average(lost))
    if won and lost:
        assert found.profit_factor == pytest.approx(float(sum(won) / -sum(lost)))
        payoff = (sum(won) / len(won)) / -(sum(lost) / len(lost))
        assert found.payoff == pytest.approx(float(payoff))
    else:
        assert found.profit_factor is found.payoff is None
    assert found.fees == sum((row["fees"] for row in rows), ZERO)
    assert found.funding == sum((row["funding"] for row in rows), ZERO)
    assert found.realized == sum((row["realized_pnl"] for row in rows), ZERO)
    assert found.holding_s == pytest.approx(statistics.fmean(held_s))
    assert found.median_holding_s == pytest.approx(statistics.median(held_s))
    assert found.winning_streak == longest(outcomes, 1)
    assert found.losing_streak == longest(outcomes, -1)
    assert found.average_mfe == average([row["max_favourable"] for row in rows])
    assert found.best_mfe == max(row["max_favourable"] for row in rows)
    assert found.average_mae == average([row["max_adverse"] for row in rows])
    assert found.worst_mae == min(row["max_adverse"] for row in rows)


def test_every_part_is_what_python_says_of_its_positions(lived: Lived) -> None:
    with open_lived(lived) as store:
        found, rows = store.books.trades(), closed_positions(store)
    assert len(rows) > 60
    for dimension in DIMENSIONS:
        parts = found.by(dimension)  # type: ignore[arg-type]
        assert {one.part for one in parts} == {part_of(row, dimension) for row in rows}
        assert {one.currency for one in parts} == {"USDT"}
        for one in parts:
            check(one, [row for row in rows if part_of(row, dimension) == one.part])


def test_a_time_counts_what_was_closed_in_it(lived: Lived) -> None:
    start, end = FIRST_US + 30 * DAY_US, FIRST_US + 90 * DAY_US
    with open_lived(lived) as store:
        found = store.books.trades(start=start, end=end)
        rows = closed_positions(store)
        (whole,) = found.by("all")
        assert found.start is not None
        assert found.end is not None
        check(whole, [row for row in rows if found.start < row["closed_at"] <= found.end])


def test_fills_are_counted_and_compared_with_what_their_orders_named(tmp_path: Path) -> None:
    clock = ManualClock(FIRST_US)
    fills: tuple[tuple[str, int, str, dict[str, Any], Literal["maker", "taker"] | None], ...] = (
        ("buy", 100, "limit", {"price": 101}, "maker"),  # 1/101 better
        ("sell", 90, "stop", {"price": 80, "trigger_price": 95}, "taker"),  # 5/95 worse than its trigger
        ("buy", 50, "market", {}, None),
        ("sell", 60, "market", {}, "taker"),
    )
    with HybridStore(tmp_path / "store", clock=clock) as store:
        for number, (side, price, kind, named, liquidity) in enumerate(fills):
            clock.advance(HOUR_US)
            store.record_order(
                symbol="BTC/USDT", order_id=f"o{number}", side=side, type=kind, status="closed",
                amount=2, filled=2, account="kraken/main", **named,
            )  # fmt: skip
            store.record_fill(
                "BTC/USDT", side, price, 2, account="kraken/main", trade_id=f"t{number}", liquidity=liquidity,
                order_id=f"o{number}", strategy="<b>grid</b>", executed_at=clock.now_us(),
            )  # fmt: skip
        found = store.books.trades("kraken/main")
        rows = found.metrics()
        assert store.insert("performance_metrics", rows)
        (whole,) = found.by("all")
        assert [one.part for one in found.by("exchange")] == ["kraken"]
        assert [one.part for one in found.by("strategy")] == ["<b>grid</b>"]
        assert [one.part for one in found.by("hour")] == ["01", "03"]
        assert store.books.trades("nobody").figures == ()
        with pytest.raises(InvalidValue, match="all, symbol, strategy"):
            found.by("colour")  # type: ignore[arg-type]
    assert (whole.trades, whole.wins, whole.losses, whole.fills) == (2, 1, 1, 4)
    assert whole.volume == 200 + 180 + 100 + 120
    assert whole.maker_share == pytest.approx(1 / 3)
    assert whole.slippage == pytest.approx((200 * (100 / 101 - 1) - 180 * (90 / 95 - 1)) / 380)
    assert len(rows) == len(TRADE_FIGURES) * len(found.figures)
    assert {row["scope"] for row in rows} >= {"kraken/main USDT", "kraken/main hour=01 USDT"}


def test_currencies_are_told_by_themselves_and_fees_of_a_coin_in_it(tmp_path: Path) -> None:
    clock = ManualClock(FIRST_US)
    with HybridStore(tmp_path / "store", clock=clock) as store:
        markets = (("BTC/USD:BTC", 100, "0.001", "BTC"), ("BTC/USDT:USDT-260327", 1, "2", "USDT"))
        for symbol, size, fee, asset in markets:
            for side, price in (("buy", 50_000), ("sell", 40_000)):
                clock.advance(HOUR_US)
                store.record_fill(
                    symbol, side, price, 100, trade_id=f"{symbol}{side}", order_id="o", contract_size=size,
                    executed_at=clock.now_us(), fee=fee, fee_currency=asset,
                )  # fmt: skip
        coin, dollar = store.books.trades().by("all")
    assert (coin.currency, dollar.currency) == ("BTC", "USDT")
    # 10 000 dollars: 0.2 BTC then, 0.25 BTC later; who bought them has lost the difference.
    assert (coin.realized, coin.fees, coin.net) == (Decimal("-0.05"), Decimal("0.002"), Decimal("-0.052"))
    assert (dollar.realized, dollar.fees) == (Decimal(-1_000_000), Decimal(4))
    assert dollar.net == -1_000_004


def test_every_figure_has_a_definition() -> None:
    names = [figure.name for figure in TRADE_FIGURES]
    assert sorted(names) == sorted(set(TradeFigures.__struct_fields__) - {"dimension", "part", "currency"})
    assert all(figure.definition and figure.title for figure in TRADE_FIGURES)
