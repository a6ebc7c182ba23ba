"""Random lives of many accounts told to one store: everything it stores is what the other books say, also archived."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hybridstore.clock import DAY_US
from hybridstore.errors import HybridStoreError
from hybridstore.store import HybridStore
from tests.books.telling import (
    HOUR_US,
    Tables,
    Teller,
    new_clock,
    renamed,
    shown_sums,
    summed,
    sums_by,
    us_of,
)
from tests.portfolio.oracle import decimal_of
from tests.portfolio.scripts import make_script, worded

ACCOUNTS = 70
SOAK_ACCOUNTS = 3000
PROVED = 10
POSITION = ("amount", "entry_cost", "entry_price", "realized_pnl", "fees", "funding", "peak_amount", "max_favourable",
            "max_adverse")  # fmt: skip

DELTAS = (("amount_delta", "amount"), ("cost_delta", "entry_cost"), ("realized_delta", "realized_pnl"),
          ("fees_delta", "fees"), ("funding_delta", "funding"))  # fmt: skip


def live(store: HybridStore, clock: Any, seed: int, accounts: int) -> list[Teller]:
    """Tell a script for each account; one that the store refuses fails with its words."""
    tellers = []
    for number in range(accounts):
        rng = Random(seed + number)
        script = renamed(make_script(rng, storable=True), number)
        teller = Teller(store, clock, f"a{number}", rng)
        for place, step in enumerate(script):
            try:
                teller.tell(step)
            except (HybridStoreError, ArithmeticError, AssertionError) as error:
                pytest.fail(f"script {seed + number}: {error!r}\n{worded(script[: place + 1])}")
        tellers.append(teller)
    return tellers


def compare(store: HybridStore, tellers: list[Teller]) -> None:
    """Compare every table of every account."""
    tables = Tables(store)
    for teller in tellers:
        own = teller.account
        compare_positions(teller, tables.positions[own], tables.events[own])
        compare_trades(teller, tables.trades[own])
        compare_ledger(teller, tables.ledger[own], tables.held[own])
        assert shown_sums(tables.hours[own]) == sums_by(teller.books, HOUR_US), f"hours of {own}"
        assert shown_sums(tables.days[own]) == sums_by(teller.books, DAY_US), f"days of {own}"


def compare_positions(teller: Teller, positions: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    by_id = {row["position_id"]: row for row in positions}
    assert len(by_id) == len(teller.positions) == len(teller.books.stakes)
    for position_id, stake in zip(teller.positions, teller.books.stakes, strict=True):
        row = by_id[position_id]
        amounts = (stake.amount, stake.cost, stake.entry, stake.realized, stake.fees, stake.funding, stake.peak,
                   stake.best, stake.worst)  # fmt: skip
        assert [row[name] for name in POSITION] == [decimal_of(amount) for amount in amounts], row
        assert row["mark_price"] == (None if stake.mark is None else decimal_of(stake.mark))
        assert (row["side"], row["status"]) == (
            "LONG" if stake.long else "SHORT", "OPEN" if stake.amount else "CLOSED"
        )  # fmt: skip
        assert (row["symbol"], row["inverse"]) == (stake.terms.symbol, stake.terms.inverse)
        own = [event for event in events if event["position_id"] == position_id]
        assert [event["seq"] for event in own] == [*range(1, row["event_seq"] + 1)]
        for column, name in DELTAS:
            assert summed(event[column] for event in own) == row[name], (position_id, column)
        assert (own[-1]["amount_after"], own[-1]["entry_after"]) == (row["amount"], row["entry_price"])
        assert row["opened_at"] == own[0]["occurred_at"]
        closed = None if row["status"] == "OPEN" else own[-1]["occurred_at"]
        assert row["closed_at"] == closed
        assert (row["close_reason"] == "liquidation") is (
            own[-1]["kind"] == "liquidate" and closed is not None
        )


def compare_trades(teller: Teller, trades: list[dict[str, Any]]) -> None:
    assert {row["trade_id"] for row in trades} == set(teller.told)
    for row in trades:
        step, told, moment_us = teller.told[row["trade_id"]]
        assert row["realized_pnl"] == (None if told.realized is None else decimal_of(told.realized)), row
        net = None if told.realized is None or told.net is None else decimal_of(told.net)
        assert row["net_pnl"] == net, row
        assert us_of(row["executed_at"]) == moment_us
        assert (row["price"], row["amount"]) == (decimal_of(step.price), decimal_of(step.amount))


def compare_ledger(teller: Teller, ledger: list[dict[str, Any]], held: list[dict[str, Any]]) -> None:
    told = Counter(
        (kind, asset, decimal_of(amount), moment_us)
        for _, one, moment_us in teller.told.values()
        for kind, asset, amount in one.entries
    )
    by_fill = [row for row in ledger if "|" in row["entry_id"] and not row["entry_id"].startswith("funding")]
    assert (
        Counter((row["type"], row["asset"], row["amount"], us_of(row["occurred_at"])) for row in by_fill)
        == told
    )
    assert {row["asset"]: row["amount"] for row in held} == {
        asset: decimal_of(amount) for asset, amount in teller.books.booked.items() if asset in teller.entries
    }
    assert {row["asset"]: row["entries"] for row in held} == teller.entries
    assert Counter(row["asset"] for row in ledger) == teller.entries
    assert not [*teller.books.unexplained()]


def run(folder: Path, seed: int, accounts: int) -> None:
    clock = new_clock()
    with HybridStore(folder, clock=clock) as store:
        tellers = live(store, clock, seed, accounts)
        compare(store, tellers)
        clock.advance(20 * DAY_US)
        assert store.retention.run().rows
        compare(store, tellers)
        for teller in tellers[:PROVED]:
            proof = store.books.prove(teller.account)
            assert proof.holds, proof.faults
            assert proof.fills == len(teller.told)


def test_everything_stored_is_what_the_other_books_say(tmp_path: Path, seed: int) -> None:
    run(tmp_path, seed, ACCOUNTS)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_everything_stored_of_many_accounts(tmp_path: Path, seed: int) -> None:
    for part in range(SOAK_ACCOUNTS // 100):
        run(tmp_path / str(part), seed + part * 100, 100)
