"""A bot in a process of its own: concurrent tasks record balances and say each acknowledgement aloud.

``python -m tests.crash.bot_process ROOT RUN DURABILITY`` never ends by itself; each line it prints is one update it
was told about: ``run task number``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.optimizer import BalanceQueries
from hybridstore.hot.schema_manager import SchemaManager
from tests.crash.stock import store_config

if TYPE_CHECKING:
    from hybridstore.config import Durability

TASKS = 6


async def _record(queries: BalanceQueries, run: int, task: int, durability: Durability) -> None:
    for number in count(1):
        line = f"{run} {task} {number}"
        await queries.insert_balance_entry(f"ASSET{task}", number, source=line, durability=durability)
        # One write a line: a line that is cut in half by the kill is not counted.
        os.write(1, f"{line}\n".encode())


async def _main(root: Path, run: int, durability: Durability) -> None:
    database = DatabaseManager(store_config(root))
    await database.initialize()
    await SchemaManager(database).initialize_complete_schema()
    queries = BalanceQueries(database)
    await asyncio.gather(*(_record(queries, run, task, durability) for task in range(TASKS)))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), "full" if sys.argv[3] == "full" else "normal"))
