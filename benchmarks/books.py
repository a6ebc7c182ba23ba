"""A bot's books to read from: balances, open positions, orders, fills and marks of a hundred markets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from benchmarks.workload import ACCOUNT, asset_name, balance_tuples
from hybridstore.store import HybridStore

FILLS = 3
_UPDATES = 100
"""Balance updates an asset."""


class Books(NamedTuple):
    """What is in the books, in the order of the markets.

    Attributes:
        assets: Those with a balance.
        symbols: One market of each asset, with a mark.
        position_ids: The open positions, in the first of the markets.
        order_ids: The orders, in the same.
    """

    assets: list[str]
    symbols: list[str]
    position_ids: list[str]
    order_ids: list[str]


def record_books(store: HybridStore, count: int, traded: int | None = None) -> Books:
    """Fill an open store.

    Args:
        store: The store.
        count: How many assets and markets with a mark.
        traded: In how many of the markets there are a position, an order and fills; None means in all.

    Returns:
        What is in its books now.
    """
    assets = [asset_name(number) for number in range(count)]
    books = Books(assets, [f"{asset}/USDT" for asset in assets], [], [])
    store.batch_update_balances(balance_tuples(count * _UPDATES, count))
    store.record_marks([{"symbol": symbol, "bid": "100.25", "ask": "100.5"} for symbol in books.symbols])
    for number, symbol in enumerate(books.symbols[:traded]):
        order_id = f"order-{number:05d}"
        price = Decimal(10_000 + number).scaleb(-2)
        store.record_order(
            symbol=symbol, order_id=order_id, client_order_id=f"c-{number}", side="buy", type="limit",
            time_in_force="GTC", status="open", price=price, amount="1.5", durability="normal",
        )  # fmt: skip
        for fill in range(FILLS):
            done = store.record_fill(
                symbol, "buy", price, "0.25", trade_id=f"{number}-{fill}", order_id=order_id, fee="0.01",
                fee_currency="USDT", liquidity="maker", durability="normal",
            )  # fmt: skip
        assert done.position is not None
        books.position_ids.append(done.position.position_id)
        books.order_ids.append(order_id)
    return books


def account_of(*rest: Any) -> tuple[Any, ...]:
    """Return a key that begins with the account whose books these are."""
    return (ACCOUNT, *rest)
