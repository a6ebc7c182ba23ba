"""A bot in a process of its own whose tasks record money: ``python -m tests.crash.books_process ROOT RUN BASE_US``.

It never ends by itself. Each line it prints is one thing it was told is recorded: ``task number``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from hybridstore.aio import TradingBotStorageSystem
from tests.crash.books_work import LINEAR, TASKS, action


async def _work(storage: TradingBotStorageSystem, run: int, task: int, base_us: int) -> None:
    for number in count(1):
        method, arguments, details = action(run, task, number, base_us)
        await getattr(storage, method)(*arguments, **details)
        os.write(1, f"{task} {number}\n".encode())


async def _mark(storage: TradingBotStorageSystem) -> None:
    for number in count(1):
        await storage.update_prices({LINEAR: 100 + number % 50})


async def _main(root: Path, run: int, base_us: int) -> None:
    async with TradingBotStorageSystem(root, maintenance="off") as storage:
        await asyncio.gather(_mark(storage), *(_work(storage, run, task, base_us) for task in range(TASKS)))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
