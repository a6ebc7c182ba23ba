"""Funding: a ledger entry and what it adds to the position it was paid on, in one transaction."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment, Money
from hybridstore.hot.commits import touches
from hybridstore.hot.fills import check_side
from hybridstore.hot.ledger import LEDGER_TOUCHES, enter, find_entry
from hybridstore.hot.position_fills import Addressee, find_position
from hybridstore.hot.position_rows import Held, Position, present
from hybridstore.hot.positions import keep_changed, load_position
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.ledger import joined_name
from hybridstore.portfolio.money import ZERO, add, subtract
from hybridstore.portfolio.position import apply_funding, change_event
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.records import Record
from hybridstore.schema.books import LEDGER
from hybridstore.schema.types import check_name, check_timestamp, money_text, to_decimal

_PLACE = {name: place for place, name in enumerate(LEDGER.column_names)}


class FundingOrder(NamedTuple):
    """A checked funding payment on its way to the writer.

    Attributes:
        whose: Which position it was paid on.
        asset: What it was paid in.
        amount: Received (+) or paid (-).
        funding_id: The exchange's id; None makes its moment the id.
        occurred_us: When, us UTC; None means the commit's time.
    """

    whose: Addressee
    asset: str
    amount: Decimal
    funding_id: str | None
    occurred_us: int | None


class FundingResult(Record, frozen=True, gc=False):
    """What recording a funding payment did.

    Attributes:
        entry_id: Its entry in the ledger.
        position: The position it was added to, as it is now; None where it changed none.
        repeated: Whether it was known before; then nothing was changed.
        corrected: Whether it was known with another amount; ledger and position count the right one now.
    """

    entry_id: str
    position: Position | None
    repeated: bool = False
    corrected: bool = False


def prepare_funding(
    symbol: str,
    amount: Money,
    *,
    account: str = DEFAULT_ACCOUNT,
    asset: str | None = None,
    funding_id: str | None = None,
    position_id: str | None = None,
    position_side: str | None = None,
    strategy: str | None = None,
    bot: str | None = None,
    occurred_at: Moment | None = None,
) -> FundingOrder:
    """Take a funding payment through the door.

    Args:
        symbol: The contract it was paid on.
        amount: Received (+) or paid (-), in ``asset``.
        account: Whose.
        asset: What it was paid in; None means what the contract is settled in.
        funding_id: The exchange's id. Without one, symbol and moment say which payment it is.
        position_id: The position; None finds the open one.
        position_side: LONG or SHORT on an account that may hold both at once (hedge mode).
        strategy: Of no account; a bot's view gives it with every call.
        bot: Whose position it was, of several bots.
        occurred_at: When; None means the commit's time.

    Returns:
        The checked payment.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    market = parse_symbol(check_name(symbol, "symbol"))
    if market.is_spot:
        raise InvalidValue(
            f"symbol={symbol!r}: funding is paid on contracts",
            hint="give the contract's symbol, as BTC/USDT:USDT; margin interest is a ledger entry of type interest",
        )
    exact = to_decimal(amount, "amount")
    money_text(exact, "amount")
    return FundingOrder(
        Addressee(
            check_name(account, "account"),
            market,
            None if position_id is None else check_name(position_id, "position_id"),
            None if position_side is None else check_side(position_side),
            strategy,
            bot,
        ),
        market.profit_asset if asset is None else check_name(asset, "asset"),
        exact,
        None if funding_id is None else check_name(funding_id, "funding_id"),
        None if occurred_at is None else check_timestamp(occurred_at, "occurred_at"),
    )


@touches("positions", "position_events", *LEDGER_TOUCHES)
def write_funding(session: WriteSession, order: FundingOrder) -> FundingResult:
    """Record a funding payment once.

    It is known by its id, else by its moment, with symbol and side: payments of two symbols at one instant are two. One
    in another asset than the contract is settled in counts in the ledger only, and so does a correction of one whose
    position is archived. An amount of 0 takes it back.

    Args:
        session: The write transaction.
        order: The checked payment.

    Returns:
        What it did.

    Raises:
        InvalidValue: It cannot be said which position it is for.
        ArchiveNeeded: It must be looked up first what is archived.
    """
    whose, symbol = order.whose, order.whose.market.symbol
    occurred_us = session.ts_us if order.occurred_us is None else order.occurred_us
    named = order.funding_id or str(occurred_us)
    entry_id = joined_name("funding", symbol, named, whose.side or "-", whose.position_id or "-")
    text = money_text(order.amount, "amount")
    row = [whose.account, entry_id, "funding", order.asset, text, symbol, occurred_us, None]
    found, _ = find_entry(session, row)
    if found is None:
        held = find_position(session, whose)
        row[_PLACE["reference"]] = symbol if held is None else held.position_id
        enter(session, row, by="funding")
        paid = _Paid(order.asset, order.amount, occurred_us)
        return FundingResult(entry_id, _add(session, order, held, paid, "funding"))
    known = found[1:]
    row[_PLACE["reference"]] = known[_PLACE["reference"]]
    if order.occurred_us is None:
        row[_PLACE["occurred_at"]] = occurred_us = known[_PLACE["occurred_at"]]
    # What is taken back is taken back, also if it was before and came again.
    if enter(session, row, by="funding", force=not order.amount).outcome == "repeated":
        return FundingResult(entry_id, None, repeated=True)
    before = _Paid(
        known[_PLACE["asset"]],
        subtract(ZERO, Decimal(known[_PLACE["amount"]])),
        known[_PLACE["occurred_at"]],
    )
    after = _Paid(order.asset, order.amount, occurred_us)
    if (before.asset, before.occurred_us) == (after.asset, after.occurred_us):
        before, after = before._replace(amount=add(before.amount, after.amount)), after._replace(amount=ZERO)
    position = None
    for paid in (before, after):
        held = load_position(session, known[_PLACE["reference"]])
        position = _add(session, order, held, paid, "adjust") or position
    return FundingResult(entry_id, position, corrected=True)


class _Paid(NamedTuple):
    asset: str
    amount: Decimal
    occurred_us: int


def _add(
    session: WriteSession, order: FundingOrder, held: Held | None, paid: _Paid, kind: str
) -> Position | None:
    if held is None or paid.asset != order.whose.market.profit_asset or not paid.amount:
        return None
    state = apply_funding(held.state, paid.amount)
    event = change_event(kind, held.state, state, None)
    return present(keep_changed(session, held._replace(state=state), event, paid.occurred_us))
