"""Fills told differently, or taken back: everything that was counted of them is put right in one transaction."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from hybridstore.errors import NotFound
from hybridstore.hot.activity import note_activity
from hybridstore.hot.archived import Wanted, find_archived
from hybridstore.hot.commits import touches
from hybridstore.hot.fills import NO_ORDER
from hybridstore.hot.known import Stored
from hybridstore.hot.ledger import LEDGER_TOUCHES, enter
from hybridstore.hot.position_amends import amend_positions
from hybridstore.hot.position_fills import Addressee
from hybridstore.hot.position_rows import Position
from hybridstore.hot.positions import FillName
from hybridstore.hot.rows import correct_row, supersede_row
from hybridstore.hot.session import WriteSession
from hybridstore.hot.trade_rows import PLACE, CountedFill, FillResult, counted, decode_trade, realized_columns
from hybridstore.portfolio.activity import NONE, Activity, fill_activity, undo_activity
from hybridstore.portfolio.ledger import Entry, fill_entries, fill_reference
from hybridstore.portfolio.symbols import Market, parse_symbol
from hybridstore.schema.books import TRADES
from hybridstore.schema.types import money_text

FILL_TOUCHES = ("trades", "positions", "position_events", *LEDGER_TOUCHES)
_VOID = {
    "amount": "0", "quote_amount": "0", "fee": None, "fee_currency": None, "fee_in_quote": None, "fees": None
}  # fmt: skip


class Rebooked(NamedTuple):
    """A corrected fill.

    Attributes:
        row: Its stored columns since.
        position: The position that was amended; None where none was.
    """

    row: Stored
    position: Position | None


@touches(*FILL_TOUCHES)
def void_fill(
    session: WriteSession, account: str, symbol: str, trade_id: str, order_id: str | None
) -> FillResult:
    """Let a fill count nothing, as if it had never been; it stays, so that it is known when it is told again.

    Args:
        session: The write transaction.
        account: Whose.
        symbol: Its market.
        trade_id: Its id.
        order_id: Its order; None where it was told without one.

    Returns:
        The fill as it stands now, with the position that was amended.

    Raises:
        NotFound: There is no such fill.
        Claimed: Its day is just being archived.
        ArchiveNeeded: It must be looked up first whether it is archived.
    """
    key = (account, symbol, trade_id, order_id or NO_ORDER)
    found, archived = session.one("find_trades", key), False
    if found is None:
        rows = find_archived(session, TRADES, [Wanted(key, None)]).get(key)
        if not rows:
            raise NotFound(
                f"no fill {trade_id!r} of order {key[3]!r} on {symbol} of {account}",
                hint="give symbol, trade_id, order_id and account as the trades dataset has them",
            )
        found, archived = rows[0], True
    if all(found[PLACE[name]] == value for name, value in _VOID.items()):
        return FillResult(decode_trade(found), None, repeated=True)
    row = [_VOID.get(name, found[PLACE[name]]) for name in TRADES.column_names]
    named = {name: found[PLACE[name]] for name in ("strategy", "bot")}
    whose = Addressee(account, parse_symbol(symbol), side=found[PLACE["position_side"]], **named)
    booked = rebook(session, whose, found, row, archived=archived, counts=True)
    changed = tuple([name for name in _VOID if found[PLACE[name]] != _VOID[name]])
    return FillResult(decode_trade(booked.row), booked.position, corrected=changed)


def rebook(
    session: WriteSession, whose: Addressee, found: Stored, row: list[Any], *, archived: bool, counts: bool
) -> Rebooked:
    """Record a correction of a fill and put right what was counted of it.

    Args:
        session: The write transaction.
        whose: Which position the right fill is for, should it need another than it had.
        found: The stored columns as they are.
        row: The declared columns as they shall be.
        archived: Whether the row is archived.
        counts: Whether anything differs that is counted.

    Returns:
        The fill since.
    """
    position = None
    if counts:
        name = FillName(found[PLACE["trade_id"]], found[PLACE["order_id"]])
        old, new = counted(found), counted((found[0], *row))
        amended = amend_positions(session, whose, name, old, new, found[PLACE["position_id"]])
        position = amended.position
        columns = realized_columns(whose.market, new.price, amended.position_id, amended.realized, new.fees)
        row[:] = [columns.get(name, row[place]) for place, name in enumerate(TRADES.column_names)]
        new = new._replace(realized=amended.realized)
        _amend_entries(session, whose.account, whose.market, name, old, new)
        _amend_activity(session, whose.account, whose.market, old, new)
    if archived:
        supersede_row(session, TRADES, found, row)
    else:
        correct_row(session, TRADES, found, row)
    return Rebooked((found[0], *row), position)


def _amend_entries(
    session: WriteSession, account: str, market: Market, name: FillName, old: CountedFill, new: CountedFill
) -> None:
    assert name.trade_id is not None
    assert name.order_id is not None
    reference = fill_reference(market.symbol, name.trade_id, name.order_id)
    before, after = _entries(market, old), _entries(market, new)
    for leg in (*after, *(leg for leg in before if leg not in after)):
        entry = after[leg] if leg in after else before[leg]._replace(amount=Decimal(0))
        text = money_text(entry.amount, "amount")
        entered = [
            account,
            f"{reference}|{leg}",
            entry.type,
            entry.asset,
            text,
            reference,
            new.executed_us,
            None,
        ]
        enter(session, entered, by="fill", force=True)


def _entries(market: Market, fill: CountedFill) -> dict[str, Entry]:
    entries = fill_entries(market, fill.side, fill.amount, fill.quote_amount, fill.realized, fill.fees)
    return {entry.leg: entry for entry in entries}


def _amend_activity(
    session: WriteSession, account: str, market: Market, old: CountedFill, new: CountedFill
) -> None:
    for currency, activity in _activity(market, old).items():
        note_activity(session, account, currency, old.executed_us, undo_activity(NONE, activity))
    for currency, activity in _activity(market, new).items():
        note_activity(session, account, currency, new.executed_us, activity)


def _activity(market: Market, fill: CountedFill) -> dict[str, Activity]:
    return fill_activity(market, fill.price, fill.amount, fill.quote_amount, fill.realized, fill.fees)
