"""Equity snapshots: an account valued and written down in one transaction.

The value is that of ``get_portfolio_summary`` at the same moment. What was realised, paid and received so far comes
from the sums by currency, at this snapshot's prices. Flows are counted once, by the first snapshot that is recorded
after them, whenever they happened; one in something without a price waits until a snapshot has a price for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from hybridstore.hot.account_sums import AccountSums, Sums
from hybridstore.hot.balance_updates import Moment
from hybridstore.hot.commits import touches
from hybridstore.hot.equity_rows import (
    EQUITY_TOUCHES,
    PLACE,
    Outcome,
    enter_snapshot,
    find_snapshot,
    latest_equity,
)
from hybridstore.hot.session import WriteSession
from hybridstore.hot.valuation import (
    holdings_of,
    latest_marks,
    list_markets,
    marks_of,
    positions_of,
    valued_positions,
    what_to_price,
)
from hybridstore.portfolio.activity import NONE
from hybridstore.portfolio.money import ZERO, add, multiply, round_money, subtract
from hybridstore.portfolio.summary import PortfolioSummary, price_of, summarize
from hybridstore.records import Record
from hybridstore.schema.types import check_name, check_timestamp, moment, money_text

_FLOWS = msgspec.json.Decoder(dict[str, str])


class EquitySnapshot(Record, frozen=True, gc=False):
    """A snapshot of an account's equity as it is recorded.

    Attributes:
        account: Whose.
        base_currency: What everything is priced in.
        taken_at: When, UTC.
        equity: cash + positions_value, of what has a price.
        cash: Value of all priced balances, less what is borrowed.
        positions_value: Unrealised profit of contracts, and the worth of spot positions that no balance holds.
        unrealized: Unrealised profit of every open position, spot included.
        realized_cumulative: Realised so far, gross of fees; None where a part of it has no price.
        fees_cumulative: Fees so far, less rebates; None where a part of it has no price.
        funding_cumulative: Funding so far, received (+) or paid (-); None where a part of it has no price.
        net_flow: Deposits - withdrawals, transfers with their sign, recorded since the snapshot recorded before.
        unpriced: Assets and markets without a price, which the equity lacks. Where there are any, the snapshot is in no
            hour's and no day's equity.
        unpriced_sums: Assets without a price in which something was realised, paid or received, or flows that wait to
            be counted.
        outcome: inserted; repeated: it was recorded before and says the same; corrected: its old version is kept.
    """

    account: str
    base_currency: str
    taken_at: datetime
    equity: Decimal
    cash: Decimal
    positions_value: Decimal
    unrealized: Decimal
    realized_cumulative: Decimal | None
    fees_cumulative: Decimal | None
    funding_cumulative: Decimal | None
    net_flow: Decimal
    unpriced: tuple[str, ...]
    unpriced_sums: tuple[str, ...]
    outcome: Outcome


class SnapshotOrder(NamedTuple):
    """A checked snapshot on its way to the writer; ``taken_us`` None means the commit's time."""

    account: str
    base_currency: str
    taken_us: int | None


class _Counted(NamedTuple):
    """Flows of a snapshot.

    Attributes:
        net_flow: What it counts, in the base currency.
        flows: What all snapshots have counted, by asset.
        waiting: Assets whose flows have no price.
    """

    net_flow: Decimal
    flows: dict[str, Decimal]
    waiting: set[str]


def prepare_snapshot(account: str, base_currency: str, taken_at: Moment | None) -> SnapshotOrder:
    """Take the order for a snapshot through the door.

    Args:
        account: Whose.
        base_currency: What to price everything in.
        taken_at: When; None means the commit's time.

    Returns:
        The checked order.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    return SnapshotOrder(
        check_name(account, "account"),
        check_name(base_currency, "base_currency"),
        None if taken_at is None else check_timestamp(taken_at, "taken_at"),
    )


@touches(*EQUITY_TOUCHES)
def write_snapshot(session: WriteSession, order: SnapshotOrder, sums: AccountSums) -> EquitySnapshot:
    """Value an account and write it down.

    Args:
        session: The write transaction.
        order: The checked order.
        sums: What adds up what the account did.

    Returns:
        The snapshot.

    Raises:
        InvalidValue: It is dated far ahead, or a figure has more digits than money can have.
        Claimed: It contradicts one of a day that is just being archived.
        ArchiveNeeded: It must be looked up first what is archived.
    """
    account, base_currency, _ = order
    session.settle()  # the value is read from the tables
    taken_us = session.ts_us if order.taken_us is None else order.taken_us
    known = find_snapshot(session, (account, base_currency, taken_us))
    done = sums.read(session, account)
    before = latest_equity(session, account, base_currency)
    counted = {} if before is None else _decode_flows(before.flows)
    summary, price = _value(session, order, {*done, *counted})
    flows = _count_flows(done, counted, price)
    unpriced = flows.waiting
    realized, fees, funding = [
        _worth(done, name, price, unpriced) for name in ("realized", "fees", "funding")
    ]
    earlier = known[0]
    # What is corrected has counted flows already: they stay counted in it.
    net_flow = (
        flows.net_flow if earlier is None else add(Decimal(earlier[1 + PLACE["net_flow"]]), flows.net_flow)
    )
    taken = EquitySnapshot(
        account=account,
        base_currency=base_currency,
        taken_at=moment(taken_us),
        equity=summary.equity,
        cash=summary.cash,
        positions_value=summary.positions_value,
        unrealized=summary.unrealized_pnl,
        realized_cumulative=realized,
        fees_cumulative=fees,
        funding_cumulative=funding,
        net_flow=net_flow,
        unpriced=summary.unpriced,
        unpriced_sums=tuple(sorted(unpriced)),
        outcome="inserted",
    )
    outcome = enter_snapshot(
        session, _row(taken, taken_us), known, force=True, flows=_encode_flows(flows.flows)
    )
    return msgspec.structs.replace(taken, outcome=outcome)


def _value(
    session: WriteSession, order: SnapshotOrder, currencies: set[str]
) -> tuple[PortfolioSummary, Callable[[str], Decimal | None]]:
    """Value the account; return what prices further currencies, too."""
    account, base_currency, _ = order
    holdings, positions, _ = _what_is_held(session, account, "[]")
    balances, debts = holdings_of((holdings,))
    held = positions_of((positions,))
    assets, symbols = what_to_price(balances, debts, held)
    asked = list_markets(assets | currencies, symbols, base_currency)
    *_, priced = _what_is_held(session, account, asked)
    marks = latest_marks(marks_of((priced,)), held)
    summary = summarize(account, balances, valued_positions(held), marks, base_currency, debts)
    return summary, lambda asset: price_of(asset, base_currency, marks)


def _what_is_held(session: WriteSession, account: str, asked: str) -> tuple[str, str, str]:
    row = session.one("what_is_held", {"account": account, "asked": asked})
    assert row is not None, "lists are one row, also where they are empty"
    return row[0], row[1], row[2]


def _count_flows(
    done: Sums, counted: Mapping[str, Decimal], price: Callable[[str], Decimal | None]
) -> _Counted:
    """Count what flowed since; what has no price stays to be counted."""
    flows, waiting, net_flow = dict(counted), set(), ZERO
    for asset in {**done, **counted}:
        until_now = done.get(asset, NONE).net_flow
        since = subtract(until_now, counted.get(asset, ZERO))
        if not since:
            continue
        worth = price(asset)
        if worth is None:
            waiting.add(asset)
        else:
            net_flow = add(net_flow, round_money(multiply(since, worth)))
            flows[asset] = until_now
    return _Counted(net_flow, flows, waiting)


def _worth(
    done: Sums, name: str, price: Callable[[str], Decimal | None], unpriced: set[str]
) -> Decimal | None:
    """Value what was realised, paid or received so far; None where a part of it has no price, which is noted."""
    result, missing = ZERO, set()
    for asset, activity in done.items():
        amount: Decimal = getattr(activity, name)
        if amount:
            worth = price(asset)
            if worth is None:
                missing.add(asset)
            else:
                result = add(result, round_money(multiply(amount, worth)))
    unpriced |= missing
    return None if missing else result


def _row(taken: EquitySnapshot, taken_us: int) -> list[object]:
    row: list[object] = [None] * len(PLACE)
    for name, place in PLACE.items():
        value = getattr(taken, name, None)
        row[place] = money_text(value, name) if isinstance(value, Decimal) else value
    row[PLACE["taken_at"]] = taken_us
    row[PLACE["unpriced"]] = msgspec.json.encode(taken.unpriced).decode() if taken.unpriced else None
    return row


def _encode_flows(flows: Mapping[str, Decimal]) -> str:
    texts = {asset: money_text(amount, "flows") for asset, amount in sorted(flows.items()) if amount}
    return msgspec.json.encode(texts).decode()


def _decode_flows(text: str) -> dict[str, Decimal]:
    return {asset: Decimal(amount) for asset, amount in _FLOWS.decode(text).items()}
