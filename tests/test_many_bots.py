"""Several bots, accounts and exchanges on one store: each finds what it would find alone."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.store import HybridStore

BOTS = ("grid", "trend", "arbitrage", "market-maker")
ACCOUNTS = tuple(
    f"{exchange}/{name}" for exchange in ("binance", "kraken", "okx") for name in ("main", "sub")
)
SYMBOLS = ("BTC/USDT", "BTC/USDT:USDT", "ETH/USD:ETH")
START_US = 1_785_585_600_000_000
STEPS = 40
OWN_COLUMNS = {
    "trades": "* EXCLUDE (id, position_id, recorded_at)",
    "orders": "* EXCLUDE (id, recorded_at)",
    "order_events": "* EXCLUDE (id, recorded_at)",
    "positions": "* EXCLUDE (id, position_id, recorded_at)",
}
"""What a row says, without the numbers and times that the store gives it."""


def script(bot: str, seed: int) -> list[tuple[str, str, tuple[Any, ...], dict[str, Any]]]:
    """Draw what a bot does on all of its accounts: account, method, arguments."""
    rng = random.Random(f"{bot}{seed}")
    steps: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = []
    for number in range(STEPS):
        at_us = START_US + number * 1_000_000
        for account in ACCOUNTS:
            symbol, side = rng.choice(SYMBOLS), rng.choice(("buy", "sell"))
            price, amount = Decimal(rng.randrange(100, 200)), Decimal(rng.randrange(1, 9))
            order_id, details = f"{bot}-{number}", {"fee": Decimal(rng.randrange(-2, 5)) / 100}
            steps.append(
                (account, "record_fill", (symbol, side, price, amount),
                 {"trade_id": f"{bot}-{number}", "order_id": order_id, "executed_at": at_us, **details})
            )  # fmt: skip
            order = {"symbol": symbol, "order_id": order_id, "side": side, "type": "limit", "amount": amount}
            for status, filled, later_us in (("open", 0, 0), ("closed", amount, 5)):
                state = {**order, "status": status, "filled": filled, "updated_at": at_us + later_us}
                steps.append((account, "record_order", (), state))
            balance = (f"{bot}-coin", Decimal(rng.randrange(1000)), 0, "websocket")
            steps.append((account, "record_balance_update", balance, {"changed_at": at_us}))
    return steps


async def run_bot(storage: TradingBotStorageSystem, bot: str, seed: int) -> None:
    views = {
        account: storage.for_bot(bot, account=account, strategy=f"{bot}-strategy") for account in ACCOUNTS
    }
    for account, method, arguments, details in script(bot, seed):
        await getattr(views[account], method)(*arguments, **details)


async def run_bots(root: Path, bots: tuple[str, ...], seed: int) -> None:
    async with TradingBotStorageSystem(root, maintenance="off") as storage:
        await asyncio.gather(*(run_bot(storage, bot, seed) for bot in bots))


def rows_of(root: Path, bot: str) -> dict[str, list[Any]]:
    with HybridStore(root) as store:
        found: dict[str, list[Any]] = {
            name: sorted(
                store.sql(f"SELECT {columns} FROM {name} WHERE bot = $bot", bot=bot).rows(),
                key=repr,
            )
            for name, columns in OWN_COLUMNS.items()
        }
        found["ledger"] = sorted(
            store.sql(
                "SELECT * EXCLUDE (id, recorded_at) FROM ledger WHERE contains(reference, $bot)",
                bot=f"|{bot}-",
            ).rows(),
            key=repr,
        )
        found["position_events"] = sorted(
            store.sql(
                "SELECT e.* EXCLUDE (id, position_id, recorded_at) FROM position_events e "
                "JOIN positions USING (position_id) WHERE bot = $bot",
                bot=bot,
            ).rows(),
            key=repr,
        )
        found["balance_history"] = sorted(
            store.sql(
                "SELECT * EXCLUDE (id, recorded_at) FROM balance_history WHERE asset = $asset",
                asset=f"{bot}-coin",
            ).rows(),
            key=repr,
        )
    return found


def test_each_bots_rows_are_those_of_its_run_alone(tmp_path: Path, seed: int) -> None:
    asyncio.run(run_bots(tmp_path / "together", BOTS, seed))
    for bot in BOTS:
        asyncio.run(run_bots(tmp_path / bot, (bot,), seed))
        together, alone = rows_of(tmp_path / "together", bot), rows_of(tmp_path / bot, bot)
        assert together == alone
        assert len(alone["trades"]) == STEPS * len(ACCOUNTS)
        assert all(alone.values()), "a comparison of nothing proves nothing"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with HybridStore(tmp_path) as opened:
        yield opened


def test_a_bot_sees_its_own_positions_and_orders(store: HybridStore) -> None:
    grid = store.for_bot("grid", account="kraken/main", strategy="wide")
    trend = store.for_bot("trend", account="kraken/main")
    grid.record_fill("BTC/USDT:USDT", "buy", 100, 2)
    trend.record_fill("BTC/USDT:USDT", "sell", 100, 2)
    for bot, side in ((grid, "LONG"), (trend, "SHORT")):
        (position,) = bot.get_open_positions()
        assert (position.side, position.amount, position.bot) == (side, 2, bot.bot)
    assert len(store.get_open_positions("kraken/main")) == 2
    grid.record_order(symbol="BTC/USDT", order_id="1", side="buy", type="limit", status="open", amount=1)
    assert [order.strategy for order in grid.get_open_orders()] == ["wide"]
    assert trend.get_open_orders() == []
    assert trend.get_order("BTC/USDT", "1") is not None, "an order is found by whoever knows its id"
    assert grid.scan("trades").collect()["side"].to_list() == ["buy"]
    assert grid.scan("balance_history").collect().is_empty()


def test_a_balance_is_the_accounts(store: HybridStore) -> None:
    grid = store.for_bot("grid", account="kraken/main")
    grid.record_balance_update("BTC", 1)
    assert grid.batch_update_balances([{"asset": "ETH", "balance": 2}]) == 1
    trend = store.for_bot("trend", account="kraken/main")
    assert trend.get_latest_balance("BTC").balance == 1
    assert [balance.asset for balance in trend.get_all_balances()] == ["BTC", "ETH"]
    assert store.get_all_balances() == []


def test_a_fill_of_nobody_changes_the_only_position_there_is(store: HybridStore) -> None:
    grid = store.for_bot("grid")
    grid.create_position("p1", "BTC/USDT:USDT", "LONG", 2, 100)
    assert store.record_fill("BTC/USDT:USDT", "sell", 100, 1).position is not None
    (position,) = grid.get_open_positions()
    assert position.amount == 1


async def test_on_an_event_loop_they_are_awaited(tmp_path: Path) -> None:
    async with TradingBotStorageSystem(tmp_path, maintenance="off") as storage:
        grid = storage.for_bot("grid")
        await grid.record_fill("BTC/USDT:USDT", "buy", 100, 2)
        assert [position.amount for position in await grid.get_open_positions()] == [2]
        assert await grid.get_open_orders() == []
        assert (await grid.scan("trades")).collect()["bot"].to_list() == ["grid"]


def test_a_bot_follows_its_own_events(store: HybridStore) -> None:
    for bot in ("grid", "trend"):
        store.for_bot(bot, account="kraken/main").record_fill("BTC/USDT:USDT", "buy", 100, 2)
    store.for_bot("grid", account="kraken/sub").record_fill("BTC/USDT:USDT", "buy", 100, 2)
    view = store.for_bot("grid", account="kraken/main")
    with view.subscribe(from_start=True, timeout_s=0) as events:
        told = [(event.dataset, event.row["bot"], event.row["account"]) for event in events]
    assert told == [("trades", "grid", "kraken/main")]
