"""Proving an account's books over every tier, as of one moment: identities, sums, every figure against its cause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from hybridstore.books.deleted import BOOKS, refuse_deleted
from hybridstore.books.fees import fees_of
from hybridstore.books.prices import plain_money
from hybridstore.clock import DAY_US
from hybridstore.named_sql import load_named_sql
from hybridstore.portfolio.activity import Activity
from hybridstore.portfolio.proof import (
    ProofEntry,
    ProofEvent,
    ProofFill,
    ProofPosition,
    Sums,
)
from hybridstore.portfolio.proof_checks import check_fills, check_positions
from hybridstore.portfolio.proof_sums import Fault, Period, Taken, check_periods, check_sums
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.portfolio.wording import amount_text
from hybridstore.records import Record
from hybridstore.schema.types import EXACT, check_name, moment

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics
    from hybridstore.analytics.snapshot import Snapshot

QUESTIONS = load_named_sql("hybridstore.books", "proof.sql")
FAULTS_MAX = 100
"""Faults that are told one by one; all are counted."""
_PERIODS = (("portfolio_hourly", DAY_US // 24), ("portfolio_daily", DAY_US))
_short = EXACT.normalize


class AssetProof(Record, frozen=True, gc=False):
    """The terms of one asset: booked is the sum of all others, fees taken off.

    Attributes:
        asset: The asset.
        booked: Sum of its ledger entries.
        net_flow: Deposits, withdrawals, transfers.
        realized: Realised by fills, gross.
        funding: Received (+) or paid (-).
        fees: Paid (+), rebates (-).
        other: Interest, liquidation costs, adjustments, trades entered by hand.
        held: What spot positions hold: their amount of base, and less their cost of quote.
        conversions: What fills on spot markets sold beyond their position, and got for it.
        by_hand: What positions hold or lack without a fill, with the opposite sign.
        difference: Booked less what the others come to: zero, or the books do not prove themselves.
    """

    asset: str
    booked: Decimal
    net_flow: Decimal
    realized: Decimal
    funding: Decimal
    fees: Decimal
    other: Decimal
    held: Decimal
    conversions: Decimal
    by_hand: Decimal
    difference: Decimal


class BooksFault(Record, frozen=True, gc=False):
    """A stored figure that is not what it was computed from.

    Attributes:
        check: What was compared.
        where: Of what.
        found: What is stored.
        expected: What it should be.
    """

    check: str
    where: str
    found: str
    expected: str

    def sentence(self) -> str:
        """Say it in a sentence.

        Returns:
            The sentence.
        """
        return f"{self.check} of {self.where} is {self.found}, but should be {self.expected}"


class BooksProof(Record, frozen=True, gc=False):
    """Whether an account's books prove themselves.

    Attributes:
        account: Whose.
        as_of: The last commit that was read, UTC.
        holds: Whether there is no fault.
        assets: The terms of each asset, by name.
        faults: What does not hold, the first hundred.
        fault_count: How many faults there are.
        fills: How many fills were read, voided ones included.
        entries: How many ledger entries.
        positions: How many positions.
        events: How many changes of positions.
    """

    account: str
    as_of: datetime
    holds: bool
    assets: tuple[AssetProof, ...]
    faults: tuple[BooksFault, ...]
    fault_count: int
    fills: int
    entries: int
    positions: int
    events: int


class _Read(NamedTuple):
    fills: list[ProofFill]
    entries: list[ProofEntry]
    events: list[ProofEvent]
    positions: dict[str, ProofPosition]
    kept: dict[str, tuple[Decimal, int]]
    periods: dict[str, list[Period]]
    equities: list[Taken]
    as_of_us: int


def prove_account(analytics: Analytics, account: str) -> BooksProof:
    """Prove an account's books.

    Args:
        analytics: Where questions over all tiers are asked.
        account: Whose.

    Returns:
        The terms of every asset, and what does not hold.

    Raises:
        InvalidValue: The name does not fit.
        NotFound: The beginning of the books was deleted by policy.
    """
    check_name(account, "account")
    with analytics.snapshot(anew=True) as snapshot:
        refuse_deleted(snapshot, "prove the books", BOOKS)
        read = _read(snapshot, account)
    sums = Sums(read.positions)
    for entry in read.entries:
        sums.add_entry(entry)
    for event in read.events:
        sums.add_event(event)
    unmatched = [(fill, sums.add_fill(fill)) for fill in read.fills]
    assets = tuple(AssetProof(asset, *map(plain_money, terms)) for asset, terms in sums.terms().items())
    faults = [
        *_check(read),
        *(
            Fault(
                "conversions",
                f"fill {fill.trade_id} on {fill.market.symbol}",
                amount_text(left),
                "0: no base was sold",
            )
            for fill, left in unmatched
            if left
        ),
        *(
            Fault(
                "booked",
                one.asset,
                amount_text(one.booked),
                amount_text(EXACT.subtract(one.booked, one.difference)),
            )
            for one in assets
            if one.difference
        ),
    ]
    return BooksProof(
        account,
        moment(read.as_of_us),
        not faults,
        assets,
        tuple(BooksFault(*fault) for fault in faults[:FAULTS_MAX]),
        len(faults),
        len(read.fills),
        len(read.entries),
        len(read.positions),
        len(read.events),
    )


def _check(read: _Read) -> Iterator[Fault]:
    return chain(
        check_fills(read.fills, read.entries, read.events, read.positions),
        check_positions(read.positions, read.events),
        check_sums(read.kept, read.entries),
        *(
            check_periods(name, length_us, read.periods[name], read.fills, read.entries, read.equities)
            for name, length_us in _PERIODS
        ),
    )


def _read(snapshot: Snapshot, account: str) -> _Read:
    def rows(name: str) -> list[tuple[Any, ...]]:
        return snapshot.sql(QUESTIONS[name], account=account).rows()

    positions = [_position(row) for row in rows("positions")]
    return _Read(
        [_fill(row) for row in rows("fills")],
        [
            ProofEntry(entry_id, kind, asset, _short(amount), reference, occurred_us)
            for entry_id, kind, asset, amount, reference, occurred_us in rows("entries")
        ],
        [_event(row) for row in rows("position_events")],
        {position.position_id: position for position in positions},
        {asset: (_short(amount), entries) for asset, amount, entries in rows("ledger_balances")},
        {name: [_period(row) for row in rows(name)] for name, _ in _PERIODS},
        [Taken(currency, taken_us, _short(equity)) for currency, taken_us, equity in rows("equities")],
        snapshot.ts_us,
    )


def _fill(row: tuple[Any, ...]) -> ProofFill:
    symbol, trade_id, order_id, side, price, amount, size, quote_amount, fee, currency, fees, *rest = row
    in_quote, realized, net, position_side, executed_us = rest
    return ProofFill(
        parse_symbol(symbol),
        trade_id,
        order_id,
        side,
        _short(price),
        _short(amount),
        _short(size),
        _short(quote_amount),
        fees_of(fee, currency, fees),
        _maybe(in_quote),
        _maybe(realized),
        _maybe(net),
        position_side is not None,
        executed_us,
    )


def _event(row: tuple[Any, ...]) -> ProofEvent:
    position_id, seq, kind, symbol, trade_id, order_id, amount, after, *rest = row
    realized, cost, fees, funding, entry, price, occurred_us = rest
    return ProofEvent(
        position_id,
        seq,
        kind,
        None if trade_id is None else (symbol, trade_id, order_id),
        _short(amount),
        _short(after),
        _short(realized),
        _short(cost),
        _short(fees),
        _short(funding),
        _short(entry),
        _maybe(price),
        occurred_us,
    )


def _position(row: tuple[Any, ...]) -> ProofPosition:
    position_id, symbol, side, is_open, amount, cost, realized, fees, funding, *rest = row
    entry_price, peak, contract_size, event_seq = rest
    return ProofPosition(
        position_id,
        parse_symbol(symbol),
        side,
        is_open,
        _short(amount),
        _short(cost),
        _short(realized),
        _short(fees),
        _short(funding),
        _short(entry_price),
        _short(peak),
        _short(contract_size),
        event_seq,
    )


def _period(row: tuple[Any, ...]) -> Period:
    currency, start_us, *equity, net_flow, realized, funding, fees, other, volume, trade_count = row
    done = Activity(
        _short(net_flow),
        _short(realized),
        _short(funding),
        _short(fees),
        _short(other),
        _short(volume),
        trade_count,
    )
    return Period(currency, start_us, tuple(map(_maybe, equity)), done)


def _maybe(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else _short(amount)
