"""One of many writers on one store: ``python -m tests.crash.writer_process ROOT NUMBER SECONDS``.

It waits for a line on its input, writes through the async facade for so many seconds, and prints as JSON what it was
told: acknowledgements by kind, and how many commits it made.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hybridstore.aio import TradingBotStorageSystem

TASKS = 10
SYMBOL = "BTC/USDT:USDT"


async def _write(
    storage: TradingBotStorageSystem, writer: int, task: int, until_s: float, acknowledged: Counter[str]
) -> None:
    account = f"exchange/{writer}"
    number = 0
    while time.monotonic() < until_s:
        number += 1
        name = f"{writer}-{task}-{number}"
        await storage.record_balance_update("USDT", number, 0, name, account=account)
        acknowledged["balance_history"] += 1
        if number % 5 == 0:
            side = "buy" if number % 2 else "sell"
            await storage.record_fill(
                SYMBOL, side, 100 + task, 1, account=account, trade_id=name, bot=name[:3]
            )
            acknowledged["trades"] += 1
        if number % 7 == 0:
            order: dict[str, Any] = {
                "symbol": SYMBOL,
                "order_id": name,
                "side": "buy",
                "type": "limit",
                "amount": 1,
            }
            await storage.record_order(**order, status="open", account=account)
            acknowledged["orders"] += 1
        if number % 11 == 0:
            await storage.record_mark(SYMBOL, mark=100 + number % 9)


async def _main(root: Path, writer: int, seconds: float) -> None:
    acknowledged: Counter[str] = Counter()
    async with TradingBotStorageSystem(root, maintenance="off") as storage:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        until_s = time.monotonic() + seconds
        await asyncio.gather(*(_write(storage, writer, task, until_s, acknowledged) for task in range(TASKS)))
        told = {**acknowledged, "commits": storage.store.database.writer.commits}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
