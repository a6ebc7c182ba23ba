"""The bot's own fills: the trade, its ledger entries and its effect on a position, in one transaction."""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal
from typing import Any

from hybridstore.hot.archived import Wanted, find_archived
from hybridstore.hot.balances import DEFAULT_ACCOUNT
from hybridstore.hot.commits import touches
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.fills import NO_ORDER, FillOrder
from hybridstore.hot.known import Key, Stored
from hybridstore.hot.position_rows import Position
from hybridstore.hot.positions import FillEffect, fill_position
from hybridstore.hot.rows import correct_row, is_old_version, key_of, supersede_row
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.ledger import fill_entries, fill_reference
from hybridstore.records import Record
from hybridstore.schema.books import TRADES
from hybridstore.schema.types import moment, money_text

COUNTED = frozenset(
    {"side", "price", "amount", "contract_size", "quote_amount", "fee", "fee_currency", "fees"}
)
"""What ledger entries and positions are computed from."""
_PLACE = {name: place for place, name in enumerate(TRADES.stored_names)}
_SAME = ("side", "price", "amount")
_log = logging.getLogger("hybridstore")


class Trade(Record, frozen=True, gc=False):
    """One of the bot's own fills, as recorded.

    Attributes:
        account: Whose.
        symbol: The market.
        trade_id: The exchange's id, or a generated one.
        order_id: The order it filled; "-" where none was named.
        synthetic_id: Whether trade_id was generated here.
        side: buy or sell.
        price: In quote.
        amount: Units of base, or contracts.
        contract_size: Units a contract.
        quote_amount: Exact notional in quote.
        fee: The fee where there was one; None for none or several.
        fee_currency: Its asset.
        fee_in_quote: All fees in quote; None where one is in a third asset.
        realized_pnl: Realised by it, gross, in the settle asset; None where it changed no position.
        position_id: The position it changed.
        strategy: The strategy that acted.
        bot: The bot that acted.
        executed_at: When, UTC.
        recorded_at: When the store took it, UTC.
    """

    account: str
    symbol: str
    trade_id: str
    order_id: str
    synthetic_id: bool
    side: str
    price: Decimal
    amount: Decimal
    contract_size: Decimal
    quote_amount: Decimal
    fee: Decimal | None
    fee_currency: str | None
    fee_in_quote: Decimal | None
    realized_pnl: Decimal | None
    position_id: str | None
    strategy: str | None
    bot: str | None
    executed_at: datetime
    recorded_at: datetime


class FillResult(Record, frozen=True, gc=False):
    """What recording a fill did.

    Attributes:
        trade: The fill as it stands in the books.
        position: The position it changed, as it is now; None where it changed none.
        repeated: Whether the fill was known before; then nothing else was changed.
        corrected: Columns of a known fill that were told differently this time. The trade was changed and its old
            version kept, but ledger and position still count what was told first: where one of :data:`COUNTED` is
            among them, put them right by hand (an ``adjust`` entry in the ledger). A warning is logged, too.
    """

    trade: Trade
    position: Position | None
    repeated: bool = False
    corrected: tuple[str, ...] = ()


@touches("trades", "ledger", "positions", "position_events")
def write_fill(session: WriteSession, order: FillOrder) -> FillResult:
    """Record a fill once: trade, ledger entries, position.

    A fill that is known (same account, symbol, trade id and order id) changes nothing; with another content it is
    recorded as a correction of the trade, the old version is kept, and the ledger and the position stay as they were
    (see FillResult.corrected). Told once with its order and once without, it is the same fill if side, price and
    amount agree; the trade keeps the order id it was told with first. Only an archived fill that was told with its
    order is not known again without it.

    Args:
        session: The write transaction.
        order: The checked fill.

    Returns:
        What it did.
    """
    columns = order.columns
    key = (order.account, order.market.symbol, order.trade_id, columns["order_id"])
    if not columns["synthetic_id"]:
        found, archived = _find(session, order, key)
        if found is not None:
            return _known(session, order, found, archived=archived)
    executed_us = session.ts_us
    if order.executed_us is not None:
        executed_us = session.timely(order.executed_us, "executed_at")
    effect = fill_position(
        session,
        order.account,
        order.market.symbol,
        FillInput(
            order.side,
            order.price,
            order.amount,
            order.contract_size,
            order.inverse,
            order.totals.known_in_quote,
            order.totals.in_base,
            None if order.inverse else order.quote_amount,
        ),
        position_id=order.position_id,
        trade_id=order.trade_id,
        occurred_us=executed_us,
        strategy=columns["strategy"],
        bot=columns["bot"],
    )
    stored = _stored(columns, effect, executed_us, session.ts_us)
    session.execute(session.sql["insert_trades"], stored)
    reference = fill_reference(order.market.symbol, order.trade_id, columns["order_id"])
    for entry in fill_entries(
        order.market, order.side, order.amount, order.quote_amount, effect.realized, order.fees
    ):
        session.defer(
            "insert_ledger",
            (order.account, f"{reference}|{entry.leg}", entry.type, entry.asset, money_text(entry.amount, "amount"),
             reference, executed_us, session.ts_us),
        )  # fmt: skip
    return FillResult(decode_trade((0, *stored)), effect.position)


def _stored(columns: dict[str, Any], effect: FillEffect, executed_us: int, ts_us: int) -> list[Any]:
    computed = {
        "realized_pnl": None if effect.position_id is None else money_text(effect.realized, "realized_pnl"),
        "position_id": effect.position_id,
        "executed_at": executed_us,
        "recorded_at": ts_us,
    }
    return [computed[name] if name in computed else columns[name] for name in TRADES.column_names]


def _find(session: WriteSession, order: FillOrder, key: Key) -> tuple[Stored | None, bool]:
    """Find what is known of a fill, under its own key first; say whether it is archived."""
    hot: list[Any] = session.execute(session.sql["trades_of_id"], key[:3]).fetchall()
    for row in hot:
        if row[_PLACE["order_id"]] == key[3]:
            return row, False
    keys = [key] if key[3] == NO_ORDER else [key, (*key[:3], NO_ORDER)]
    archived = find_archived(session, TRADES, [Wanted(one, order.executed_us) for one in keys])
    if key in archived:
        return archived[key][0], True
    for row in hot:
        if NO_ORDER in (key[3], row[_PLACE["order_id"]]) and _is_same(order, row):
            return row, False
    for rows in archived.values():
        if _is_same(order, rows[0]):
            return rows[0], True
    return None, False


def _is_same(order: FillOrder, row: Stored) -> bool:
    return all(row[_PLACE[name]] == order.columns[name] for name in _SAME)


def _known(session: WriteSession, order: FillOrder, found: Stored, *, archived: bool) -> FillResult:
    given = {**order.columns, "order_id": found[_PLACE["order_id"]]}
    if order.executed_us is not None:
        given["executed_at"] = order.executed_us
    if given["fee"] is None and given["fees"] is None:
        given["fee_in_quote"] = None
    # What is not said this time is not taken back, and the exchange words its own record anew on every channel.
    changed = {
        name: value
        for name, value in given.items()
        if value is not None
        and found[_PLACE[name]] != value
        and (name != "info" or found[_PLACE[name]] is None)
    }
    if changed:
        row = [changed.get(name, found[_PLACE[name]]) for name in TRADES.column_names]
        said = {name: value for name, value in given.items() if value is not None and name != "info"}
        if is_old_version(session, TRADES, key_of(TRADES, row), said):
            changed = {}
        elif archived:
            supersede_row(session, TRADES, found, row)
            found = (found[0], *row)
        else:
            correct_row(session, TRADES, found, row)
            found = (found[0], *row)
    return FillResult(decode_trade(found), None, repeated=not changed, corrected=tuple(changed))


def warned(result: FillResult) -> FillResult:
    """Log what a correction did not put right.

    Args:
        result: What recording a fill did.

    Returns:
        The same.
    """
    counted = sorted(COUNTED.intersection(result.corrected))
    if counted:
        trade = result.trade
        _log.warning(
            "fill %r of %s on %s was corrected (%s): ledger and position still count what was told first",
            trade.trade_id,
            trade.account,
            trade.symbol,
            ", ".join(counted),
        )
    return result


def decode_trade(row: tuple[Any, ...]) -> Trade:
    """Turn a row of ``trades`` into a record.

    Args:
        row: The stored columns.

    Returns:
        The record.
    """
    fields = {name: row[_PLACE[name]] for name in Trade.__struct_fields__}
    for name in ("price", "amount", "contract_size", "quote_amount", "fee", "fee_in_quote", "realized_pnl"):
        if fields[name] is not None:
            fields[name] = Decimal(fields[name])
    fields["synthetic_id"] = bool(fields["synthetic_id"])
    for name in ("executed_at", "recorded_at"):
        fields[name] = moment(fields[name])
    return Trade(**fields)


class TradeReader:
    """Point reads of the bot's own fills; they run inline, in any thread.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    def archived(self) -> bool:
        """Say whether some fills are archived, so that the hot store does not know all."""
        return bool(self._database.readers.rows(self._database.statements["archived_until"], (TRADES.name,)))

    def last(self, symbol: str, account: str = DEFAULT_ACCOUNT) -> Trade | None:
        """Return the fill of a market that was executed last, if the hot store can tell.

        Args:
            symbol: The market.
            account: Whose.

        Returns:
            The fill; None where the hot store holds none, or only one so old that a later one may be archived.
        """
        database = self._database
        timeout_ms = database.config.position_query_timeout
        rows = database.readers.rows(database.statements["last_trade"], (account, symbol), timeout_ms)
        return database.cache.record(("trade", account, symbol), rows[0], decode_trade) if rows else None
