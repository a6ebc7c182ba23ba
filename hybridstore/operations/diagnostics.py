"""Measures the hot path where it runs: on this store, this disk, this machine.

The user's books are only read. What has to write them to be measured (a position's update, a batch of balances) is
measured on a scratch store with the same settings, in a folder of its own below the root, so on the same disk; it is
removed afterwards. One setting of the store itself is overwritten, to measure a durable write where it happens.
"""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hybridstore.config import DATABASE_NAME, Durability
from hybridstore.durable import fsync_file
from hybridstore.errors import HybridStoreError, QueryTimeout
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.desk import Desk
from hybridstore.hot.reader import listed
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.hot.session import WriteSession

_REPEATS = 20
_BUDGET_S = 2.0
"""A test is not repeated beyond this: who asks why a store is slow must not wait for minutes."""
_BATCH_RECORDS = 1_000
_FLUSH_BYTES = 4_096
_PROBE = "diagnostics:last_run"
_SCRATCH_PREFIX = ".diagnostics-"
_LEFTOVER_S = 3_600.0
"""A scratch folder older than this belongs to a run that was killed."""

TARGETS_MS = {
    "latest_balance": 50.0,
    "all_balances": 50.0,
    "open_positions": 100.0,
    "portfolio_summary": 50.0,
    "query_cache": 50.0,
    "durable_write": 10.0,
    "position_update": 100.0,
    "batch_balance_insert": 10.0,
    "disk_flush": 10.0,
}
"""The promised times: a balance or portfolio query 50 ms, anything about a position 100 ms, a write or a record of a
batch 10 ms; a disk that takes longer to flush cannot keep that."""

_READS = "see that the root is on a local disk and the machine is not overloaded; raise cache_size_mb"
_WRITES = (
    "compare with disk_flush: where that is fast, another process holds the write lock or the machine is busy"
)
HINTS = {
    "latest_balance": _READS,
    "all_balances": f"{_READS}; ask for single assets where an account has very many",
    "open_positions": f"{_READS}; close positions that are over",
    "portfolio_summary": f"{_READS}; see whether all_balances or open_positions is slow, too",
    "query_cache": "raise cache_timeout_seconds; where other processes write all the time, turn enable_query_cache off",
    "durable_write": _WRITES,
    "position_update": _WRITES,
    "batch_balance_insert": f"{_WRITES}; give larger batches",
    "disk_flush": "put the root on an SSD; where a power cut may cost the last moments, use durability='normal'",
}
"""What to do about each operation where it is slow."""


class _Task(NamedTuple):
    """One operation: what is measured, what is done before each time, and how many records it is about."""

    test: str
    action: Callable[[], object]
    before: Callable[[], object] | None = None
    records: int = 1


def run_diagnostics(database: DatabaseManager, account: str = DEFAULT_ACCOUNT) -> dict[str, Any]:
    """Run each hot operation several times and compare its median with the promise.

    Args:
        database: The open store.
        account: Whose balances and positions are read.

    Returns:
        tests: a list of {test; execution_time_ms: the median, of one record where it is about several; worst_ms;
        target_ms; status: "pass", "slow", "failed" or "off"; hint: what to do, None where there is nothing; error};
        overall_status: "optimal", "degraded" when a test is slow, "failing" when one failed.
    """
    tests = [*_on_the_store(database, account), *_on_a_scratch_store(database)]
    found = {test["status"] for test in tests}
    overall = "failing" if "failed" in found else "degraded" if "slow" in found else "optimal"
    return {"tests": tests, "overall_status": overall}


def _on_the_store(database: DatabaseManager, account: str) -> list[dict[str, Any]]:
    desk = Desk(database)
    held = listed(database.readers.rows(database.statements["balances_of_account"], (account,)))
    asset = held[0][1] if held else "USDT"

    def touch() -> None:
        _probe(database, "normal")

    tests = [
        _measure(task)
        for task in (
            _Task("latest_balance", lambda: desk.get_latest_balance(asset, account), touch),
            _Task("all_balances", lambda: desk.get_all_balances(account), touch),
            _Task("open_positions", lambda: desk.get_open_positions(account), touch),
            _Task("portfolio_summary", lambda: desk.get_portfolio_summary(account), touch),
        )
    ]
    if database.config.enable_query_cache:
        tests.append(_measure(_Task("query_cache", lambda: desk.get_all_balances(account))))
    else:
        tests.append(_result("query_cache", "off", hint="enable_query_cache is off"))
    tests.append(_measure(_Task("durable_write", lambda: _probe(database, "full"))))
    return tests


def _probe(database: DatabaseManager, durability: Durability) -> None:
    def write(session: WriteSession) -> None:
        """Say nothing of what it touches: so every kept result is read anew."""
        session.run("upsert_settings", (_PROBE, str(session.ts_us)))

    database.writer.call(write, durability=durability)


def _on_a_scratch_store(database: DatabaseManager) -> list[dict[str, Any]]:
    try:
        with _scratch_folder(database.root) as folder, _scratch_store(database, folder) as desk:
            prices = itertools.count(1)
            desk.create_position("scratch", "BTC/USDT", "LONG", 1, 1)
            flushed = folder / "flush"
            return [
                _measure(task)
                for task in (
                    _Task("position_update", lambda: desk.update_position_price("scratch", next(prices))),
                    _Task(
                        "batch_balance_insert",
                        lambda: desk.batch_update_balances(_batch(next(prices)), durability="full"),
                        records=_BATCH_RECORDS,
                    ),
                    _Task("disk_flush", lambda: _flush(flushed)),
                )
            ]
    except (HybridStoreError, OSError) as error:
        return [_failed(test, error) for test in ("position_update", "batch_balance_insert", "disk_flush")]


def _batch(balance: int) -> list[dict[str, object]]:
    return [
        {"asset": f"A{number % 100}", "balance": balance, "source": "diagnostics"}
        for number in range(_BATCH_RECORDS)
    ]


def _flush(path: Path) -> None:
    path.write_bytes(os.urandom(_FLUSH_BYTES))
    fsync_file(path)


@contextmanager
def _scratch_folder(root: Path) -> Iterator[Path]:
    for leftover in root.glob(f"{_SCRATCH_PREFIX}*"):
        with suppress(FileNotFoundError):  # another run sweeps, too
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_S:
                shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH_PREFIX, dir=root, ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def _scratch_store(database: DatabaseManager, folder: Path) -> Iterator[Desk]:
    path = folder / "store" / DATABASE_NAME
    scratch = DatabaseManager(
        msgspec.structs.replace(database.config, database_path=str(path), reserve_mb=0), clock=database.clock
    )
    scratch.open()
    try:
        SchemaManager(scratch).initialize()
        yield Desk(scratch)
    finally:
        scratch.shutdown()


def _measure(task: _Task) -> dict[str, Any]:
    times_ms: list[float] = []
    begun_s = time.perf_counter()
    while len(times_ms) < _REPEATS and (not times_ms or time.perf_counter() - begun_s < _BUDGET_S):
        try:
            if task.before is not None:
                task.before()
            begun_ns = time.perf_counter_ns()
            task.action()
        except (HybridStoreError, OSError) as error:
            return _failed(task.test, error)
        times_ms.append((time.perf_counter_ns() - begun_ns) / 1e6 / task.records)
    median_ms = statistics.median(times_ms)
    slow = median_ms > TARGETS_MS[task.test]
    return _result(
        task.test,
        "slow" if slow else "pass",
        execution_time_ms=median_ms,
        worst_ms=max(times_ms),
        hint=HINTS[task.test] if slow else None,
    )


def _failed(test: str, error: HybridStoreError | OSError) -> dict[str, Any]:
    """A query that was cancelled for its time is slow; everything else is a failure."""
    late = isinstance(error, QueryTimeout)
    hint = None if late else getattr(error, "hint", None)
    return _result(
        test,
        "slow" if late else "failed",
        execution_time_ms=TARGETS_MS[test],
        hint=hint or HINTS[test],
        error=str(error),
    )


def _result(test: str, status: str, **figures: object) -> dict[str, Any]:
    return {
        "test": test,
        "execution_time_ms": 0.0,
        "worst_ms": 0.0,
        "target_ms": TARGETS_MS[test],
        "status": status,
        "hint": None,
        "error": None,
        **figures,
    }
