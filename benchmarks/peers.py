"""The same work by aiosqlite and by SQLAlchemy Core, each in a process of its own.

No second SQLite library may touch a file that this process has open with apsw: POSIX locks belong to the process, and
the other library's close would drop them. So a peer gets a store's copy and a process; it runs the two statements of a
balance update (without the store's commit clock) under the same PRAGMAs, as a bot would use it: aiosqlite awaited,
SQLAlchemy Core called inline. It runs on the SQLite that Python brings.

``python -m benchmarks.peers LIBRARY ORDER`` is the child; it reads the order, a JSON file, and prints its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from benchmarks.timing import Spread, spread

if TYPE_CHECKING:
    import aiosqlite
    import sqlalchemy

LIBRARIES = {"aiosqlite": "aiosqlite", "SQLAlchemy": "sqlalchemy"}
"""Modules by the names people know."""
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "cache_size = -131072", "wal_autocheckpoint = 0")
_TASKS = 100
_REPOSITORY = Path(__file__).resolve().parent.parent
Row: TypeAlias = tuple[Any, ...]


class Order(msgspec.Struct, frozen=True):
    """What a peer is to do.

    Attributes:
        database: A store's database that nobody else has open.
        statements: The store's: latest_balance, insert_balance_history, upsert_balances.
        keys: Accounts and assets to read, in turns.
        updates: Pairs of rows to write: history, latest.
        reads: How many reads.
        writes: How many single writes.
    """

    database: str
    statements: dict[str, str]
    keys: list[tuple[str, str]]
    updates: list[tuple[Row, Row]]
    reads: int
    writes: int


class Answer(msgspec.Struct, frozen=True):
    """What a peer measured.

    Attributes:
        read_us: Point read.
        write_us: Single durable write.
        tasks_per_s: Acknowledgements a second of 100 tasks.
        batch_per_s: Rows a second of one batch.
    """

    read_us: Spread
    write_us: Spread
    tasks_per_s: float
    batch_per_s: float


def measure_peers(order: Order, folder: Path) -> dict[str, Answer]:
    """Let every peer that is installed do the work.

    Args:
        order: The work.
        folder: For copies and the order; the database is copied for each peer.

    Returns:
        What each measured, by library.
    """
    answers = {}
    for library, module in LIBRARIES.items():
        if not find_spec(module):
            print(
                f"{library} is not installed (pip install hybridstore[bench]): no figures of it",
                file=sys.stderr,
            )
            continue
        copy = folder / f"{module}.db"
        copy.write_bytes(Path(order.database).read_bytes())
        path = folder / f"{module}.json"
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(order, database=str(copy))))
        done = subprocess.run(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "benchmarks.peers", module, str(path)],
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


class Peer(Protocol):
    """A way to do the work."""

    async def open(self, order: Order) -> None:
        """Open the database."""

    async def read(self, account: str, asset: str) -> Sequence[Any]:
        """Read the latest balance."""

    async def write(self, history: Row, latest: Row) -> None:
        """Write one update in a transaction of its own."""

    async def batch(self, updates: list[tuple[Row, Row]]) -> None:
        """Write many updates in one transaction."""

    async def close(self) -> None:
        """Close the database."""


class AioSqlite:
    """One aiosqlite connection; tasks take turns, for a transaction belongs to the connection."""

    _connection: aiosqlite.Connection

    async def open(self, order: Order) -> None:
        """Open the database."""
        import aiosqlite

        self._sql = order.statements
        self._turn = asyncio.Lock()
        self._connection = await aiosqlite.connect(order.database, isolation_level="IMMEDIATE")
        for pragma in PRAGMAS:
            await self._connection.execute_fetchall(f"PRAGMA {pragma}")

    async def read(self, account: str, asset: str) -> Sequence[Any]:
        """Read the latest balance."""
        return list(await self._connection.execute_fetchall(self._sql["latest_balance"], (account, asset)))

    async def write(self, history: Row, latest: Row) -> None:
        """Write one update in a transaction of its own."""
        async with self._turn:
            await self._connection.execute(self._sql["insert_balance_history"], history)
            await self._connection.execute(self._sql["upsert_balances"], latest)
            await self._connection.commit()

    async def batch(self, updates: list[tuple[Row, Row]]) -> None:
        """Write many updates in one transaction."""
        async with self._turn:
            await self._connection.executemany(
                self._sql["insert_balance_history"], [row for row, _ in updates]
            )
            await self._connection.executemany(self._sql["upsert_balances"], [row for _, row in updates])
            await self._connection.commit()

    async def close(self) -> None:
        """Close the database."""
        await self._connection.close()


class SqlAlchemy:
    """SQLAlchemy Core on one connection, with statements built once."""

    _connection: sqlalchemy.Connection

    async def open(self, order: Order) -> None:
        """Open the database and read its tables."""
        import sqlalchemy as sa
        from sqlalchemy.dialects.sqlite import insert

        self._engine = sa.create_engine(
            f"sqlite:///{order.database}", connect_args={"isolation_level": "IMMEDIATE"}
        )
        self._connection = self._engine.connect()
        for pragma in PRAGMAS:
            self._connection.exec_driver_sql(f"PRAGMA {pragma}")
        self._connection.commit()
        tables = sa.MetaData()
        history = sa.Table("balance_history", tables, autoload_with=self._connection)
        balances = sa.Table("balances", tables, autoload_with=self._connection)
        self._history_names = [column.name for column in history.columns if column.name != "id"]
        self._balance_names = [column.name for column in balances.columns]
        self._insert = insert(history)
        upsert = insert(balances)
        overwritten = {
            name: upsert.excluded[name] for name in self._balance_names if name not in {"account", "asset"}
        }
        self._upsert = upsert.on_conflict_do_update(index_elements=["account", "asset"], set_=overwritten)
        self._select = sa.select(balances).where(
            balances.c.account == sa.bindparam("account"), balances.c.asset == sa.bindparam("asset")
        )
        self._connection.rollback()

    async def read(self, account: str, asset: str) -> Sequence[Any]:
        """Read the latest balance."""
        return self._connection.execute(self._select, {"account": account, "asset": asset}).all()

    async def write(self, history: Row, latest: Row) -> None:
        """Write one update in a transaction of its own."""
        await self.batch([(history, latest)])

    async def batch(self, updates: list[tuple[Row, Row]]) -> None:
        """Write many updates in one transaction."""
        history = [dict(zip(self._history_names, row, strict=True)) for row, _ in updates]
        latest = [dict(zip(self._balance_names, row, strict=True)) for _, row in updates]
        self._connection.execute(self._insert, history)
        self._connection.execute(self._upsert, latest)
        self._connection.commit()

    async def close(self) -> None:
        """Close the database."""
        self._connection.close()
        self._engine.dispose()


async def work(peer: Peer, order: Order) -> Answer:
    """Do the work and time it.

    Args:
        peer: The way to do it.
        order: The work.

    Returns:
        The figures.
    """
    await peer.open(order)
    reads = []
    for number in range(order.reads):
        account, asset = order.keys[number % len(order.keys)]
        begun_ns = time.perf_counter_ns()
        rows = await peer.read(account, asset)
        reads.append(time.perf_counter_ns() - begun_ns)
        assert len(rows) == 1
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
    await peer.close()
    return Answer(
        spread(reads, 1000),
        spread(writes, 1000),
        min(order.writes, len(order.updates)) / tasks_s,
        len(order.updates) / batch_s,
    )


def main() -> None:
    """Do one peer's work for :func:`measure_peers`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("library", choices=list(LIBRARIES.values()))
    parser.add_argument("order", type=Path)
    options = parser.parse_args()
    order = msgspec.json.decode(options.order.read_bytes(), type=Order)
    peer: Peer = AioSqlite() if options.library == "aiosqlite" else SqlAlchemy()
    print(msgspec.json.encode(asyncio.run(work(peer, order))).decode())


if __name__ == "__main__":
    main()
