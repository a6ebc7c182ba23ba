"""Point reads of a bot while an analyst's process asks about everything, without a pause and with all processors.

Guards: p99 of every kind of read <= 1 ms (A6 of analytics). The time is that of the awaited call on the bot's loop,
which writes a durable balance now and then, as a bot does. What stands under "raw" is the same store and the same reads
without the analyst. The best round counts, as in ``reads_under_load``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.books import Books, record_books
from benchmarks.figures import Figure, Size, main
from benchmarks.processors import Others, rounds
from benchmarks.query import computing
from benchmarks.reads_under_load import MARKETS, TRADED, Round, figures_of, read_until, reads_of
from benchmarks.workload import START_S, record_market_trades
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.config import DatabaseConfig
from hybridstore.operations.maintenance import run_in_process
from hybridstore.store import HybridStore

ROWS = {"small": 3_000, "full": 2_000_000}
SECONDS = {"small": 0.3, "full": 5.0}
ROUNDS = {"small": (1, 0, 1), "full": (5, 2, 10)}
_PATIENCE_MS = 10_000
_AGE_DAYS = 30
_WRITE_EVERY_S = 0.01
_ANALYST = """
import sys, threading
from hybridstore import HybridStore
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
asked = 0
with HybridStore(sys.argv[1]) as store:
    while not over.is_set():
        store.sql(
            "SELECT symbol, date_trunc('minute', traded_at) AS minute, count(*), sum(price::DOUBLE * amount::DOUBLE), "
            "sum(amount), quantile_cont(price::DOUBLE, 0.9) FROM market_trades GROUP BY ALL"
        )
        store.sql("SELECT * FROM balance_history ORDER BY changed_at").pl()
        asked += 2
        if asked == 2:
            print("begun", flush=True)
print(asked, flush=True)
"""


def measure(size: Size) -> list[Figure]:
    """Measure every kind of read, alone and beside an analyst.

    Args:
        size: small or full.

    Returns:
        Times of each kind; how much was asked meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = computing(Path(folder))
        with HybridStore(root) as store:
            books = record_books(store, MARKETS, TRADED)
            record_market_trades(store.database, ROWS[size], 5, 0)
        run_in_process(root, now_us=int(START_S) * SECOND_US + _AGE_DAYS * DAY_US)
        return asyncio.run(_measure(root, books, size))


async def _measure(root: Path, books: Books, size: Size) -> list[Figure]:
    alone, beside, asked = [], [], []
    patient = DatabaseConfig(balance_query_timeout=_PATIENCE_MS, position_query_timeout=_PATIENCE_MS)
    async with TradingBotStorageSystem(root, config=patient, maintenance="off") as storage:
        reads = reads_of(storage, books)
        for _ in rounds(*ROUNDS[size]):
            alone.append(Round(await read_until(reads, _working(storage, SECONDS[size]))))
            with Others() as others, _analyst(root) as child:
                found = Round(await read_until(reads, _working(storage, SECONDS[size])))
                told, _ = child.communicate()
            asked.append(int(told) / SECONDS[size])
            # What the analyst took is the load itself; whatever else ran is a neighbour.
            beside.append(found._replace(others=others.share))
    return [
        *(figure for name in reads for figure in figures_of(name, alone, beside, "A6")),
        Figure(name="questions of the analyst meanwhile", unit="1/s", ours=median(asked)),
    ]


def _working(storage: TradingBotStorageSystem, seconds: float) -> asyncio.Task[Any]:
    """Write a balance a hundred times a second for a while."""

    async def work() -> None:
        for number in range(max(int(seconds / _WRITE_EVERY_S), 1)):
            await storage.record_balance_update("USDT", number + 1, 0, "websocket")
            await asyncio.sleep(_WRITE_EVERY_S)

    return asyncio.create_task(work())


@contextmanager
def _analyst(root: Path) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _ANALYST, str(root)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as child:  # noqa: S603  ours
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        yield child


if __name__ == "__main__":
    sys.exit(main("reads_beside_analyst", measure, __doc__))
