"""A bot in a process of its own: concurrent tasks record through the facade and say each acknowledgement aloud.

``python -m tests.crash.bot_process ROOT RUN BASE_US DURABILITY AGAIN`` never ends by itself. Each line it prints is one
thing it was told is recorded: ``stream number``. AGAIN is a JSON list of [run, stream, number]: what earlier bots were
told is recorded, and this one tells again; of these it prints ``again run stream number``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from itertools import count
from pathlib import Path

from hybridstore.aio import TradingBotStorageSystem
from tests.crash.bot_work import STREAMS, action


class Bot:
    """One bot.

    Args:
        storage: Where it records.
        run: Its number.
        base_us: The present of the whole campaign, us UTC.
        durability: Of everything it records.
    """

    def __init__(self, storage: TradingBotStorageSystem, run: int, base_us: int, durability: str) -> None:
        self._storage = storage
        self._run = run
        self._base_us = base_us
        self._durability = durability

    async def work(self, stream: str) -> None:
        """Tell a stream, without end."""
        for number in count(1):
            await self._tell(self._run, stream, number)
            _say(f"{stream} {number}")

    async def repeat(self, again: list[tuple[int, str, int]]) -> None:
        """Tell again what was told before."""
        for run, stream, number in again:
            await self._tell(run, stream, number)
            _say(f"again {run} {stream} {number}")

    async def _tell(self, run: int, stream: str, number: int) -> None:
        method, arguments, details = action(stream, run, number, self._base_us)
        await getattr(self._storage, method)(*arguments, **details, durability=self._durability)


def _say(line: str) -> None:
    # One write a line: a line that is cut in half by the kill is not counted.
    os.write(1, f"{line}\n".encode())


async def _main(root: Path, run: int, base_us: int, durability: str, again: str) -> None:
    async with TradingBotStorageSystem(root, maintenance="off") as storage:
        bot = Bot(storage, run, base_us, durability)
        await asyncio.gather(bot.repeat(json.loads(again)), *(bot.work(stream) for stream in STREAMS))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:6]))
