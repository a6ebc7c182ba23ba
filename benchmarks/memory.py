"""How much memory a bot takes that only records.

Guards (A7): after a million durable balance updates by 100 tasks, a process that did nothing else holds <= 60 MB more
than a bare interpreter. Both are processes of their own that look at their resident set themselves: what the system
says now on Linux, its peak on macOS. Windows tells neither through the standard library; there only the rate is shown.

``python -m benchmarks.memory --record FOLDER COUNT`` is the bot.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.resident import NO_FIGURE, resident_bytes

ABOVE_BARE_MB_MAX = 60.0
UPDATES = {"small": 2_000, "full": 1_000_000}
TASKS = 100
_MB = 1_000_000
_RECORD = "--record"
_REPOSITORY = Path(__file__).resolve().parent.parent


def measure(size: Size) -> list[Figure]:
    """Measure both processes.

    Args:
        size: small or full.

    Returns:
        What the bot's process holds above the bare one, and at its peak; how fast it recorded.
    """
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        bare, bare_peak = _child(str(Path(__file__).with_name("resident.py")))
        now, peak, rate = _child("-m", "benchmarks.memory", _RECORD, folder, str(UPDATES[size]))
    meanwhile = Figure(name="recorded by 100 tasks meanwhile", unit="acks/s", ours=float(rate))
    if now == NO_FIGURE:
        print(f"no resident set on {sys.platform}: the standard library cannot tell it", file=sys.stderr)
        return [meanwhile]
    return [
        Figure(
            name="a recording bot above a bare interpreter",
            unit="MB",
            ours=max(now - bare, 0) / _MB,
            limits=(Limit(of="ours", at_most=ABOVE_BARE_MB_MAX),),
            point="A7",
            note=f"bare: {bare / _MB:.1f} MB",
        ),
        Figure(name="the same at its peak", unit="MB", ours=max(peak - bare_peak, 0) / _MB),
        meanwhile,
    ]


def _child(*arguments: str) -> list[int]:
    done = subprocess.run(  # noqa: S603  our own interpreter and modules
        [sys.executable, *arguments], check=True, stdout=subprocess.PIPE, cwd=_REPOSITORY
    )
    return [int(word) for word in done.stdout.split()]


async def record(root: Path, count: int) -> float:
    """Record as a bot does, and print what this process holds then: bytes now, at the peak, updates a second.

    Args:
        root: Folder of a new store.
        count: How many updates, by all tasks together.

    Returns:
        Acknowledged updates a second.
    """
    from hybridstore import TradingBotStorageSystem  # as a bot imports it, and nothing more

    async def task(storage: TradingBotStorageSystem, number: int) -> None:
        for place in range(number, count, TASKS):
            balance = Decimal(1_000_000_000 + place).scaleb(-8)
            await storage.record_balance_update(f"C{number:03d}", balance, 0, "websocket")

    async with TradingBotStorageSystem(root, maintenance="off") as storage:
        begun_s = time.perf_counter()
        await asyncio.gather(*(task(storage, number) for number in range(TASKS)))
        rate = count / (time.perf_counter() - begun_s)
        print(*resident_bytes(), int(rate))
    return rate


if __name__ == "__main__":
    if _RECORD in sys.argv:
        asyncio.run(record(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        sys.exit(main("memory", measure, __doc__))
