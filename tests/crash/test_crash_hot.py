"""Power cuts under the real hot path: what was acknowledged as durable is there, in a consistent store."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from hybridstore.config import DATABASE_NAME, DatabaseConfig, Durability
from hybridstore.hot.async_desk import AsyncDesk
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from tests.crash.images import Image, crash_images
from tests.crash.reopen import ImageFolder, integrity
from tests.crash.vfs import RecordingVFS

if TYPE_CHECKING:
    from pathlib import Path

_TASKS = 6
_FILLERS = 2
_UPDATES_EACH = 36
_SYMBOL = "ETH/USDT:USDT"
_IMAGES = 1_000
_CREATIONS = 100
_SYNC_S = 0.0003
_IDLE_MAX_S = 0.003
"""Tasks rest for up to this long, so that transactions of all sizes come about."""
_CHECKPOINT_EVERY = 9
"""Commits between explicit checkpoints, beside the store's own: the logs stay short and the moments many."""


@dataclass(frozen=True)
class _Acknowledged:
    """One update the caller was told about.

    Attributes:
        kind: "task" for a balance, "filler" for a fill.
        task: Which of the concurrent tasks of its kind.
        number: 1 for the task's first update; also the balance, so that rows can be recognised.
        full: Whether it was promised to survive a power cut.
    """

    kind: str
    task: int
    number: int
    full: bool


@dataclass
class _Recording:
    vfs: RecordingVFS
    seq_before: int = 0


def _open(root: Path, vfs: RecordingVFS | None) -> DatabaseManager:
    config = DatabaseConfig(
        database_path=str(root / DATABASE_NAME),
        reserve_mb=0,
        wal_checkpoint_mb=1,
        wal_limit_mb=1,
        vfs=vfs.name if vfs else None,
    )
    database = DatabaseManager(config)
    database.open()
    return database


async def _run_task(
    desk: AsyncDesk, vfs: RecordingVFS, task: int, rng: random.Random, *, mixed: bool
) -> None:
    for number in range(1, _UPDATES_EACH + 1):
        durability: Durability = "normal" if mixed and rng.getrandbits(1) else "full"
        await desk.record_balance_update(
            f"ASSET{task % 5}",
            Decimal(number) / 8,
            source=f"task {task} update {number}",
            reason="x" * rng.randrange(900),
            account=f"account {task // 5}",
            durability=durability,
        )
        vfs.note(_Acknowledged("task", task, number, durability == "full"))
        await asyncio.sleep(rng.random() * _IDLE_MAX_S)


async def _run_filler(
    desk: AsyncDesk, vfs: RecordingVFS, filler: int, rng: random.Random, *, mixed: bool
) -> None:
    """A fill changes five tables at once: trade, position, its event, ledger, clock."""
    for number in range(1, _UPDATES_EACH + 1):
        durability: Durability = "normal" if mixed and rng.getrandbits(1) else "full"
        await desk.record_fill(
            _SYMBOL,
            "buy",
            2_000 + rng.randrange(100),
            Decimal(rng.randrange(1, 9)) / 8,
            trade_id=f"filler {filler} update {number}",
            account=f"filler {filler}",
            durability=durability,
        )
        vfs.note(_Acknowledged("filler", filler, number, durability == "full"))
        await asyncio.sleep(rng.random() * _IDLE_MAX_S)


async def _checkpoint_often(database: DatabaseManager, vfs: RecordingVFS) -> None:
    connection = apsw.Connection(str(database.path), vfs=vfs.name)
    copied_at = database.writer.commits
    try:
        while True:
            await asyncio.sleep(0)
            if database.writer.commits - copied_at >= _CHECKPOINT_EVERY:
                copied_at = database.writer.commits
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    finally:
        connection.close()


async def _record(root: Path, seed: int, *, mixed: bool, honest: bool = True) -> _Recording:
    """Run concurrent tasks over one store under the recorder; the schema was there before."""
    new = _open(root, None)
    SchemaManager(new).initialize()
    new.shutdown()
    vfs = RecordingVFS(root, honest=honest, sync_s=_SYNC_S)
    database = _open(root, vfs)
    rows = database.readers.rows(database.statements["commit_position"])
    recording = _Recording(vfs, seq_before=rows[0][0])
    checkpoints = asyncio.create_task(_checkpoint_often(database, vfs))
    desk = AsyncDesk(database)
    await asyncio.gather(
        *(_run_task(desk, vfs, task, random.Random(seed + task), mixed=mixed) for task in range(_TASKS)),
        *(
            _run_filler(desk, vfs, filler, random.Random(seed - filler), mixed=mixed)
            for filler in range(_FILLERS)
        ),
    )
    checkpoints.cancel()
    await asyncio.gather(checkpoints, return_exceptions=True)
    await database.close()
    vfs.unregister()
    return recording


def _examine(connection: apsw.Connection, image: Image, seq_before: int) -> str | None:
    """Name what is wrong with a store after a power cut; None where everything promised holds."""
    history: list[tuple[Any, ...]] = connection.execute(
        "SELECT id, account, asset, balance, source, recorded_at FROM balance_history ORDER BY id"
    ).fetchall()
    trades: list[tuple[Any, ...]] = connection.execute(
        "SELECT id, account, amount, trade_id, recorded_at FROM trades ORDER BY id"
    ).fetchall()
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for text in [*(row[4] for row in history), *(row[3] for row in trades)]:
        kind, task, _, number = text.split()
        found[kind, int(task)].append(int(number))
    for name, numbers in found.items():
        if numbers != list(range(1, len(numbers) + 1)):
            return f"{name} has the updates {numbers}: not its first ones in order"
    for note in image.notes:
        assert isinstance(note, _Acknowledged)
        if note.full and note.number > len(found[note.kind, note.task]):
            return f"{note} is lost"
    for rows in (history, trades):
        if [row[0] for row in rows] != list(range(1, len(rows) + 1)):
            return "the row numbers have a gap"
    return (
        _examine_balances(connection, history)
        or _examine_positions(connection, trades)
        or _examine_clock(connection, {row[-1] for row in (*history, *trades)}, seq_before)
    )


def _examine_balances(connection: apsw.Connection, history: list[tuple[Any, ...]]) -> str | None:
    for _, _, _, balance, source, _ in history:
        if Decimal(balance) * 8 != int(source.split()[3]):
            return f"{source} has the balance {balance}"
    latest = {row[1:3]: (row[3], row[5]) for row in history}
    stored: list[tuple[Any, ...]] = connection.execute(
        "SELECT account, asset, balance, recorded_at FROM balances"
    ).fetchall()
    balances = {row[:2]: row[2:] for row in stored}
    return None if balances == latest else f"balances {balances} are not the last of the history {latest}"


def _examine_positions(connection: apsw.Connection, trades: list[tuple[Any, ...]]) -> str | None:
    filled: dict[str, Decimal] = defaultdict(Decimal)
    count: Counter[str] = Counter()
    for _, account, amount, _, _ in trades:
        filled[account] += Decimal(amount)
        count[account] += 1
    positions: list[tuple[Any, ...]] = connection.execute(
        "SELECT p.account, p.amount, p.event_seq, (SELECT count(*) FROM position_events AS e"
        " WHERE e.position_id = p.position_id) FROM positions AS p"
    ).fetchall()
    for account, amount, event_seq, events in positions:
        if Decimal(amount) != filled[account] or event_seq != count[account] or events != count[account]:
            return f"{account} holds {amount} after {event_seq} of {events} events, but had {count[account]} fills"
    return None if len(positions) == len(filled) else f"{len(positions)} positions for {len(filled)} accounts"


def _examine_clock(connection: apsw.Connection, commit_times: set[int], seq_before: int) -> str | None:
    clock: list[tuple[Any, ...]] = connection.execute("SELECT seq, ts FROM commit_clock").fetchall()
    ((seq, ts_us),) = clock
    if seq - seq_before != len(commit_times):
        return f"the clock counts {seq - seq_before} commits, the rows show {len(commit_times)}"
    if commit_times and ts_us != max(commit_times):
        return f"the clock stands at {ts_us}, the last commit was at {max(commit_times)}"
    return None


def _problems(tmp_path: Path, recording: _Recording, seed: int, count: int) -> tuple[int, list[str]]:
    """Return how many images were examined and what was wrong with any of them."""
    folder = ImageFolder(tmp_path / "image")
    problems = []
    images = 0
    for image in crash_images(
        recording.vfs.operations, count=count, rng=random.Random(seed), baseline=recording.vfs.baseline
    ):
        try:
            with folder.opened(image, DATABASE_NAME) as connection:
                problem = _examine(connection, image, recording.seq_before)
                if problem is None and images % 20 == 0 and (found := integrity(connection)) != "ok":
                    problem = found
        except (apsw.Error, ArithmeticError, AttributeError, TypeError, ValueError) as error:  # a damaged row
            problem = f"{type(error).__name__}: {error}"
        if problem:
            problems.append(f"point {image.point} ({image.strategy}): {problem}")
        images += 1
    folder.close()
    return images, problems


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("mixed", "count"), [(False, _IMAGES), (True, _IMAGES // 2)], ids=["all full", "full among normal"]
)
async def test_full_acknowledgements_survive_power_cuts(
    tmp_path: Path, root: Path, seed: int, *, mixed: bool, count: int
) -> None:
    recording = await _record(root, seed, mixed=mixed)
    images, problems = _problems(tmp_path, recording, seed, count)
    assert images == count
    assert not problems, (len(problems), problems[0])


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_full_acknowledgements_survive_many_power_cuts(tmp_path: Path, seed: int) -> None:
    for number in range(20):
        folder = tmp_path / str(number)
        (folder / "root").mkdir(parents=True)
        recording = await _record(folder / "root", seed + number, mixed=bool(number % 2))
        _, problems = _problems(folder, recording, seed, _IMAGES)
        assert not problems, (number, len(problems), problems[0])
        shutil.rmtree(folder)


async def test_hot_path_on_a_disk_whose_syncs_do_nothing_is_caught(
    tmp_path: Path, root: Path, seed: int
) -> None:
    recording = await _record(root, seed, mixed=False, honest=False)
    _, problems = _problems(tmp_path, recording, seed, 300)
    assert any("is lost" in problem for problem in problems)


async def test_power_cut_while_a_store_is_created_leaves_one_that_opens(
    tmp_path: Path, root: Path, seed: int
) -> None:
    vfs = RecordingVFS(root)
    database = _open(root, vfs)
    SchemaManager(database).initialize()
    await AsyncDesk(database).record_balance_update("BTC", 1)
    vfs.note("recorded")
    database.shutdown()
    vfs.unregister()
    folder = ImageFolder(tmp_path / "image")
    for image in crash_images(vfs.operations, count=_CREATIONS, rng=random.Random(seed)):
        folder.write(image)
        again = _open(folder.path, None)
        SchemaManager(again).initialize()
        latest = await AsyncDesk(again).get_latest_balance("BTC")
        assert latest is None or latest.balance == 1
        assert latest is not None or not image.notes
        await AsyncDesk(again).record_balance_update("BTC", 2)
        again.shutdown()
