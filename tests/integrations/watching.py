"""What the suites of the bridge look at: rows of the store, and what will be true soon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hybridstore.aio import TradingBotStorageSystem
from tests.hot.books import rows

NEVER_S = 3600.0
"""A polling interval that does not end within a test."""
SOON_S = 0.01


def history(storage: TradingBotStorageSystem, account: str = "default") -> list[tuple[Any, ...]]:
    """Return (asset, balance, hold) of every row of an account, in the order they were recorded."""
    return rows(
        storage.store,
        "SELECT asset, balance, hold_trade FROM balance_history WHERE account = ? ORDER BY id",
        (account,),
    )


def trades(storage: TradingBotStorageSystem) -> list[tuple[Any, ...]]:
    """Return (symbol, trade id, side, price, amount) of every trade in the order they were recorded."""
    return rows(storage.store, "SELECT symbol, trade_id, side, price, amount FROM trades ORDER BY id")


async def open_positions(
    storage: TradingBotStorageSystem, account: str = "default"
) -> list[tuple[str, str, Decimal, Decimal]]:
    """Return (symbol, side, amount, entry price) of what is open."""
    found = await storage.get_open_positions(account)
    return [(each.symbol, each.side, each.amount, each.entry_price) for each in found]


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds; pytest-timeout ends a wait in vain."""
    while not condition():  # noqa: ASYNC110  what is waited for has no event of its own
        await asyncio.sleep(SOON_S)
