"""The same work by aiosqlite, SQLAlchemy Core and Redis, each in a process of its own.

No second SQLite library may touch a file that this process has open with apsw: POSIX locks belong to the process, and
the other library's close would drop them. So a peer gets a store's copy and a process; it runs the two statements of a
balance update (without the store's commit clock) under the same PRAGMAs. A peer that is absent is named with the
reason, and its column says "absent".

``python -m benchmarks.peers LIBRARY ORDER`` is the child; it reads the order, a JSON file, and prints its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from benchmarks.peer_libraries import LIBRARIES, AioSqlite, Order, Peer, Redis, SqlAlchemy, why_absent
from benchmarks.timing import Spread, spread

_TASKS = 100
_REPOSITORY = Path(__file__).resolve().parent.parent
_PEERS: dict[str, Callable[[], Peer]] = {"aiosqlite": AioSqlite, "SQLAlchemy": SqlAlchemy, "Redis": Redis}


class Answer(msgspec.Struct, frozen=True):
    """What a peer measured; fields of what was not asked for are empty.

    Attributes:
        read_us: Point reads, by the name of the question.
        write_us: Single durable write.
        tasks_per_s: Acknowledgements a second of 100 tasks.
        batch_per_s: Rows a second of one batch.
    """

    read_us: dict[str, Spread]
    write_us: Spread | None = None
    tasks_per_s: float | None = None
    batch_per_s: float | None = None


Answers: TypeAlias = "dict[str, Answer | None]"


def measure_peers(order: Order, folder: Path) -> Answers:
    """Let every peer that is there do the work.

    Args:
        order: The work.
        folder: For copies and the order; the database is copied for each peer.

    Returns:
        What each measured, by library; None for one that is absent.
    """
    answers: Answers = {}
    for library in LIBRARIES:
        if why := why_absent(library):
            print(f"{why}: no figures of it", file=sys.stderr)
            answers[library] = None
            continue
        place = folder / library
        place.mkdir()
        copy = place / "copy.db"
        copy.write_bytes(Path(order.database).read_bytes())
        path = place / "order.json"
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(order, database=str(copy))))
        done = subprocess.run(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "benchmarks.peers", library, str(path)],
            check=False,
            capture_output=True,
            cwd=_REPOSITORY,
        )
        if done.returncode:
            raise RuntimeError(
                f"{library} ended with code {done.returncode}: {done.stderr.decode(errors='replace')}"
            )
        answers[library] = msgspec.json.decode(done.stdout, type=Answer)
    return answers


def column(answers: Answers, pick: Callable[[Answer], float | None]) -> dict[str, float | None]:
    """Return one figure of every peer.

    Args:
        answers: What :func:`measure_peers` returned.
        pick: Takes the figure out of an answer.

    Returns:
        The figures by library; None for one that is absent.
    """
    return {library: None if answer is None else pick(answer) for library, answer in answers.items()}


async def work(peer: Peer, order: Order) -> Answer:
    """Do the work and time it.

    Args:
        peer: The way to do it.
        order: The work.

    Returns:
        The figures.
    """
    await peer.open(order)
    try:
        read_us = {question.name: Spread(0, 0, 0) for question in order.questions}
        for question in order.questions:
            reads = []
            for number in range(order.reads):
                key = question.keys[number % len(question.keys)]
                begun_ns = time.perf_counter_ns()
                found = await peer.read(question, key)
                reads.append(time.perf_counter_ns() - begun_ns)
                assert found, f"nothing found for {key}"
            read_us[question.name] = spread(reads, 1000)
        if not order.updates:
            return Answer(read_us)
        return await _write(peer, order, read_us)
    finally:
        await peer.close()


async def _write(peer: Peer, order: Order, read_us: dict[str, Spread]) -> Answer:
    writes = []
    for history, latest in order.updates[: order.writes]:
        begun_ns = time.perf_counter_ns()
        await peer.write(history, latest)
        writes.append(time.perf_counter_ns() - begun_ns)

    async def task(number: int) -> None:
        for history, latest in order.updates[: order.writes][number::_TASKS]:
            await peer.write(history, latest)

    begun_s = time.perf_counter()
    await asyncio.gather(*(task(number) for number in range(_TASKS)))
    tasks_s = time.perf_counter() - begun_s
    begun_s = time.perf_counter()
    await peer.batch(order.updates)
    batch_s = time.perf_counter() - begun_s
    count = len(order.updates)
    return Answer(read_us, spread(writes, 1000), min(order.writes, count) / tasks_s, count / batch_s)


def main() -> None:
    """Do one peer's work for :func:`measure_peers`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("library", choices=list(LIBRARIES))
    parser.add_argument("order", type=Path)
    options = parser.parse_args()
    order = msgspec.json.decode(options.order.read_bytes(), type=Order)
    print(msgspec.json.encode(asyncio.run(work(_PEERS[options.library](), order))).decode())


if __name__ == "__main__":
    main()
