"""A bot that writes and reads while another process scrapes its maintenance process for metrics, 1 000 times.

Guards: the p99 of a durable write and of a point read stay what they are without scrapes (A3 of operations). What
stands under "raw" is the same bot, the same store and the same maintenance process with nobody scraping. Rounds with
and without take turns, and the best round of each counts: with two processors whatever else runs lands in a tail. A
hundred scrapes a second are 1 500 times as many as Prometheus makes.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.books import record_books
from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.processors import Others, rounds
from benchmarks.timing import Paired, spread
from hybridstore.aio import TradingBotStorageSystem
from hybridstore.config import CONFIG_NAME
from hybridstore.store import HybridStore

SCRAPES = {"small": 20, "full": 1_000}
SECONDS = {"small": 0.5, "full": 10.0}
ROUNDS = {"small": (1, 0, 1), "full": (3, 2, 6)}
RATIO_MAX = 1.25
_PAUSE_S = 0.002
_MARKETS, _TRADED = 20, 5
_HERE = "127.0.0.1"
_SCRAPER = """
import http.client, sys, time
port, count, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
begun, took, size = time.perf_counter(), [], 0
for number in range(count):
    due = begun + number * seconds / count
    if (wait := due - time.perf_counter()) > 0:
        time.sleep(wait)
    asked = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    size = len(answer.read())
    assert answer.status == 200 and size > 1000
    connection.close()
    took.append(time.perf_counter() - asked)
print(sorted(took)[len(took) // 2] * 1000, time.perf_counter() - begun, size)
"""


def measure(size: Size) -> list[Figure]:
    """Measure writes and reads, with and without scrapes.

    Args:
        size: small or full.

    Returns:
        Times of each kind; how long a scrape takes.
    """
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root = Path(folder)
        with HybridStore(root) as store:
            record_books(store, _MARKETS, _TRADED)
        port = _free_port()
        settings = f"[metrics]\nport = {port}\n[maintenance]\nstart_after_s = 0\ninterval_s = 3600\n"
        (root / CONFIG_NAME).write_text(settings, encoding="utf-8")
        return asyncio.run(_measure(root, port, size))


async def _measure(root: Path, port: int, size: Size) -> list[Figure]:
    writes, reads, answers, served = Paired(), Paired(), [], 0
    async with TradingBotStorageSystem(root, maintenance="auto") as storage:
        await asyncio.to_thread(_await_endpoint, port)
        await _work(storage, min(SECONDS[size], 1.0))  # what is imported and opened first is nobody's time
        neighbours = []
        for _ in rounds(*ROUNDS[size]):
            alone = await _work(storage, SECONDS[size])
            with Others() as others, _scraping(port, size) as child:
                beside = await _work(storage, SECONDS[size])
                told, _ = await asyncio.to_thread(child.communicate)
            assert child.returncode == 0, "a scrape failed"
            answers.append(float(told.split()[0]))
            served += SCRAPES[size]
            neighbours.append(others.share or 0.0)
            for paired, ours, raw in zip((writes, reads), beside, alone, strict=True):
                paired.add(spread(ours, 1_000).p99, spread(raw, 1_000).p99)
    limits = (Limit(of="ratio", at_most=RATIO_MAX),)
    note = f"{served:,} scrapes; median ratio of rounds {{:.2f}}; other processes took {max(neighbours):.0%}"
    return [
        *(
            Figure(
                name=f"{name} p99 while scraped",
                unit="us",
                ours=paired.least[0],
                raw=paired.least[1],
                limits=limits,
                point="A3",
                note=note.format(paired.ratio),
            )
            for name, paired in (("durable write", writes), ("point read", reads))
        ),
        Figure(name="a scrape, median", unit="ms", ours=median(answers)),
    ]


async def _work(storage: TradingBotStorageSystem, seconds: float) -> tuple[list[int], list[int]]:
    """Write and read, a few hundred times a second; return how long each took, ns."""
    writes, reads, number = [], [], 0
    until_s = time.perf_counter() + seconds
    while time.perf_counter() < until_s:
        number += 1
        begun_ns = time.perf_counter_ns()
        await storage.record_balance_update("USDT", number, 0, "websocket")
        writes.append(time.perf_counter_ns() - begun_ns)
        begun_ns = time.perf_counter_ns()
        await storage.get_latest_balance("USDT")
        reads.append(time.perf_counter_ns() - begun_ns)
        await asyncio.sleep(_PAUSE_S)
    return writes, reads


@contextmanager
def _scraping(port: int, size: Size) -> Iterator[subprocess.Popen[str]]:
    """Scrape in a process of its own, evenly spread over the time of a round."""
    command = [sys.executable, "-c", _SCRAPER, str(port), str(SCRAPES[size]), str(SECONDS[size])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603  ours
        yield child


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_HERE, 0))
        return int(one.getsockname()[1])


def _await_endpoint(port: int) -> None:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        connection = http.client.HTTPConnection(_HERE, port, timeout=30)
        try:
            connection.request("GET", "/metrics")
            if connection.getresponse().status == 200:
                return
        except ConnectionRefusedError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError("the maintenance process did not answer in a minute")


if __name__ == "__main__":
    sys.exit(main("scrapes", measure, __doc__))
