"""What an account was worth at the end of each day, from its books and prices: where nobody took snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from hybridstore.books.holdings import BOOKED, Question, last_reports, past_standings
from hybridstore.books.portfolio import summarize_standing
from hybridstore.books.positions import QUERIES
from hybridstore.books.prices import PRICE_AGE_MAX_S, PriceSeries, Told, age_limit, plain_money, present_marks
from hybridstore.portfolio.money import ZERO, add, multiply, round_money
from hybridstore.portfolio.summary import price_of
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    from hybridstore.analytics.snapshot import Snapshot

_DAY = timedelta(days=1)


class Worth(NamedTuple):
    """What an account was worth at a moment.

    Attributes:
        taken_at: The moment, a midnight UTC.
        equity: In the base currency.
        unpriced: What it lacks for want of a price.
        net_flow: Deposits less withdrawals since the moment before, transfers with their sign, at the prices of now.
    """

    taken_at: datetime
    equity: Decimal
    unpriced: tuple[str, ...]
    net_flow: Decimal


def daily_worth(
    snapshot: Snapshot, account: str, base_currency: str, source: str, start: datetime, end: datetime
) -> list[Worth]:
    """Value an account at each midnight since its books begin.

    Args:
        snapshot: The moment to ask.
        account: Whose.
        base_currency: What to price everything in.
        source: Where balances come from: ``booked``, the sum of the ledger, or ``reported`` by the exchange.
        start: Not before this moment.
        end: Not behind this one.

    Returns:
        A value a midnight; none where the books are empty.

    Raises:
        NotFound: The beginning of the books was deleted by policy.
    """
    moments = _midnights(snapshot, account, source, start, end)
    if not moments:
        return []
    question = Question(account, base_currency, source, {}, age_limit(PRICE_AGE_MAX_S))
    flows = _flows(snapshot, question, moments)
    found = []
    standings = past_standings(snapshot, question, moments, last_reports(snapshot, account))
    for when, standing, (flow, unknown) in zip(moments, standings, flows, strict=True):
        worth = summarize_standing(question, standing)
        found.append(Worth(when, worth.equity, tuple(dict.fromkeys((*worth.unpriced, *unknown))), flow))
    return found


def _midnights(
    snapshot: Snapshot, account: str, source: str, start: datetime, end: datetime
) -> list[datetime]:
    block = "books_begin" if source == BOOKED else "reports_begin"
    (begun,) = snapshot.sql(QUERIES[block], account=account).rows()[0]
    if begun is None:
        return []
    last = min(end, moment(snapshot.ts_us))
    first = max(begun, start)
    at = datetime(first.year, first.month, first.day, tzinfo=UTC)
    at += _DAY if at < first else timedelta(0)
    return [at + number * _DAY for number in range((last - at) // _DAY + 1)]


def _flows(
    snapshot: Snapshot, question: Question, moments: Sequence[datetime]
) -> list[tuple[Decimal, list[str]]]:
    """Return the flows up to each moment since the one before, and what of them has no price."""
    asked = {"moments": list(moments), "until": moments[-1], "account": question.account}
    told = snapshot.ask(QUERIES["flow_changes"], params=asked).rows()
    marks: Mapping[str, Sequence[Told]] = {
        symbol: (mark,) for symbol, mark in present_marks(snapshot).items()
    }
    series = PriceSeries(snapshot, moments, {}, marks, question.age_max)
    series.want((), {asset for _, asset, _ in told}, question.base_currency)
    flows: dict[datetime, tuple[Decimal, list[str]]] = {when: (ZERO, []) for when in moments}
    places = {when: place for place, when in enumerate(moments)}
    for when, asset, amount in told:
        known = {symbol: price.price for symbol, price in series.at(places[when]).items()}
        price = price_of(asset, question.base_currency, known)
        sum_, unknown = flows[when]
        if price is None:
            flows[when] = (sum_, [*unknown, asset])
        else:
            flows[when] = (add(sum_, round_money(multiply(plain_money(amount), price))), unknown)
    return [flows[when] for when in moments]
