"""Balances of a dozen exchanges, in the fields each of them has, through the bridge: nothing that was told is lost."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.hot.balances import told_of
from hybridstore.integrations.bridge import StorageIntegrationBridge

Told = dict[str, str | None]
"""total, free, used, debt as they were told; what is not named was not."""
EXCHANGES: dict[str, tuple[Any, Told, dict[str, str]]] = {
    "binance spot": ([{"asset": "BTC", "free": "1.5", "locked": "0.5"}], {"free": "1.5", "used": "0.5"}, {}),
    "binance margin": (
        [{"asset": "BTC", "borrowed": "0.25", "free": "1.5", "interest": "0.00000001", "locked": "0.5",
          "netAsset": "1.74999999"}],
        {"free": "1.5", "used": "0.5", "debt": "0.25"},
        {"interest": "0.00000001", "netAsset": "1.74999999"},
    ),
    "okx": (
        [{"ccy": "BTC", "cashBal": "2", "availBal": "1.5", "frozenBal": "0.5", "liab": "0.1", "interest": "0.001",
          "upl": "-0.25"}],
        {"total": "2", "free": "1.5", "used": "0.5", "debt": "0.1"},
        {"interest": "0.001", "upl": "-0.25"},
    ),
    "bybit unified": (
        [{"coin": "BTC", "walletBalance": "2", "locked": "0.5", "availableToWithdraw": "", "accruedInterest": "0.002"}],
        {"total": "2", "used": "0.5"},
        {"accruedInterest": "0.002"},
    ),
    "kraken": ({"BTC": {"balance": "2.0000000000", "hold_trade": "0.5"}}, {"total": "2", "used": "0.5"}, {}),
    "kucoin": (
        [{"currency": "BTC", "balance": "2", "available": "1.5", "holds": "0.5"}],
        {"total": "2", "free": "1.5"},
        {"holds": "0.5"},
    ),
    "gate": ([{"currency": "BTC", "available": "1.5", "locked": "0.5"}], {"free": "1.5", "used": "0.5"}, {}),
    "bitstamp": (
        [{"currency": "BTC", "total": "2", "available": "1.25", "reserved": "0.5"}],
        {"total": "2", "free": "1.25", "used": "0.5"},
        {},
    ),
    "hyperliquid spot": (
        [{"coin": "BTC", "total": "2.0", "hold": "0.5", "entryNtl": "90000.5"}],
        {"total": "2", "used": "0.5"},
        {"entryNtl": "90000.5"},
    ),
    "bitget": (
        [{"coin": "BTC", "available": "1.5", "frozen": "0.5", "limitAvailable": "0"}],
        {"free": "1.5", "used": "0.5"},
        {"limitAvailable": "0"},
    ),
    "deribit": (
        [{"currency": "BTC", "balance": "2", "margin_balance": "1.75"}],
        {"total": "2", "used": "0"},  # nobody speaks of parts: a bare total, as of record_balance_update
        {"margin_balance": "1.75"},
    ),
    "ccxt, only free": ({"BTC": {"free": "1.5", "used": None, "total": None}}, {"free": "1.5"}, {}),
    "ccxt, only total": ({"BTC": {"free": None, "used": None, "total": "2"}}, {"total": "2"}, {}),
    "ccxt, no used": ({"BTC": {"free": "1.5", "used": None, "total": "2"}}, {"free": "1.5", "total": "2"}, {}),
    "ccxt, with debt": (
        {"BTC": {"free": "-0.5", "used": "0", "total": "-0.5", "debt": "0.5"}},
        {"free": "-0.5", "used": "0", "total": "-0.5", "debt": "0.5"},
        {},
    ),
}  # fmt: skip


class Manager:
    """A balance manager that is told balances and keeps none."""

    def update_balances(self, balances: object) -> None:
        """Take balances."""


@pytest.mark.parametrize("name", EXCHANGES)
async def test_what_an_exchange_tells_is_all_there(tmp_path: Path, name: str) -> None:
    shape, told, more = EXCHANGES[name]
    manager = Manager()
    async with TradingBotStorageSystem(tmp_path, maintenance="off") as storage:
        bridge = StorageIntegrationBridge(storage)
        await bridge.integrate_with_balance_manager(manager)
        manager.update_balances(shape)
        await bridge.close()
        question = (
            "SELECT balance, hold_trade, available, debt, reported FROM balance_history WHERE asset = 'BTC'"
        )
        (row,) = (await storage.sql(question)).rows()
    found = told_of(dict(zip(("balance", "hold_trade", "available", "debt", "reported"), row, strict=True)))
    expected = {part: None if told.get(part) is None else Decimal(str(told[part])) for part in found}
    if "free" not in told and expected["total"] is not None and expected["used"] is not None:
        expected["free"] = expected["total"] - expected["used"]  # it follows
    assert found == expected
    kept = {} if row[4] is None else json.loads(row[4])
    assert {part: amount for part, amount in kept.items() if part in more} == more


async def test_recorded_balances_of_binance_are_all_there(tmp_path: Path, test_data: Path) -> None:
    parsed = json.loads((test_data / "ccxt_parsed/binance_balance.json").read_text(encoding="utf-8"))[
        "parsed"
    ]
    manager = Manager()
    async with TradingBotStorageSystem(tmp_path, maintenance="off") as storage:
        bridge = StorageIntegrationBridge(storage)
        await bridge.integrate_with_balance_manager(manager)
        manager.update_balances(parsed)
        await bridge.close()
        question = "SELECT asset, balance, hold_trade, available, debt, reported FROM balance_history"
        rows = (await storage.sql(question)).rows()
    names = ("balance", "hold_trade", "available", "debt", "reported")
    found = {row[0]: told_of(dict(zip(names, row[1:], strict=True))) for row in rows}
    entries = {asset: entry for asset, entry in parsed.items() if isinstance(entry, dict) and "used" in entry}
    assert len(entries) > 100
    for asset, entry in entries.items():
        told = {part: None if entry.get(part) is None else Decimal(entry[part]) for part in found[asset]}
        assert found[asset] == told
