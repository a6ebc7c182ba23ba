"""Equity snapshots against a reckoning of their own: random lives, late and corrected ones, archived days."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import InvalidValue, StoreError
from hybridstore.hot.account_sums import AccountSums
from hybridstore.hot.balance_updates import prepare_balance
from hybridstore.hot.balances import write_balance
from hybridstore.hot.equity import EquitySnapshot, prepare_snapshot, write_snapshot
from hybridstore.hot.fills import prepare_fill
from hybridstore.hot.ledger import write_entries
from hybridstore.hot.market import prepare_prices
from hybridstore.hot.position_marks import write_marks
from hybridstore.hot.session import WriteSession
from hybridstore.hot.trades import write_fill
from hybridstore.store import HybridStore
from tests.hot.books import START_US, contents, rows, values
from tests.hot.equity_life import ACCOUNT, PERIODS, PERP, Life, check_periods


def test_snapshots_of_random_lives_are_what_a_reckoning_says(
    store: HybridStore, clock: ManualClock, rng: Random
) -> None:
    life = Life(store, clock, rng)
    for number in range(250):
        life.step()
        if number % 50 == 49:
            check_periods(store)
            clock.advance(rng.choice((0, DAY_US, 9 * DAY_US)))
            store.retention.run()
            for symbol in life.reckoning.marks:
                life.mark(symbol)
            check_periods(store)
    counts = rows(store, "SELECT count(*) FROM archive_files WHERE dataset = 'portfolio_snapshots'")
    print(f"{len(life.taken)} snapshots recorded, {counts[0][0]} files")
    assert len({taken.outcome for taken in life.taken}) > 1
    total = store.sql("SELECT sum(net_flow) FROM portfolio_snapshots WHERE account = $a", a=ACCOUNT).rows()[
        0
    ][0]
    assert total == sum(life.reckoning.net_flows.values())


def test_a_snapshot_is_the_summary_of_its_moment(store: HybridStore) -> None:
    store.record_balance_update("USDT", 1000)
    store.record_balance_update("BTC", "0.5", debt="0.1")
    store.record_fill(PERP, "buy", 100, 2, fee="0.2", fee_currency="USDT")
    store.record_funding(PERP, "-0.5")
    store.update_prices({PERP: 110})
    taken = store.record_portfolio_snapshot()
    summary = store.get_portfolio_summary()
    assert (taken.equity, taken.cash, taken.positions_value, taken.unrealized) == (
        summary.equity,
        summary.cash,
        summary.positions_value,
        summary.unrealized_pnl,
    )
    assert values(taken.equity, taken.fees_cumulative, taken.funding_cumulative) == (
        1064,
        Decimal("0.2"),
        Decimal("-0.5"),
    )
    assert values(taken.outcome, taken.unpriced, taken.net_flow) == ("inserted", (), 0)


def test_what_was_put_off_in_the_same_transaction_is_seen(store: HybridStore) -> None:
    """A snapshot right behind a fill, a mark and a balance of one batch."""

    def batch(session: WriteSession) -> EquitySnapshot:
        write_balance(session, prepare_balance("USDT", 500, 0, ""))
        write_fill(session, prepare_fill(PERP, "buy", 100, 3, fee=1, fee_currency="USDT"))
        write_marks(session, prepare_prices({PERP: 101}, None))
        return write_snapshot(session, prepare_snapshot("default", "USDT", None), AccountSums())

    taken = store.database.writer.call(batch)
    assert values(taken.equity, taken.fees_cumulative, taken.unrealized) == (503, 1, 3)


def test_what_has_no_price_is_named_and_counts_in_no_period(store: HybridStore, clock: ManualClock) -> None:
    store.record_balance_update("USDT", 100)
    store.record_balance_update("FOO", 7)
    deposits = [("default", "d1", "deposit", "FOO", 7, None, clock.now_us())]
    store.record_ledger_entries([*deposits, ("default", "d2", "deposit", "USDT", 100, None, clock.now_us())])
    lacking = store.record_portfolio_snapshot()
    assert values(lacking.equity, lacking.unpriced, lacking.unpriced_sums) == (100, ("FOO",), ("FOO",))
    assert lacking.net_flow == 100, "the flow without a price waits"
    assert rows(store, "SELECT unpriced FROM portfolio_snapshots") == [('["FOO"]',)]
    assert rows(store, "SELECT 1 FROM portfolio_daily WHERE equity_open IS NOT NULL") == []
    assert any("FOO" in sentence for sentence in store.get_system_status()["warnings"])
    store.record_mark("FOO/USDT", mark=2)
    clock.advance(1_000_000)
    whole = store.record_portfolio_snapshot()
    assert values(whole.equity, whole.unpriced, whole.unpriced_sums, whole.net_flow) == (114, (), (), 14)
    assert rows(store, "SELECT equity_open, equity_low FROM portfolio_daily WHERE currency = 'USDT'") == [
        ("114", "114")
    ]
    assert not any("FOO" in sentence for sentence in store.get_system_status()["warnings"])


def test_a_sum_without_a_price_is_absent_and_the_equity_whole(store: HybridStore) -> None:
    store.record_balance_update("USDT", 100)
    store.record_fill(PERP, "buy", 100, 1, fee=1, fee_currency="GONE")
    store.update_prices({PERP: 100})
    taken = store.record_portfolio_snapshot()
    assert (taken.unpriced, taken.unpriced_sums, taken.fees_cumulative) == ((), ("GONE",), None)
    assert values(taken.realized_cumulative, taken.equity) == (0, 100)
    assert rows(store, "SELECT fees_cumulative, unpriced FROM portfolio_snapshots") == [(None, None)]


def test_a_snapshot_again_is_a_repetition_or_a_correction(store: HybridStore) -> None:
    store.record_balance_update("USDT", 100)
    first = store.record_portfolio_snapshot(taken_at=START_US)
    before = contents(store)
    assert store.record_portfolio_snapshot(taken_at=START_US).outcome == "repeated"
    after = contents(store)
    assert {name for name in before if before[name] != after[name]} == {"commit_clock"}
    for amount in (90, 100):  # there and back: what is read now is right, also where it is as it was before
        store.record_balance_update("USDT", amount)
        again = store.record_portfolio_snapshot(taken_at=START_US)
        assert values(again.outcome, again.equity, again.taken_at) == ("corrected", amount, first.taken_at)
    assert rows(store, "SELECT count(*) FROM corrections") == [(2,)]
    check_periods(store)
    other = store.record_portfolio_snapshot(base_currency="EUR", taken_at=START_US)
    assert (other.outcome, other.unpriced) == ("inserted", ("USDT",)), "another currency is another series"


def test_a_correction_of_an_archived_snapshot_puts_its_periods_right(
    store: HybridStore, clock: ManualClock
) -> None:
    for amount in (5, 9, 3, 7):
        clock.advance(60_000_000)
        store.record_balance_update("USDT", amount)
        store.record_portfolio_snapshot()
    highest = rows(store, "SELECT taken_at FROM portfolio_snapshots WHERE equity = '9'")[0][0]
    clock.advance(10 * DAY_US)
    store.retention.run()
    assert rows(store, "SELECT count(*) FROM portfolio_snapshots") == [(0,)]
    assert store.record_portfolio_snapshot(taken_at=highest).outcome == "corrected"
    figures = "equity_open, equity_high, equity_low, equity_close"
    for name in PERIODS:
        assert rows(store, f"SELECT {figures} FROM {name} WHERE equity_open IS NOT NULL") == [
            ("5", "7", "3", "7")
        ]
    store.record_balance_update("USDT", 1)
    store.record_portfolio_snapshot(taken_at=highest + 1)
    store.record_portfolio_snapshot(taken_at=highest - DAY_US)
    check_periods(store)


def test_a_snapshot_that_fails_leaves_nothing(store: HybridStore) -> None:
    store.record_balance_update("USDT", 100)
    store.record_ledger_entries([("default", "d", "deposit", "USDT", 100, None, START_US)])
    before = contents(store)
    with pytest.raises(InvalidValue, match="more than a day after now"):
        store.record_portfolio_snapshot(taken_at=START_US + 3 * DAY_US)
    store.database.statements["upsert_portfolio_equity"] = "INSERT INTO portfolio_equity VALUES (1)"
    with pytest.raises(StoreError, match="portfolio_equity"):
        store.record_portfolio_snapshot()
    assert contents(store) == before


def test_an_equity_that_money_cannot_hold_is_refused(store: HybridStore) -> None:
    store.record_balance_update("USDT", 10**19)
    store.record_balance_update("BTC", 10**19)
    store.record_mark("BTC/USDT", mark=10**9)
    with pytest.raises(InvalidValue):
        store.record_portfolio_snapshot()
    store.record_balance_update("BTC", 0)
    assert store.record_portfolio_snapshot().equity == 10**19


def test_names_and_moments_are_checked(store: HybridStore) -> None:
    for wrong in ({"account": ""}, {"base_currency": " "}, {"taken_at": "2026-08-01T12:00:00"}):
        with pytest.raises(InvalidValue):
            store.record_portfolio_snapshot(**wrong)  # type: ignore[arg-type]
    assert rows(store, "SELECT count(*) FROM portfolio_snapshots") == [(0,)]


def test_what_others_record_late_is_counted(store: HybridStore, clock: ManualClock) -> None:
    """What is remembered of days that are over holds although others write to them."""
    with HybridStore(store.root, clock=clock) as other:
        for number in range(6):
            clock.advance(DAY_US // 3 + 1)
            taken = store.record_portfolio_snapshot()
            assert taken.net_flow == (0 if number == 0 else 5)
            row = ("default", f"d{number}", "deposit", "USDT", 5, None, START_US - number * DAY_US)
            other.record_ledger_entries([row])


def test_what_is_recorded_late_between_the_sum_and_the_transaction_is_counted(
    store: HybridStore, clock: ManualClock
) -> None:
    sums = AccountSums()
    for number in range(3):
        late = ("default", f"d{number}", "deposit", "USDT", 1, None, START_US - 3 * DAY_US)
        store.record_ledger_entries([late])
    sums.prepare(store.database, "default")
    clock.advance(1_000_000)
    row = ["default", "late", "deposit", "USDT", "10", None, START_US - 3 * DAY_US, None]

    def batch(session: WriteSession) -> EquitySnapshot:
        write_entries(session, [row])
        return write_snapshot(session, prepare_snapshot("default", "USDT", None), sums)

    assert store.database.writer.call(batch).net_flow == 13


def test_a_bot_snapshots_its_account_and_the_configuration_names_the_currency(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "hybridstore.toml").write_text('[portfolio]\nbase_currency = "EUR"\n', encoding="utf-8")
    with HybridStore(root) as opened:
        taken = opened.for_bot("b", account=ACCOUNT).record_portfolio_snapshot()
        assert (taken.account, taken.base_currency) == (ACCOUNT, "EUR")


async def test_a_snapshot_on_an_event_loop(tmp_path: Path) -> None:
    async with TradingBotStorageSystem(tmp_path / "root") as storage:
        await storage.record_balance_update("USDT", 5)
        taken = await storage.for_bot("b").record_portfolio_snapshot()
        assert values(taken.equity, taken.base_currency) == (5, "USDT")
