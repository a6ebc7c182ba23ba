"""The write-ahead log stays bounded while writes never pause, and grows only as long as a reader needs it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.config import DATABASE_NAME, DatabaseConfig

MIB = 1 << 20
LIMIT_MB = 2
TASKS = 20
TEXT = "x" * 2_000
UPDATES = 16 * MIB // len(TEXT)
"""As many as make more than sixteen MiB of log if it is never begun anew."""
BOUND_BYTES = 4 * LIMIT_MB * MIB
"""Where housekeeping is just copying, the writer goes on and finishes the log a little later."""


def small_log(root: Path) -> TradingBotStorageSystem:
    path = str(root / DATABASE_NAME)
    return TradingBotStorageSystem(
        config=DatabaseConfig(
            database_path=path, wal_checkpoint_mb=1, wal_limit_mb=LIMIT_MB, durability="normal"
        )
    )


async def write_without_pause(storage: TradingBotStorageSystem) -> None:
    async def bot(task: int) -> None:
        for number in range(task, UPDATES, TASKS):
            await storage.record_balance_update(f"A{task}", number, 0, TEXT)

    await asyncio.gather(*(bot(task) for task in range(TASKS)))


def log_size_bytes(root: Path) -> int:
    return (root / f"{DATABASE_NAME}-wal").stat().st_size


async def test_the_log_is_begun_anew_while_writes_go_on(root: Path) -> None:
    async with small_log(root) as storage:
        await write_without_pause(storage)
        assert log_size_bytes(root) < BOUND_BYTES
        rows = storage.store.database.readers.rows("SELECT count(*) FROM balance_history")
        assert rows == [(UPDATES,)]


async def test_a_reader_keeps_the_log_and_nobody_waits_for_it(root: Path) -> None:
    async with small_log(root) as storage:
        await storage.record_balance_update("A0", 1)
        readers = storage.store.database.readers
        with readers.transaction() as transaction:
            count = "SELECT count(*) FROM balance_history"
            assert transaction.rows(count) == [(1,)]
            await write_without_pause(storage)
            assert log_size_bytes(root) > UPDATES * len(TEXT)
            assert transaction.rows(count) == [(1,)], "it still sees its own moment"
        grown = log_size_bytes(root)
        await write_without_pause(storage)
        assert log_size_bytes(root) < grown + BOUND_BYTES, "begun anew once the reader is gone"
        assert readers.rows(count) == [(1 + 2 * UPDATES,)]
