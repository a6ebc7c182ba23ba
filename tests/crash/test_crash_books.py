"""Power cuts amid fills, funding, flows, corrections and voids: what is left is the books after some whole report."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import ManualClock
from hybridstore.config import DATABASE_NAME
from hybridstore.store import HybridStore
from tests.crash.books_work import LINEAR, TASKS, account_of, action
from tests.crash.images import Image, crash_images
from tests.crash.reopen import ImageFolder, integrity
from tests.crash.stock import NOW_US, store_config
from tests.crash.vfs import RecordingVFS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BASE_US = NOW_US - 3_600 * 1_000_000
_REPORTS = 36
"""Of each task: every kind of report twice and more, corrections and voids among them."""
_IMAGES = 400
_PROVED_EVERY = 20
_SYNC_S = 0.0003
_IDLE_MAX_S = 0.003
_TABLES = {
    "trades": "symbol, trade_id, side, price, amount, quote_amount, fees, fee, fee_in_quote, realized_pnl, net_pnl",
    "ledger": "entry_id, type, asset, amount, occurred_at",
    "ledger_balances": "asset, amount, entries",
    "positions": "symbol, side, status, amount, entry_price, entry_cost, realized_pnl, fees, funding, opened_at",
    "position_events": "symbol, seq, kind, amount_delta, price, amount_after, realized_delta, cost_delta, fees_delta,"
    " funding_delta, trade_id, occurred_at",
    "portfolio_hourly": "currency, period, net_flow, realized, funding, fees, other, volume, trade_count",
    "portfolio_daily": "currency, period, net_flow, realized, funding, fees, other, volume, trade_count",
}
"""What reports of an account make of its tables: no ids made at random, and nothing that marks change."""
Books = dict[str, dict[str, list[tuple[Any, ...]]]]
"""Rows by account and table, sorted."""


def _read(rows: Callable[[str], Any]) -> Books:
    books: Books = defaultdict(lambda: {table: [] for table in _TABLES})
    for table, columns in _TABLES.items():
        for account, *values in rows(f"SELECT account, {columns} FROM {table}"):
            books[str(account)][table].append(tuple(values))
    for tables in books.values():
        for found in tables.values():
            found.sort(key=repr)
    return books


def _possible(root: Path) -> dict[str, list[Any]]:
    """Tell everything to a store that lives; return what each account's books are after none, one, two, ... reports."""
    states: dict[str, list[Any]] = {}
    with HybridStore(config=store_config(root), clock=ManualClock(NOW_US)) as store:
        for task in range(TASKS):
            account = account_of(0, task)
            states[account] = [_read(store.database.readers.rows)[account]]
            for number in range(1, _REPORTS + 1):
                method, arguments, details = action(0, task, number, _BASE_US)
                getattr(store, method)(*arguments, **details, durability="normal")
                states[account].append(_read(store.database.readers.rows)[account])
    return states


async def _tell(root: Path, vfs: RecordingVFS, seed: int) -> None:
    config, clock = store_config(root, vfs.name), ManualClock(NOW_US)
    async with TradingBotStorageSystem(config=config, clock=clock, maintenance="off") as storage:

        async def work(task: int) -> None:
            rng = random.Random(f"{seed} {task}")
            for number in range(1, _REPORTS + 1):
                method, arguments, details = action(0, task, number, _BASE_US)
                await getattr(storage, method)(*arguments, **details)
                vfs.note(account_of(0, task))
                await asyncio.sleep(rng.random() * _IDLE_MAX_S)

        async def mark() -> None:
            for number in range(_REPORTS):
                await storage.update_prices({LINEAR: 100 + number % 50})
                await asyncio.sleep(_IDLE_MAX_S)

        await asyncio.gather(mark(), *(work(task) for task in range(TASKS)))


def _wrong(connection: apsw.Connection, image: Image, states: dict[str, list[Any]]) -> str | None:
    """Name what no number of whole reports explains; None where all is well."""
    promised = Counter(image.notes)
    if not any(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'portfolio_daily'")):
        return "no tables" if promised else None
    books = _read(lambda sql: connection.execute(sql).fetchall())
    for account, possible in states.items():
        if books[account] not in possible[promised[account] :]:
            counts = {table: len(rows) for table, rows in books[account].items()}
            return f"{account}: no state after {promised[account]} or more reports; it shows {counts}"
    return None


def _unproved(folder: Path) -> str | None:
    with HybridStore(config=store_config(folder), clock=ManualClock(NOW_US)) as store:
        for task in range(TASKS):
            proof = store.books.prove(account_of(0, task))
            if not proof.holds:
                return str(proof)
    return None


def _cut_power(folder: Path, seed: int, count: int, *, honest: bool = True) -> tuple[int, list[str]]:
    """Record one run; return on how many disks the books were proved, and what was wrong with any."""
    states = _possible(folder / "alive")
    root = folder / "root"
    with HybridStore(config=store_config(root), clock=ManualClock(NOW_US)):
        pass  # a new store; what is told to it is recorded
    vfs = RecordingVFS(root, honest=honest, sync_s=_SYNC_S)
    try:
        asyncio.run(_tell(root, vfs, seed))
    finally:
        vfs.unregister()
    images, problems, proved = ImageFolder(folder / "image"), [], 0
    drawn = crash_images(vfs.operations, count=count, rng=random.Random(seed), baseline=vfs.baseline)
    for number, image in enumerate(drawn):
        try:
            with images.opened(image, DATABASE_NAME) as connection:
                problem = _wrong(connection, image, states)
                if (
                    problem is None
                    and number % _PROVED_EVERY == 0
                    and (check := integrity(connection)) != "ok"
                ):
                    problem = check
            if problem is None and number % _PROVED_EVERY == 0:
                problem = _unproved(images.path)
                proved += 1
        except apsw.Error as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            problems.append(f"point {image.point} of {len(vfs.operations)} ({image.strategy}): {problem}")
    images.close()
    return proved, problems


@pytest.mark.timeout(180)
def test_power_cuts_leave_the_books_of_whole_reports(tmp_path: Path, seed: int) -> None:
    proved, problems = _cut_power(tmp_path, seed, _IMAGES)
    assert not problems, (len(problems), problems[0])
    assert proved == _IMAGES // _PROVED_EVERY


def test_books_on_a_disk_whose_syncs_do_nothing_are_noticed(tmp_path: Path, seed: int) -> None:
    _, problems = _cut_power(tmp_path, seed, 60, honest=False)
    assert any("no state after" in problem for problem in problems)


def test_books_that_are_half_written_are_noticed(tmp_path: Path) -> None:
    states = _possible(tmp_path)
    whole = Image(0, "everything", {}, [])
    connection = apsw.Connection(str(tmp_path / DATABASE_NAME))
    assert _wrong(connection, whole, states) is None
    for table in _TABLES:
        connection.execute("SAVEPOINT half")
        key = "account, asset" if table == "ledger_balances" else "account, currency, period"
        key = "id" if table in {"trades", "ledger", "positions", "position_events"} else key
        connection.execute(f"DELETE FROM {table} WHERE ({key}) = (SELECT {key} FROM {table} LIMIT 1)")
        assert connection.changes() == 1
        assert _wrong(connection, whole, states) is not None, table
        connection.execute("ROLLBACK TO half; RELEASE half")
    connection.close()


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_many_power_cuts_leave_the_books_of_whole_reports(tmp_path: Path, seed: int) -> None:
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, problems = _cut_power(folder, seed + number, 5 * _IMAGES)
        assert not problems, (number, len(problems), problems[0])
