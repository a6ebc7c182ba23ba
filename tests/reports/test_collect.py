"""A report is what the store says, and a store whose books do not agree with themselves is told on."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.reports.collect import (
    Books,
    ask_proofs,
    check_books,
    check_proofs,
    collect_books,
    collect_tiers,
    compare_proofs,
)
from hybridstore.reports.data import BalanceRow, Check, Proof, SymbolTotals
from hybridstore.store import HybridStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hybridstore.portfolio.summary import PortfolioSummary

START_US = 1_723_161_254_000_000
CASH = Decimal(10_000)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_US)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[HybridStore]:
    """A store with a deposit, a spot purchase and a short future, all of them balanced."""
    with HybridStore(tmp_path, clock=clock) as opened:
        opened.record_ledger_entries([("default", "opening", "deposit", "USDT", CASH, None, START_US)])
        opened.record_market_trades(
            [
                ("BTC/USDT", 1, "50000", "0.25", "buy", START_US),
                ("BTC/USDT", 2, "50000.5", "0.5", "sell", START_US),
                ("ADA/USDT", 1, "0.25", "1000", "buy", START_US),
            ]
        )
        opened.record_marks([{"symbol": "BTC/USDT", "bid": 50_000, "ask": 50_002}])
        opened.record_marks([{"symbol": "ETH/USDT:USDT", "bid": 2_600, "ask": 2_601}])
        snapshot(opened, clock, CASH, CASH)
        fill(opened, "BTC/USDT", "buy", 50_002, "0.1", "5.0002")
        fill(opened, "ETH/USDT:USDT", "sell", 2_600, "1", "1.3")
        fill(opened, "ETH/USDT:USDT", "buy", 2_601, "0.4", "0.52")
        opened.record_balance_update("BTC", "0.1")
        opened.record_balance_update(
            "USDT", "4992.5798"
        )  # less the purchase, 0.4 lost on the future, the fees
        summary = opened.get_portfolio_summary()
        snapshot(opened, clock, summary.equity, Decimal(0))
        yield opened


def fill(store: HybridStore, symbol: str, side: str, price: int, amount: str, fee: str) -> None:
    store.record_fill(symbol, side, price, amount, fee=fee, fee_currency="USDT", executed_at=START_US)


def snapshot(store: HybridStore, clock: ManualClock, equity: Decimal, flow: Decimal) -> None:
    clock.advance(1_000_000)
    row: dict[str, Any] = {
        "account": "default",
        "taken_at": clock.now_us(),
        "equity": equity,
        "net_flow": flow,
        "base_currency": "USDT",
    }
    zero = (
        "cash",
        "positions_value",
        "unrealized",
        "realized_cumulative",
        "fees_cumulative",
        "funding_cumulative",
    )
    store.insert("portfolio_snapshots", [row | dict.fromkeys(zero, 0)])


def collect(store: HybridStore) -> tuple[Books, PortfolioSummary]:
    summary = store.get_portfolio_summary()
    with store.snapshot() as moment:
        return collect_books(moment, summary), summary


def failed(checks: tuple[Check, ...]) -> list[str]:
    return [check.finding for check in checks if not check.passed]


def test_totals_come_out_of_the_store_exactly(store: HybridStore) -> None:
    books, _ = collect(store)
    ada, btc, eth = books.symbols
    assert btc == SymbolTotals(
        symbol="BTC/USDT",
        profit_asset="USDT",
        market_trades=2,
        market_amount=Decimal("0.75"),
        market_notional=Decimal("37500.25"),
        fills=1,
        volume=Decimal("5000.2"),
        fees=Decimal("5.0002"),
        realized=Decimal(0),
        wins=0,
        losses=0,
    )
    assert (ada.fills, ada.market_notional) == (0, Decimal(250))
    assert (eth.market_trades, eth.fills, eth.losses, eth.realized) == (0, 2, 1, Decimal("-0.4"))
    assert books.balances == (
        BalanceRow("BTC", Decimal("0.1"), Decimal("0.1")),
        BalanceRow("USDT", Decimal("4992.5798"), Decimal("4992.5798")),
    )
    assert [(row.symbol, row.side, row.unrealized) for row in books.positions] == [
        ("BTC/USDT", "LONG", Decimal("-0.1")),
        ("ETH/USDT:USDT", "SHORT", Decimal("-0.3")),
    ]
    assert [point.equity for point in books.equity] == [CASH, Decimal("9992.3798")]
    assert books.equity[1].peak == CASH


def test_balanced_books_pass_every_check(store: HybridStore) -> None:
    books, summary = collect(store)
    checks = check_books(books, summary)
    assert len(checks) == 4
    assert failed(checks) == []


def test_a_balance_the_ledger_does_not_explain_is_told(store: HybridStore) -> None:
    store.record_balance_update("USDT", "4992.579800000000000001")
    assert failed(check_books(*collect(store))) == ["USDT differs by 0.000000000000000001"]


def test_a_holding_that_is_not_its_position_is_told(store: HybridStore) -> None:
    store.record_ledger_entries([("default", "gift", "deposit", "BTC", "0.01", None, START_US)])
    store.record_balance_update("BTC", "0.11")
    assert failed(check_books(*collect(store))) == ["BTC: balance 0.11, positions 0.1"]


def test_what_has_no_price_is_told(store: HybridStore) -> None:
    store.record_ledger_entries([("default", "gift", "deposit", "ADA", 5, None, START_US)])
    store.record_balance_update("ADA", 5)
    assert failed(check_books(*collect(store))) == ["ADA"]


def test_equity_that_moved_without_a_reason_is_told(store: HybridStore, clock: ManualClock) -> None:
    snapshot(store, clock, Decimal("9992.3799"), Decimal(0))
    (finding,) = failed(check_books(*collect(store)))
    assert finding == "equity moved by \N{MINUS SIGN}7.6201, the parts add up to \N{MINUS SIGN}7.6202"


def test_a_deposit_is_no_profit(store: HybridStore, clock: ManualClock) -> None:
    snapshot(store, clock, Decimal("10992.3798"), Decimal(1000))
    assert failed(check_books(*collect(store))) == []


def test_a_move_is_proved_by_the_same_answers(store: HybridStore, clock: ManualClock) -> None:
    with store.snapshot() as moment:
        before = ask_proofs(moment)
    assert before["proof_market_trades"][1][1][:4] == ("BTC/USDT", 2, Decimal("0.75"), Decimal("37500.25"))
    clock.advance(45 * DAY_US)
    assert store.retention.run().rows > 0
    with store.snapshot() as moment:
        after = ask_proofs(moment)
    proofs = compare_proofs(before, after)
    assert {proof.name for proof in proofs} >= {"proof_market_trades", "proof_fills", "proof_ledger"}
    assert "proof_orders" not in {proof.name for proof in proofs}
    assert check_proofs(proofs).passed
    tiers = collect_tiers(store.database)
    found = {(row.dataset, row.tier): (row.rows, row.files) for row in tiers}
    assert found["market_trades", "warm"] == (3, 1)
    assert found["marks", "hot"] == (2, 0)
    assert ("market_trades", "hot") not in found


def test_an_answer_that_changed_is_told(store: HybridStore) -> None:
    with store.snapshot() as moment:
        before = ask_proofs(moment)
    store.record_market_trades([("BTC/USDT", 3, "50000", "0.00000001", "buy", START_US)])
    with store.snapshot() as moment:
        proofs: tuple[Proof, ...] = compare_proofs(before, ask_proofs(moment))
    check = check_proofs(proofs)
    assert (check.passed, check.finding) == (False, "other answers to proof_market_trades")
