"""What an account held, now and at any moment: balances, debts, positions, and the prices to value them by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from hybridstore.books.deleted import refuse_deleted
from hybridstore.books.position_at import PositionAt, Stored, Sums, as_stored, as_summed
from hybridstore.books.positions import (
    QUERIES,
    all_marks,
    position_changes,
    present_positions,
    present_prices,
    stored_positions,
)
from hybridstore.books.prices import Price, PriceSeries, plain_money, present_marks
from hybridstore.portfolio.money import ZERO, add
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.schema.types import check_timestamp

if TYPE_CHECKING:
    from hybridstore.analytics.snapshot import Snapshot

REPORTED, BOOKED = "reported", "booked"


class Question(NamedTuple):
    """A checked question: whose, in what, from what, at which prices, how old they may be."""

    account: str
    base_currency: str
    source: str
    given: dict[str, Price]
    age_max: timedelta | None


class Report(NamedTuple):
    """The last report of an asset: its total, what of it is borrowed, and of when."""

    balance: Decimal
    debt: Decimal
    updated_at: datetime


class Standing(NamedTuple):
    """What an account held at a moment, and the prices then."""

    balances: dict[str, Decimal]
    debts: dict[str, Decimal]
    positions: list[PositionAt]
    prices: dict[str, Price]


def last_reports(snapshot: Snapshot, account: str) -> dict[str, Report]:
    """Read what the exchange reported last.

    Args:
        snapshot: The moment of the store.
        account: Whose.

    Returns:
        Reports by asset.
    """
    return {
        asset: Report(plain_money(balance), plain_money(debt or ZERO), updated_at)
        for asset, balance, debt, updated_at in snapshot.sql(QUERIES["present_balances"], account=account)
    }


def present_standing(snapshot: Snapshot, question: Question, reports: dict[str, Report]) -> Standing:
    """Read what an account holds.

    Args:
        snapshot: The moment of the store.
        question: Whose, from which source.
        reports: What was reported last.

    Returns:
        What it holds; prices are marks, of whatever age.
    """
    rows = present_positions(snapshot, question.account, None, closed=False)
    prices = present_prices(question.given, present_marks(snapshot), rows)
    listed = [as_stored(row) for row in rows]
    if question.source == REPORTED:
        balances = {asset: report.balance for asset, report in reports.items()}
        debts = {asset: report.debt for asset, report in reports.items() if report.debt}
        return Standing(balances, debts, listed, prices)
    booked = snapshot.sql(QUERIES["present_ledger"], account=question.account)
    return Standing({asset: plain_money(amount) for asset, amount in booked}, {}, listed, prices)


def past_standings(
    snapshot: Snapshot, question: Question, moments: Sequence[datetime], reports: dict[str, Report]
) -> Iterator[Standing]:
    """Read what an account held at moments, in one pass over what happened between them.

    Args:
        snapshot: The moment of the store.
        question: Whose, from which source, at which prices.
        moments: The moments, in order, each once.
        reports: What was reported last.

    Yields:
        What it held, moment by moment.
    """
    balances = list(_balances(snapshot, question, moments))
    summed = list(_summed(position_changes(snapshot, question.account, None, moments)))
    rows = stored_positions(snapshot, {position_id for sums in summed for position_id in sums})
    debts = _debts(reports) if question.source == REPORTED else {}
    marks = all_marks(present_marks(snapshot), rows)
    series = PriceSeries(snapshot, moments, question.given, marks, question.age_max)
    assets = {asset for held in balances for asset, amount in held.items() if amount} | debts.keys()
    series.want(_symbols(rows), assets | _assets(rows), question.base_currency)
    for place, (when, held, sums) in enumerate(zip(moments, balances, summed, strict=True)):
        listed = [as_summed(row, sums[row.position_id]) for row in rows if row.position_id in sums]
        owed = {asset: report.debt for asset, report in debts.items() if report.updated_at <= when}
        yield Standing(held, owed, listed, series.at(place))


def _debts(reports: dict[str, Report]) -> dict[str, Report]:
    return {asset: report for asset, report in reports.items() if report.debt}


def _symbols(rows: Iterable[Stored]) -> set[str]:
    return {row.symbol for row in rows}


def _assets(rows: Iterable[Stored]) -> set[str]:
    """Return what profit, fees and costs of positions are in."""
    markets = [parse_symbol(row.symbol) for row in rows]
    return {asset for market in markets for asset in (market.quote, market.profit_asset)}


def _balances(
    snapshot: Snapshot, question: Question, moments: Sequence[datetime]
) -> Iterator[dict[str, Decimal]]:
    booked = question.source == BOOKED
    if booked:
        refuse_deleted(snapshot, "add up the ledger", ("ledger",))
    else:
        refuse_deleted(snapshot, "find balances", ("balance_history",), check_timestamp(moments[0], "moment"))
    query = QUERIES["ledger_changes" if booked else "balance_reports"]
    asked = {"moments": list(moments), "until": moments[-1], "account": question.account}
    changes: dict[datetime, dict[str, Decimal]] = {when: {} for when in moments}
    for when, asset, amount in snapshot.ask(query, params=asked):
        changes[when][asset] = plain_money(amount)
    held: dict[str, Decimal] = {}
    for when in moments:
        for asset, amount in changes[when].items():
            held[asset] = add(held.get(asset, ZERO), amount) if booked else amount
        yield dict(held)


def _summed(changes: Iterable[dict[str, Sums]]) -> Iterator[dict[str, Sums]]:
    """Add up changes; yield at each moment the sums of what is open then."""
    so_far: dict[str, Sums] = {}
    standing: dict[str, Sums] = {}
    for change in changes:
        for position_id, sums in change.items():
            known = so_far.get(position_id)
            after = so_far[position_id] = sums if known is None else known.plus(sums)
            standing.pop(position_id, None)
            if after:
                standing[position_id] = after
        yield dict(standing)
