"""Ways of doing a bot's reads and writes without the store: aiosqlite, SQLAlchemy Core, Redis.

Each does what a bot would do with it: aiosqlite awaited, SQLAlchemy called inline, Redis awaited over a unix socket
with every write flushed (``appendfsync always``). The two of SQLite run on the library that Python brings; this module
is only imported in a process that has no database open with apsw.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    import aiosqlite
    import redis.asyncio
    import sqlalchemy

Row: TypeAlias = tuple[Any, ...]
LIBRARIES = {"aiosqlite": "aiosqlite", "SQLAlchemy": "sqlalchemy", "Redis": "redis"}
"""Modules by the names people know."""
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "cache_size = -131072", "wal_autocheckpoint = 0")
_REDIS_SERVER = "redis-server"
_START_S = 10.0


class Question(msgspec.Struct, frozen=True):
    """One kind of point read.

    Attributes:
        name: What is asked for.
        table: Where it is.
        columns: What it is looked up by.
        sql: As a statement whose parameters are the values of those columns.
        keys: Values to look up, in turns.
        newest_by: Where several rows match, the one that is last in this order is wanted.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    sql: str
    keys: list[Row]
    newest_by: tuple[str, ...] = ()


class Order(msgspec.Struct, frozen=True):
    """What a peer is to do.

    Attributes:
        database: A store's database that nobody else has open.
        questions: What to read.
        reads: How often, each.
        statements: The store's insert_balance_history and upsert_balances.
        columns: Columns of the two, in the order of their parameters.
        updates: Pairs of rows to write: history, latest.
        writes: How many of them singly.
    """

    database: str
    questions: list[Question]
    reads: int
    statements: dict[str, str]
    columns: dict[str, list[str]]
    updates: list[tuple[Row, Row]]
    writes: int


def why_absent(library: str) -> str | None:
    """Say why a peer cannot be measured here.

    Args:
        library: Its name in :data:`LIBRARIES`.

    Returns:
        The reason, or None where it can.
    """
    if find_spec(LIBRARIES[library]) is None:
        return f"{library} is not installed (pip install hybridstore[bench])"
    if library == "Redis" and shutil.which(_REDIS_SERVER) is None:
        return f"{_REDIS_SERVER} is not installed (Debian: apt install {_REDIS_SERVER})"
    return None


class Peer(Protocol):
    """A way to do the work."""

    async def open(self, order: Order) -> None:
        """Open the database."""

    async def read(self, question: Question, key: Row) -> Sequence[Any]:
        """Look one thing up; empty where there is none."""

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

    async def read(self, question: Question, key: Row) -> Sequence[Any]:
        """Look one thing up."""
        return list(await self._connection.execute_fetchall(question.sql, key))

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
        self._columns = order.columns
        history, balances = (
            sa.Table(name, tables, autoload_with=self._connection) for name in ("balance_history", "balances")
        )
        self._insert = insert(history)
        upsert = insert(balances)
        overwritten = {
            name: upsert.excluded[name]
            for name in order.columns["balances"]
            if name not in {"account", "asset"}
        }
        self._upsert = upsert.on_conflict_do_update(index_elements=["account", "asset"], set_=overwritten)
        self._selects: dict[str, sqlalchemy.Select[Any]] = {}
        for question in order.questions:
            table = sa.Table(question.table, tables, autoload_with=self._connection)
            select = sa.select(table).where(
                *(table.c[name] == sa.bindparam(name) for name in question.columns)
            )
            if question.newest_by:
                select = select.order_by(*(table.c[name].desc() for name in question.newest_by)).limit(1)
            self._selects[question.name] = select
        self._connection.rollback()

    async def read(self, question: Question, key: Row) -> Sequence[Any]:
        """Look one thing up."""
        parameters = dict(zip(question.columns, key, strict=True))
        return self._connection.execute(self._selects[question.name], parameters).all()

    async def write(self, history: Row, latest: Row) -> None:
        """Write one update in a transaction of its own."""
        await self.batch([(history, latest)])

    async def batch(self, updates: list[tuple[Row, Row]]) -> None:
        """Write many updates in one transaction."""
        history_names, latest_names = self._columns["balance_history"], self._columns["balances"]
        self._connection.execute(
            self._insert, [dict(zip(history_names, row, strict=True)) for row, _ in updates]
        )
        self._connection.execute(
            self._upsert, [dict(zip(latest_names, row, strict=True)) for _, row in updates]
        )
        self._connection.commit()

    async def close(self) -> None:
        """Close the database."""
        self._connection.close()
        self._engine.dispose()


class Redis:
    """A Redis server of its own: history in a stream, state in hashes, both in one MULTI, flushed before the answer."""

    _client: redis.asyncio.Redis

    async def open(self, order: Order) -> None:
        """Start a server in the database's folder and give it what is to be read."""
        import redis.asyncio

        folder = Path(order.database).parent
        socket = folder / "redis.sock"
        arguments = ["--bind", "127.0.0.1", "--port", "0", "--unixsocket", str(socket), "--dir", str(folder)]
        arguments += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        program = shutil.which(_REDIS_SERVER)
        assert program is not None, "asked to measure what is absent"
        self._server = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)  # noqa: ASYNC220, S603  once, before anything is measured
        until_s = time.monotonic() + _START_S
        while not socket.exists():
            if self._server.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"{_REDIS_SERVER} did not start: code {self._server.poll()}")
            await asyncio.sleep(0.02)
        self._client = redis.asyncio.Redis(unix_socket_path=str(socket), decode_responses=True)
        self._columns = order.columns
        await self._fill(order)

    async def _fill(self, order: Order) -> None:
        database = sqlite3.connect(order.database)
        database.row_factory = sqlite3.Row
        async with self._client.pipeline(transaction=True) as pipeline:
            for question in order.questions:
                for key in question.keys:
                    row = database.execute(question.sql, key).fetchone()
                    pipeline.hset(
                        _name(question.table, key),
                        mapping={name: _text(row[name]) for name in row.keys()},  # noqa: SIM118  a Row iterates over its values
                    )
            await pipeline.execute()
        database.close()

    async def read(self, question: Question, key: Row) -> Sequence[Any]:
        """Look one thing up."""
        return list((await self._client.hgetall(_name(question.table, key))).items())

    async def write(self, history: Row, latest: Row) -> None:
        """Write one update in a transaction of its own."""
        await self.batch([(history, latest)])

    async def batch(self, updates: list[tuple[Row, Row]]) -> None:
        """Write many updates in one transaction."""
        history_names, latest_names = self._columns["balance_history"], self._columns["balances"]
        async with self._client.pipeline(transaction=True) as pipeline:
            for history, latest in updates:
                pipeline.xadd(
                    "balance_history",
                    {name: _text(value) for name, value in zip(history_names, history, strict=True)},
                )
                pipeline.hset(
                    _name("balances", latest[:2]),
                    mapping={name: _text(value) for name, value in zip(latest_names, latest, strict=True)},
                )
            await pipeline.execute()

    async def close(self) -> None:
        """Stop the server."""
        await self._client.aclose()
        self._server.terminate()
        self._server.wait()


def _name(table: str, key: Sequence[Any]) -> str:
    return ":".join([table, *map(str, key)])


def _text(value: object) -> str:
    return "" if value is None else str(value)
