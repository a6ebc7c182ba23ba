"""Recorded balances of exchanges through the bridge, hot and archived: nothing that was told of an asset is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.balance_updates import PARTS, told_of
from hybridstore.integrations.bridge import StorageIntegrationBridge
from hybridstore.integrations.fields import plain

RECORDED: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "recorded_balances.json").read_text(encoding="utf-8"), parse_float=Decimal
)
"""Responses of exchanges, cut to a few assets, and the same as ccxt has them (unified)."""
CASES = {
    f"{exchange}, {record['what']}, {kind}": record[kind]
    for exchange, records in RECORDED.items()
    for record in records
    for kind in ("raw", "unified")
    if record[kind] is not None
}
_NAMES = ("asset", "coin", "ccy", "currency", "symbol", "token", "asset_symbol")
_COLUMNS = ("asset", *PARTS.values(), "told", "reported", "changed_at", "id")
NOT_READ = {
    "binance, portfolio margin, borrowed and interest on USDT and USDC, raw",  # several balances by names of their own
    "binance, portfolio margin, linear part only, raw",
    "bitmart, spot wallet, id is the symbol, raw",
    "dydx, subaccount, equity and free collateral, no assets, raw",  # names no asset, as the next
    "hyperliquid, perpetuals, withdrawable below account value, raw",
    "kucoin, isolated margin, unified form keyed by pair, unified",
    "paradex, perpetuals account, only a size, raw",
    "phemex, spot account, integers scaled by 1e8, raw",
    "phemex, USDT futures account (first of several positions), raw",
    "woofipro, perpetuals account, bare numbers, frozen part, raw",
}
"""What is no balance by any usual name: nothing is made up of it, and the bridge counts it as ignored."""
IN_PARTS = {"coinbase, wallets, one coin in two wallets (staked and plain), raw"}
"""Where amount and asset are in a part of the entry: what is around that part is not kept."""


class Manager:
    """A balance manager that is told balances and keeps none."""

    def update_balances(self, balances: object) -> None:
        """Take balances."""


async def stored(root: Path, *messages: Any) -> tuple[list[dict[str, Any]], int]:
    """Tell messages and archive them; return the rows of the history in the order told, and what was ignored."""
    manager, clock = Manager(), ManualClock(1_790_000_000_000_000)
    question = f"SELECT {', '.join(_COLUMNS)} FROM balance_history ORDER BY id"
    async with TradingBotStorageSystem(root, clock=clock, maintenance="off") as storage:
        bridge = StorageIntegrationBridge(storage)
        integration = await bridge.integrate_with_balance_manager(manager)
        for message in messages:
            manager.update_balances(message)
        await bridge.close()
        assert integration.errors == 0
        hot = (await storage.sql(question)).rows()
        clock.advance(30 * DAY_US)
        assert storage.store.retention.run().rows == len(hot)
        assert (await storage.sql(question)).rows() == hot, "archived they are the same"
    return [dict(zip(_COLUMNS, row, strict=True)) for row in hot], integration.ignored


def entries(message: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Find (asset, entry) wherever an entry names its asset."""
    if isinstance(message, list):
        for item in message:
            yield from entries(item)
    elif isinstance(message, dict):
        inside = [found for item in message.values() for found in entries(item)]
        names = [message[name] for name in _NAMES if isinstance(message.get(name), str)]
        yield from inside or [(name, message) for name in names[:1]]


def as_text(value: Any) -> Any:
    """Return a value as it is kept: amounts as plain text."""
    if isinstance(value, dict):
        return {name: as_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return f"{Decimal(value):f}"
    return value


def is_there(name: str, value: Any, row: Mapping[str, Any]) -> bool:
    """Return whether a field of an entry can be read from its row."""
    kept = {} if row["reported"] is None else json.loads(row["reported"])
    if name in kept:
        return bool(kept[name] == as_text(value) or Decimal(kept[name]) == Decimal(value))
    if value is None or value == row["asset"]:
        return True
    if "time" in plain(name) or name == "updated_at":
        return True  # the moment of the row
    return Decimal(value) in told_of(row).values()


@pytest.mark.parametrize("name", sorted(name for name in CASES if name.endswith("raw")))
async def test_what_an_exchange_tells_is_all_there(tmp_path: Path, name: str) -> None:
    message = CASES[name]
    rows, ignored = await stored(tmp_path, message)
    if name in NOT_READ:
        assert (rows, ignored) == ([], 1)
        return
    found = list(entries(message))
    assert [row["asset"] for row in rows] == [asset for asset, _ in found] or name in IN_PARTS
    if name in IN_PARTS:
        return
    for row, (_, entry) in zip(rows, found, strict=True):
        lost = {field: value for field, value in entry.items() if not is_there(field, value, row)}
        assert lost == {}


@pytest.mark.parametrize("name", sorted(name for name in CASES if name.endswith("unified")))
async def test_the_unified_form_is_all_there(tmp_path: Path, name: str) -> None:
    message = CASES[name]
    rows, ignored = await stored(tmp_path, message)
    if name in NOT_READ:
        assert (rows, ignored) == ([], 1)
        return
    told = {asset: entry for asset, entry in message.items() if isinstance(entry, dict) and asset.isupper()}
    assert [row["asset"] for row in rows] == list(told)
    for row in rows:
        entry = told[row["asset"]]
        expected = {part: None if entry.get(part) is None else Decimal(entry[part]) for part in PARTS}
        assert told_of(row) == expected
        assert set(entry) - set(PARTS) == set(json.loads(row["reported"] or "{}"))


def test_ten_exchanges_were_recorded() -> None:
    read = {name.partition(",")[0] for name in CASES if name.endswith("raw")} - {
        name.partition(",")[0] for name in NOT_READ | IN_PARTS if name.endswith("raw")
    }
    assert len(read) >= 10, "each in the fields of its own"
    assert len({name.partition(",")[0] for name in CASES}) == 18


COLUMNS = {"free": {"BTC": "1"}, "used": {"BTC": None, "ETH": "2"}, "total": {}, "debt": {"XRP": "3"}}
SHAPES: list[tuple[Any, dict[str, dict[str, str]], dict[str, Any]]] = [
    (COLUMNS, {"BTC": {"free": "1"}, "ETH": {"used": "2"}, "XRP": {"debt": "3"}}, {}),
    ({"BTC": {"used": 1}, "ETH": {"debt": 5}}, {"BTC": {"used": "1"}, "ETH": {"debt": "5"}}, {}),
    ({"BTC": {"free": None, "used": None, "total": "2"}}, {"BTC": {"total": "2"}}, {}),
    ({"BTC": {"free": "-0.5", "used": "0", "total": "-0.5", "debt": "0.5"}},
     {"BTC": {"free": "-0.5", "used": "0", "total": "-0.5", "debt": "0.5"}}, {}),
    ([{"asset": "BTC", "walletBalance": "2", "equity": "3", "locked": "1", "frozen": "4", "note2": None}],
     {"BTC": {"total": "2", "used": "1"}}, {"equity": "3", "frozen": "4", "note2": None}),
    ([{"asset": "BTC", "free": "2", "total": "", "nan": float("nan"), "rate": "1e-7", "nested": {"a": [1]}}],
     {"BTC": {"free": "2"}}, {"total": "", "nan": "nan", "rate": "1e-7", "nested": {"a": ["1"]}}),
    ({"e": "outboundAccountPosition", "E": 1709654400000, "T": 1, "B": [{"a": "ETH", "f": "5", "l": "0.5"}]},
     {"ETH": {"free": "5", "used": "0.5"}}, {}),
    ({"accounts": [{"currency": "BTC", "available_balance": {"value": "1.5", "currency": "BTC"},
                    "hold": {"value": "0.5", "currency": "BTC"}, "deleted_at": None}]},
     {"BTC": {"free": "1.5", "used": "0.5"}}, {"deleted_at": None}),
    ({"BTC": 2, "T": 3, "XBt": 4, "stETH": 5, "totalEquity": 9},
     {"BTC": {"total": "2"}, "T": {"total": "3"}, "XBt": {"total": "4"}, "stETH": {"total": "5"}}, {}),
]  # fmt: skip
"""What no recording has: a message, what it tells by asset, and what else it tells of each."""


@pytest.mark.parametrize(("message", "told", "more"), SHAPES, ids=range(len(SHAPES)))
async def test_other_shapes_are_all_there(
    tmp_path: Path, message: Any, told: dict[str, dict[str, str]], more: dict[str, Any]
) -> None:
    rows, ignored = await stored(tmp_path, message)
    assert ignored == 0
    found = {row["asset"]: told_of(row) for row in rows}
    assert found == {
        asset: {part: Decimal(parts[part]) if part in parts else None for part in PARTS}
        for asset, parts in told.items()
    }
    assert [row["reported"] and json.loads(row["reported"]) for row in rows] == [more or None for _ in rows]


async def test_recorded_balances_of_binance_are_all_there(tmp_path: Path, test_data: Path) -> None:
    text = (test_data / "ccxt_parsed/binance_balance.json").read_text(encoding="utf-8")
    parsed = json.loads(text)["parsed"]
    rows, _ = await stored(tmp_path, parsed)
    told = {asset: entry for asset, entry in parsed.items() if isinstance(entry, dict) and "used" in entry}
    assert len(told) > 100
    for row in rows:
        entry = told.pop(row["asset"])
        assert told_of(row) == {
            part: None if entry.get(part) is None else Decimal(entry[part]) for part in PARTS
        }
    assert told == {}
