"""freqtrade's database as rows of the store: an order that was filled is told as one fill, flagged as synthetic.

freqtrade keeps figures as floats. Each is taken as the shortest decimal that means the same float, which is what
freqtrade itself computes with, so its own profits come out again. What it does not keep is listed as a loss.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.hot.foreign_rows import ForeignRow
from hybridstore.integrations.exchange.steps import Write
from hybridstore.integrations.importing.recording import Item
from hybridstore.integrations.importing.report import Loss
from hybridstore.portfolio.money import ZERO, multiply, round_money
from hybridstore.portfolio.symbols import parse_symbol

_FINAL = {"closed", "canceled", "expired", "rejected"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 17
"""Digits that a double may need; figures that need them are mostly the noise of a computation."""


class FtFill(NamedTuple):
    """What was filled of an order.

    Attributes:
        order_id: The exchange's id of the order.
        is_exit: Whether it made the trade smaller.
        side: buy or sell.
        price: In quote.
        amount: Units of base that were filled.
        fee_base: What of them was kept as a fee.
        fee_ratio: What freqtrade takes the fee to be, as a share of the cost.
        funding: What funding came to since the order before, received (+) or paid (-).
        at_us: When, us since 1970.
        tag: What the strategy called it.
    """

    order_id: str
    is_exit: bool
    side: str
    price: Decimal
    amount: Decimal
    fee_base: Decimal
    fee_ratio: Decimal
    funding: Decimal
    at_us: int
    tag: str | None


class FtTrade(NamedTuple):
    """A trade of freqtrade: a position from its first entry to its last exit.

    Attributes:
        row: Its columns.
        number: Its id in the database.
        symbol: The market.
        position_id: What its position is called in the store.
        fills: What was filled of its orders, as it happened.
        orders: Rows of its orders.
    """

    row: ForeignRow
    number: int
    symbol: str
    position_id: str
    fills: tuple[FtFill, ...]
    orders: tuple[ForeignRow, ...]


def decimal_of(value: object, column: str) -> Decimal:
    """Take a float of the database.

    Args:
        value: The float, an int, or None for zero.
        column: Its name, for messages.

    Returns:
        The shortest decimal that means it.

    Raises:
        InvalidValue: It is no number.
    """
    if value is None:
        return ZERO
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidValue(f"{column}={value!r}: no number")
    return Decimal(repr(value))


def moment_us(value: object, column: str) -> int:
    """Take a time of the database.

    Args:
        value: Text without a zone, which freqtrade means as UTC.
        column: Its name, for messages.

    Returns:
        us since 1970.

    Raises:
        InvalidValue: It is no time.
    """
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise InvalidValue(f"{column}={value!r}: no time") from None
    since = (found if found.tzinfo is not None else found.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def trades_of(rows: Mapping[str, Sequence[ForeignRow]], account: str) -> list[FtTrade]:
    """Put the trades of a database together with their orders.

    Args:
        rows: Rows by table.
        account: Whose books they go into.

    Returns:
        The trades.

    Raises:
        InvalidValue: A row is not what freqtrade writes; it is named.
    """
    by_trade: dict[int, list[ForeignRow]] = {}
    for order in rows["orders"]:
        by_trade.setdefault(order["ft_trade_id"], []).append(order)
    return [_trade(row, by_trade.get(row["id"], []), account) for row in rows["trades"]]


def _trade(row: ForeignRow, orders: list[ForeignRow], account: str) -> FtTrade:
    try:
        opened_us = moment_us(row["open_date"], "open_date")
        fills = [_fill(row, order) for order in orders if order.get("filled") and not order.get("ft_is_open")]
        if not orders:  # versions of freqtrade before 2021 kept none
            fills = _without_orders(row)
    except (InvalidValue, KeyError, TypeError) as error:
        raise InvalidValue(
            f"trade {row.get('id')}: {error}", hint="is this a database of freqtrade?"
        ) from error
    position_id = f"freqtrade-{account}-{row['id']}-{opened_us}"
    return FtTrade(row, row["id"], row["pair"], position_id, tuple(fills), tuple(orders))


def _entry_side(row: ForeignRow) -> str:
    return "sell" if row.get("is_short") else "buy"


def _fill(row: ForeignRow, order: ForeignRow) -> FtFill:
    is_exit = order["ft_order_side"] != _entry_side(row)
    price = next(
        (order[name] for name in ("average", "price", "stop_price", "ft_price") if order.get(name)), None
    )
    at = order.get("order_filled_date") or order.get("order_update_date") or order["order_date"]
    return FtFill(
        str(order["order_id"]),
        is_exit,
        ("buy" if _entry_side(row) == "sell" else "sell") if is_exit else _entry_side(row),
        decimal_of(price, "price"),
        decimal_of(order["filled"], "filled"),
        decimal_of(order.get("ft_fee_base"), "ft_fee_base"),
        decimal_of(row.get("fee_close" if is_exit else "fee_open"), "fee"),
        decimal_of(order.get("funding_fee"), "funding_fee"),
        moment_us(at, "order_filled_date"),
        order.get("ft_order_tag"),
    )


def _without_orders(row: ForeignRow) -> list[FtFill]:
    is_exit = False
    opened = FtFill(
        str(row.get("open_order_id") or f"entry-{row['id']}"), is_exit, _entry_side(row),
        decimal_of(row["open_rate"], "open_rate"), decimal_of(row["amount"], "amount"), ZERO,
        decimal_of(row.get("fee_open"), "fee_open"), ZERO, moment_us(row["open_date"], "open_date"),
        row.get("enter_tag") or row.get("buy_tag"),
    )  # fmt: skip
    if row.get("is_open") or not row.get("close_rate"):
        return [opened]
    return [
        opened,
        opened._replace(
            order_id=f"exit-{row['id']}",
            is_exit=True,
            side="buy" if opened.side == "sell" else "sell",
            price=decimal_of(row["close_rate"], "close_rate"),
            fee_ratio=decimal_of(row.get("fee_close"), "fee_close"),
            funding=decimal_of(row.get("funding_fees"), "funding_fees"),
            at_us=moment_us(row["close_date"], "close_date"),
            tag=row.get("exit_reason") or row.get("sell_reason"),
        ),
    ]


def items_of(trades: Sequence[FtTrade], tags: Mapping[str, Any]) -> list[Item]:
    """Return what is to be recorded, as it happened.

    Args:
        trades: The trades.
        tags: account and bot.

    Returns:
        Orders, funding and fills.
    """
    found: list[tuple[int, int, Item]] = []
    for trade in trades:
        own = {**tags, "strategy": trade.row.get("strategy")}
        found += [(_order_us(order), 0, _order_item(trade, order, own)) for order in trade.orders]
        for fill in trade.fills:
            part = f"trade {trade.number}, order {fill.order_id}"
            if (
                fill.funding
            ):  # what was paid until the fill belongs to what was held before it, but for the first
                place = 1 if fill is not trade.fills[0] else 3
                found.append((fill.at_us, place, Item("funding", part, _funding_write(trade, fill, own))))
            found.append((fill.at_us, 2, Item("fills", part, _fill_write(trade, fill, own))))
    return [item for _, _, item in sorted(found, key=lambda one: one[:2])]


def _order_us(order: ForeignRow) -> int:
    return moment_us(
        order.get("order_date") or order.get("order_update_date") or order.get("order_filled_date"), "date"
    )


def _fill_write(trade: FtTrade, fill: FtFill, tags: Mapping[str, Any]) -> Write:
    market = parse_symbol(trade.symbol)
    cost = round_money(multiply(fill.price, fill.amount))
    fee = (market.base, fill.fee_base) if fill.fee_base else (
        market.quote, round_money(multiply(cost, fill.fee_ratio))
    )  # fmt: skip
    told = {"freqtrade_trade": trade.number, "tag": fill.tag, "fee_ratio": str(fill.fee_ratio)}
    details = {
        **tags,
        "trade_id": f"order-{fill.order_id}",
        "synthetic_id": True,
        "order_id": fill.order_id,
        "fees": [fee],
        "quote_amount": cost,
        "position_id": trade.position_id,
        "executed_at": fill.at_us,
        "info": told,
    }
    return Write("record_fill", (trade.symbol, fill.side, fill.price, fill.amount), details)


def _funding_write(trade: FtTrade, fill: FtFill, tags: Mapping[str, Any]) -> Write:
    details = {
        **tags,
        "funding_id": f"freqtrade-{trade.number}-{fill.order_id}",
        "position_id": trade.position_id,
        "occurred_at": fill.at_us,
    }
    return Write("record_funding", (trade.symbol, fill.funding), details)


def _order_item(trade: FtTrade, order: ForeignRow, tags: Mapping[str, Any]) -> Item:
    status = str(order.get("status") or "")
    if status not in _FINAL:
        status = "open" if order.get("ft_is_open") else "canceled"
    filled = decimal_of(order.get("filled"), "filled")
    figures = {
        name: None if not order.get(column) else decimal_of(order[column], column)
        for name, column in (("price", "price"), ("average", "average"), ("trigger_price", "stop_price"))
    }
    columns = {
        **tags,
        **figures,
        "symbol": trade.symbol,
        "order_id": str(order["order_id"]),
        "side": order.get("side") or order["ft_order_side"],
        "type": order.get("order_type") or "unknown",
        "status": status,
        "amount": decimal_of(order.get("amount") or order.get("ft_amount"), "amount"),
        "filled": filled,
        "cost": round_money(multiply(figures["average"] or figures["price"] or ZERO, filled)),
        "created_at": _order_us(order),
        "updated_at": _moment(order, "order_update_date", "order_filled_date", "order_date"),
        "last_trade_at": _moment(order, "order_filled_date") if filled else None,
    }
    return Item(
        "orders", f"trade {trade.number}, order {order['order_id']}", Write("record_order", (), columns)
    )


def _moment(order: ForeignRow, *names: str) -> int | None:
    value = next((order[name] for name in names if order.get(name)), None)
    return None if value is None else moment_us(value, names[0])


def losses_of(trades: Sequence[FtTrade], rows: Mapping[str, Sequence[ForeignRow]]) -> Iterator[Loss]:
    """List what freqtrade's database does not hold.

    Args:
        trades: The trades.
        rows: Rows by table.

    Yields:
        Each kind of loss with how many rows it is about.
    """
    count: Counter[str] = Counter()
    for trade in trades:
        base, quote = parse_symbol(trade.symbol).base, parse_symbol(trade.symbol).quote
        count["without_orders"] += not trade.orders
        count["open_part"] += sum(
            bool(order.get("filled") and order.get("ft_is_open")) for order in trade.orders
        )
        paid_in = {trade.row.get("fee_open_currency"), trade.row.get("fee_close_currency")}
        count["third"] += bool(paid_in - {None, "", base, quote})
        count["interest"] += str(trade.row.get("trading_mode") or "").upper() == "MARGIN"
        count["running"] += bool(trade.row.get("is_open") and trade.row.get("funding_fee_running"))
        for fill in trade.fills:
            count["fills"] += 1
            count["ratio"] += not fill.fee_base
            count["noise"] += any(len(one.as_tuple().digits) >= _LONGEST for one in (fill.price, fill.amount))
    for name, what, said in _LOSSES:
        if count[name]:
            yield Loss(what, count[name], said)
    for table in ("pairlocks", "trade_custom_data", "wallet_history"):
        if rows[table]:
            yield Loss(table, len(rows[table]), "the store has no place for them; they are not imported")


_LOSSES = (
    ("fills", "fills", ("freqtrade keeps orders, not the exchange's fills: each order is one fill at its average "
     "price and its last moment, flagged synthetic_id; ids, parts, and maker or taker are lost")),
    ("ratio", "fees", ("the fee of an order is not kept: it is the trade's fee ratio of the cost, as freqtrade "
     "computes its profits")),
    ("third", "fees", ("fees were paid in a third asset; how much of it for each order is not kept, so they count in "
     "quote, and that asset's balance will not agree")),
    ("noise", "numbers", ("price or amount needs 17 digits: the float is all there is, its last digits are what "
     "computing with floats left")),
    ("without_orders", "orders", ("trades without orders, as old versions wrote them: one entry and one exit are made "
     "of the trade's own rates")),
    ("open_part", "fills", "orders that are still open were filled in part; the fill is imported when they are done"),
    ("interest", "interest", "margin interest is not kept by order; it is in freqtrade's profit and not in the books"),
    ("running", "funding", "funding since the last order of an open trade is attributed with its next"),
)  # fmt: skip
"""Name of the count, what it is about, and what is said of it."""
