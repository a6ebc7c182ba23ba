"""What an account is worth, now and at any moment, with where every price came from.

Equity is defined at the head of :mod:`hybridstore.portfolio.summary`: balances less debts, plus the unrealised profit
of contracts. Two sources say what the balances are:

- ``reported``: what the exchange said last, up to the moment. What was borrowed is kept of the last report only.
- ``booked``: the sum of the ledger up to the moment. It follows every fill, fee, funding payment and transfer at once,
  and knows no debts but as the entries that made them. Opening balances count where they were recorded as entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from hybridstore.books.holdings import (
    BOOKED,
    REPORTED,
    Question,
    Report,
    Standing,
    last_reports,
    past_standings,
    present_standing,
)
from hybridstore.books.position_at import PositionAt, valued
from hybridstore.books.positions import forget_terms
from hybridstore.books.prices import PRICE_AGE_MAX_S, Price, age_limit, given_prices
from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.portfolio.exposure import Exposure, PositionTerms, measure_exposure
from hybridstore.portfolio.money import ZERO, add, multiply, round_money, total
from hybridstore.portfolio.position import OPEN, PositionState
from hybridstore.portfolio.summary import OpenPosition, PortfolioSummary, price_of, price_symbols, summarize
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.records import Record
from hybridstore.schema.types import check_name, check_timestamp, moment

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics
    from hybridstore.hot.balance_updates import Moment, Money


class Portfolio(PortfolioSummary, frozen=True, gc=False):
    """What an account is or was worth; a summary that says where it comes from.

    Attributes:
        at: The moment it is of, UTC; None means now.
        source: Where balances come from: reported or booked.
        prices: The prices it was made with.
        debts_unknown: Assets of which something is borrowed now, by a report later than the moment: what was borrowed
            then is not known, and counts as nothing.
        terms: What exposure needs to know of each position.
    """

    at: datetime | None
    source: str
    prices: tuple[Price, ...]
    debts_unknown: tuple[str, ...]
    terms: tuple[PositionTerms, ...]

    def exposure(self) -> Exposure:
        """Measure what the account depends on.

        Returns:
            Allocation, exposure, leverage, margin and distance to liquidation; see
            :mod:`hybridstore.portfolio.exposure`.
        """
        return measure_exposure(self, self.terms, {price.symbol: price.price for price in self.prices})


class EquityAt(Record, frozen=True, gc=False):
    """What an account was worth at a moment.

    Attributes:
        at: The moment, UTC.
        equity: cash + positions_value, in the base currency.
        cash: Value of all priced balances, less what is borrowed.
        positions_value: Unrealised profit of contracts, and the worth of spot positions that no balance holds.
        unrealized_pnl: Unrealised profit of every open position, spot included.
        unpriced: What had no price and is in no sum.
    """

    at: datetime
    equity: Decimal
    cash: Decimal
    positions_value: Decimal
    unrealized_pnl: Decimal
    unpriced: tuple[str, ...]


def portfolio(
    analytics: Analytics,
    account: str = DEFAULT_ACCOUNT,
    base_currency: str = "USDT",
    *,
    at: Moment | None = None,
    source: str = REPORTED,
    prices: Mapping[str, Money] | None = None,
    max_price_age_s: float | None = PRICE_AGE_MAX_S,
) -> Portfolio:
    """Value an account; see :meth:`hybridstore.books.books.Books.portfolio`.

    Args:
        analytics: Where questions over all tiers are asked.
        account: Whose.
        base_currency: What to price everything in.
        at: As of this moment; None means now.
        source: ``reported`` or ``booked``.
        prices: Prices that come before all others.
        max_price_age_s: How old a price of the past may be, s.

    Returns:
        The portfolio.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    question = _check(account, base_currency, source, prices, max_price_age_s)
    when = None if at is None else moment(check_timestamp(at, "at"))
    with analytics.snapshot() as snapshot:
        reports = last_reports(snapshot, account)
        if when is None:
            standing = present_standing(snapshot, question, reports)
        else:
            standing = next(past_standings(snapshot, question, [when], reports))
            standing = standing._replace(positions=forget_terms(snapshot, when, standing.positions))
    summary = summarize_standing(question, standing)
    terms = tuple(_terms(position, standing.balances) for position in standing.positions)
    return Portfolio(
        **dict(summary.items()),
        at=when,
        source=source,
        prices=_used(question, standing),
        debts_unknown=_debts_unknown(question, when, reports),
        terms=terms,
    )


def equity(
    analytics: Analytics,
    moments: Iterable[Moment],
    account: str = DEFAULT_ACCOUNT,
    base_currency: str = "USDT",
    *,
    source: str = REPORTED,
    prices: Mapping[str, Money] | None = None,
    max_price_age_s: float | None = PRICE_AGE_MAX_S,
) -> tuple[EquityAt, ...]:
    """Value an account at many moments in one pass; see :meth:`hybridstore.books.books.Books.equity`.

    Args:
        analytics: Where questions over all tiers are asked.
        moments: The moments, in any order.
        account: Whose.
        base_currency: What to price everything in.
        source: ``reported`` or ``booked``.
        prices: Prices that come before all others.
        max_price_age_s: How old a price may be, s.

    Returns:
        One value a moment, in the order of the moments.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    question = _check(account, base_currency, source, prices, max_price_age_s)
    asked = [check_timestamp(at, "moment") for at in moments]
    if not asked:
        return ()
    ordered = [moment(ts_us) for ts_us in sorted(set(asked))]
    with analytics.snapshot() as snapshot:
        standings = list(past_standings(snapshot, question, ordered, last_reports(snapshot, account)))
    values = {}
    for when, standing in zip(ordered, standings, strict=True):
        found = summarize_standing(question, standing)
        values[when] = EquityAt(
            when, found.equity, found.cash, found.positions_value, found.unrealized_pnl, found.unpriced
        )
    return tuple(values[moment(ts_us)] for ts_us in asked)


def _check(
    account: str,
    base_currency: str,
    source: str,
    prices: Mapping[str, Money] | None,
    max_price_age_s: float | None,
) -> Question:
    if source not in {REPORTED, BOOKED}:
        raise InvalidValue(f"source={source!r}: neither {REPORTED} nor {BOOKED}")
    check_name(base_currency, "base_currency")
    given = given_prices(prices, base_currency)
    return Question(check_name(account, "account"), base_currency, source, given, age_limit(max_price_age_s))


def _debts_unknown(
    question: Question, when: datetime | None, reports: Mapping[str, Report]
) -> tuple[str, ...]:
    if when is None or question.source == BOOKED:
        return ()
    return tuple(sorted(asset for asset, last in reports.items() if last.debt and last.updated_at > when))


def summarize_standing(question: Question, standing: Standing) -> PortfolioSummary:
    """Value what is held. What is left of a cost without an amount is profit that needs no price of its market.

    Args:
        question: Whose, in which currency.
        standing: What is held, and at which prices.

    Returns:
        Its value.
    """
    base_currency = question.base_currency
    marks = {symbol: price.price for symbol, price in standing.prices.items()}
    held = [(one.position_id, one.symbol, _state(one)) for one in standing.positions if one.amount]
    summary = summarize(
        question.account, dict(sorted(standing.balances.items())), held, marks, base_currency, standing.debts
    )
    rests = [_rest(one, base_currency, marks) for one in standing.positions if not one.amount]
    if not rests:
        return summary
    contracts = total(rest.value or ZERO for rest in rests if not parse_symbol(rest.symbol).is_spot)
    missing = [parse_symbol(rest.symbol).profit_asset for rest in rests if rest.value is None]
    return msgspec.structs.replace(
        summary,
        equity=add(summary.equity, contracts),
        positions_value=add(summary.positions_value, contracts),
        unrealized_pnl=add(summary.unrealized_pnl, total(rest.value or ZERO for rest in rests)),
        positions=(*summary.positions, *rests),
        unpriced=tuple(dict.fromkeys((*summary.unpriced, *missing))),
    )


def _rest(position: PositionAt, base_currency: str, marks: Mapping[str, Decimal]) -> OpenPosition:
    profit = valued(position, None).unrealized_pnl
    assert profit is not None
    price = price_of(position.profit_asset, base_currency, marks)
    value = None if price is None else round_money(multiply(profit, price))
    return OpenPosition(
        position.position_id,
        position.symbol,
        position.side,
        ZERO,
        ZERO,
        marks.get(position.symbol),
        profit,
        value,
    )


def _state(position: PositionAt) -> PositionState:
    return PositionState(
        side=position.side,
        status=OPEN,
        amount=position.amount,
        entry_price=position.entry_price or ZERO,
        entry_cost=position.entry_cost,
        contract_size=position.contract_size,
        inverse=position.inverse,
        realized_pnl=position.realized_pnl,
        fees=position.fees,
        funding=position.funding,
    )


def _terms(position: PositionAt, balances: Mapping[str, Decimal]) -> PositionTerms:
    market = parse_symbol(position.symbol)
    return PositionTerms(
        position_id=position.position_id,
        entry_cost=position.entry_cost,
        contract_size=position.contract_size,
        inverse=position.inverse,
        is_view=market.is_spot and market.base in balances,
        leverage=position.leverage,
        margin_mode=position.margin_mode,
        liquidation_price=position.liquidation_price,
    )


def _used(question: Question, standing: Standing) -> tuple[Price, ...]:
    """Return the prices that something was valued by."""
    markets = [parse_symbol(one.symbol) for one in standing.positions]
    assets = {asset for asset, amount in standing.balances.items() if amount} | standing.debts.keys()
    for market in markets:
        assets.update((market.quote, market.profit_asset))
    symbols = {market.symbol for market in markets}
    for asset in assets - {question.base_currency}:
        known = [
            symbol for symbol in price_symbols(asset, question.base_currency) if symbol in standing.prices
        ]
        symbols.update(known[:1])
    return tuple(standing.prices[symbol] for symbol in sorted(symbols) if symbol in standing.prices)
