"""The Arrow copy: whatever was inserted, changed and moved away, it equals a full read; older snapshots keep theirs."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import apsw
import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.clock import DAY_US
from hybridstore.errors import HybridStoreError, StoreError
from hybridstore.hot import arrow_copy
from hybridstore.hot.arrow_copy import ArrowCopy
from hybridstore.hot.snapshot import HotSnapshot
from hybridstore.hot.transfer import read_rows
from hybridstore.retention.steps import Move, Step, claim, publish
from hybridstore.schema.dataset import Column, Dataset, Tiering
from hybridstore.schema.types import LogicalType
from hybridstore.store import HybridStore

DAY0 = 20_000
SIGNALS = Dataset(
    name="signals",
    kind="event",
    doc="What a strategy decided; it leaves the hot store once it is closed.",
    columns=(
        Column("symbol", LogicalType.NAME, "Market."),
        Column("number", LogicalType.INTEGER, "Which."),
        Column("status", LogicalType.NAME, "Life cycle.", choices=("open", "won", "lost")),
        Column("closed_at", LogicalType.TIMESTAMP, "When it was closed.", nullable=True),
        Column("size", LogicalType.MONEY, "How much.", nullable=True),
    ),
    key=("symbol", "number"),
    tiering=Tiering(
        time="closed_at",
        cluster=("symbol", "closed_at", "id"),
        when=("status", ("won", "lost")),
        symbol="symbol",
    ),
)
days = st.sampled_from((0, 0, 1, 1, None))
statuses = st.sampled_from(("open", "won", "lost"))


class Publishing:
    """A move under way and the row numbers its file holds."""

    def __init__(self, move: Move, ids: list[int]) -> None:
        self.move = move
        self.ids = ids
        self.done = 0

    def file(self) -> ArchiveFile:
        """Return the manifest's row; nobody opens the file here."""
        move = self.move
        return ArchiveFile(
            file_id=move.file_id, dataset=move.dataset, tier=move.tier, path=move.path, start_us=move.start_us,
            end_us=move.end_us, id_min=self.ids[0], id_max=self.ids[-1], visible_through=None,
            time_min_us=move.start_us, time_max_us=move.end_us - 1, symbol_min=None, symbol_max=None,
            row_count=len(self.ids), size_bytes=1, sha256="0" * 64, sums="{}", schema_version=1, column_count=9,
        )  # fmt: skip


class History(RuleBasedStateMachine):
    """Inserts, updates and moves in any order; the copy must follow."""

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = contextlib.ExitStack()
        root = self.cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        self.store = self.cleanup.enter_context(HybridStore(root, datasets=[SIGNALS]))
        self.database = self.store.database
        self.copy = ArrowCopy(self.database.statements)
        self.number = 0
        self.moves: list[Publishing] = []
        self.older: list[tuple[HotSnapshot, list[dict[str, Any]]]] = []

    def teardown(self) -> None:
        """Close the store."""
        for snapshot, _ in self.older:
            snapshot.release()
        self.cleanup.close()

    @rule(count=st.integers(1, 4), day=days, status=statuses)
    def insert(self, count: int, day: int | None, status: str) -> None:
        """Record signals."""
        rows = []
        for _ in range(count):
            self.number += 1
            rows.append(("BTC/USDT", self.number, status, self._moment(day), "1.5"))
        self._write(lambda session: session.executemany(session.sql["insert_signals"], rows))

    @rule(number=st.integers(1, 12), day=days, status=statuses)
    def update(self, number: int, day: int | None, status: str) -> None:
        """Change a signal in place; one that is being moved refuses."""
        row = (status, self._moment(day), "2.5", "BTC/USDT", number)
        with contextlib.suppress(HybridStoreError, apsw.ConstraintError):
            self._write(lambda session: session.execute(session.sql["rewrite_signals"], row))

    @rule()
    def other_commit(self) -> None:
        """Commit something else."""
        self._write(lambda session: None)

    @rule(day=st.integers(0, 1))
    def claim(self, day: int) -> None:
        """Begin to move a day."""
        start_us = (DAY0 + day) * DAY_US
        unit = {"start_us": start_us, "end_us": start_us + DAY_US}
        if any(open_move.move.start_us == start_us for open_move in self.moves):
            return
        ids = self._unit_ids(unit)
        if ids:
            name = f"m{self.number}-{day}-{self._seq()}"
            move = Move(
                name,
                "signals",
                "warm",
                **unit,
                max_id=self._newest(),
                state="claimed",
                file_id=name,
                path=name,
            )
            self.moves.append(Publishing(self._write(claim, move), ids))

    @precondition(lambda self: self.moves)
    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        """Make a step of a move."""
        moving = data.draw(st.sampled_from(self.moves))
        upto = data.draw(st.integers(moving.done + 1, len(moving.ids)))
        above = moving.ids[moving.done - 1] if moving.done else 0
        step = Step(above, moving.ids[upto - 1], upto - moving.done, last=upto == len(moving.ids))
        self._write(publish, SIGNALS, moving.move, moving.file(), step)
        moving.done = upto
        if step.last:
            self.moves.remove(moving)

    @rule()
    def refresh(self) -> None:
        """The copy equals a full read."""
        with HotSnapshot(self.database, self.copy) as snapshot:
            assert snapshot.hot("signals").to_pylist() == self._read(snapshot)

    @precondition(lambda self: len(self.older) < 3)
    @rule()
    def hold(self) -> None:
        """Hold a moment without reading it."""
        snapshot = HotSnapshot(self.database, self.copy)
        snapshot.__enter__()
        self.older.append((snapshot, self._read(snapshot)))

    @precondition(lambda self: self.older)
    @rule(place=st.integers(0, 2))
    def look_back(self, place: int) -> None:
        """A moment from before the copy still shows what it showed."""
        snapshot, expected = self.older.pop(place % len(self.older))
        with snapshot_released(snapshot):
            assert snapshot.hot("signals").to_pylist() == expected

    def _moment(self, day: int | None) -> int | None:
        return None if day is None else (DAY0 + day) * DAY_US + self.number * 1000

    def _write(self, operation: Any, *arguments: Any) -> Any:
        return self.database.writer.call(operation, *arguments, durability="normal")

    def _read(self, snapshot: HotSnapshot) -> list[dict[str, Any]]:
        assert snapshot._transaction is not None
        rows: list[dict[str, Any]] = read_rows(snapshot._transaction, SIGNALS).to_pylist()
        return rows

    def _seq(self) -> int:
        seq: int = self.database.readers.rows(self.database.statements["commit_position"])[0][0]
        return seq

    def _newest(self) -> int:
        newest: int = self.database.readers.rows("SELECT max(id) FROM signals")[0][0]
        return newest

    def _unit_ids(self, unit: dict[str, int]) -> list[int]:
        sql = (
            "SELECT id FROM signals WHERE closed_at >= :start_us AND closed_at < :end_us"
            " AND status IN ('won', 'lost') ORDER BY id"
        )
        return [row[0] for row in self.database.readers.rows(sql, unit)]


@contextlib.contextmanager
def snapshot_released(snapshot: HotSnapshot) -> Iterator[None]:
    try:
        yield
    finally:
        snapshot.release()


TestHistory = History.TestCase


def test_a_move_leaves_the_rows_that_may_not_leave_yet() -> None:
    history = History()
    try:
        for status in ("open", "won", "open", "lost"):
            history.insert(1, 0, status)
        history.insert(1, 1, "won")
        history.refresh()
        history.claim(0)
        moving = history.moves[0]
        history._write(publish, SIGNALS, moving.move, moving.file(), Step(0, moving.ids[0], 1, last=False))
        history.refresh()
        history._write(
            publish, SIGNALS, moving.move, moving.file(), Step(moving.ids[0], moving.ids[1], 1, last=True)
        )
        history.refresh()
        with HotSnapshot(history.database, history.copy) as snapshot:
            assert snapshot.hot("signals").column("number").to_pylist() == [1, 3, 5]
    finally:
        history.teardown()


@pytest.fixture
def ticks(tmp_path: Path) -> Iterator[HybridStore]:
    """Return a store that takes market trades."""
    with HybridStore(tmp_path / "root") as store:
        yield store


def record(store: HybridStore, first: int, count: int, day: int = DAY0) -> None:
    rows = [
        ("BTC/USDT", number, number, 10**8, "buy", day * DAY_US + number, day * DAY_US)
        for number in range(first, first + count)
    ]
    store.database.writer.call(
        lambda session: session.executemany(session.sql["insert_market_trades"], rows), durability="normal"
    )


def copied(store: HybridStore, copy: ArrowCopy, dataset: str = "market_trades") -> pa.Table:
    with HotSnapshot(store.database, copy) as snapshot:
        return snapshot.hot(dataset)


def test_nothing_new_costs_nothing(ticks: HybridStore) -> None:
    copy = ArrowCopy(ticks.database.statements)
    record(ticks, 0, 10)
    first = copied(ticks, copy)

    assert copied(ticks, copy) is first
    assert copy.size_bytes == first.nbytes


def test_new_rows_are_appended_and_the_old_table_stays_as_it_was(ticks: HybridStore) -> None:
    copy = ArrowCopy(ticks.database.statements)
    record(ticks, 0, 10)
    first = copied(ticks, copy)
    record(ticks, 10, 5)
    second = copied(ticks, copy)

    assert (first.num_rows, second.num_rows) == (10, 15)
    # What was there is shared, not copied.
    assert (
        second.column("price").chunk(0).buffers()[1].address
        == first.column("price").chunk(0).buffers()[1].address
    )


def test_many_refreshes_leave_few_chunks(ticks: HybridStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_copy, "_CHUNKS_MAX", 8)
    copy = ArrowCopy(ticks.database.statements)
    for number in range(30):
        record(ticks, number, 1)
        assert copied(ticks, copy).column(0).num_chunks <= 8
    assert copied(ticks, copy).column("trade_id").to_pylist() == list(range(30))


def test_a_state_dataset_is_read_anew(ticks: HybridStore) -> None:
    copy = ArrowCopy(ticks.database.statements)
    ticks.record_balance_update("BTC", 1)
    assert copied(ticks, copy, "balances").column("balance").to_pylist() == [1]
    ticks.record_balance_update("BTC", 2)

    assert copied(ticks, copy, "balances").column("balance").to_pylist() == [2]
    assert copied(ticks, copy, "balance_history").column("balance").to_pylist() == [1, 2]


def test_forgetting_gives_the_memory_back(ticks: HybridStore) -> None:
    copy = ArrowCopy(ticks.database.statements)
    record(ticks, 0, 10)
    copied(ticks, copy)
    copy.forget()

    assert copy.size_bytes == 0
    assert copied(ticks, copy).num_rows == 10


def test_what_was_read_stays_after_the_release(ticks: HybridStore) -> None:
    record(ticks, 0, 3)
    snapshot = HotSnapshot(ticks.database, ArrowCopy(ticks.database.statements))
    with snapshot:
        rows = snapshot.hot("market_trades")
        assert snapshot.manifest("market_trades") == ()
    assert snapshot.hot("market_trades") is rows
    assert ticks.database.readers.statistics()["active_connections"] == 0
    with pytest.raises(StoreError, match="this snapshot is over"):
        snapshot.hot("candles")


def test_threads_see_whole_commits(ticks: HybridStore, rng: Random) -> None:
    """Each commit adds ten rows, and no reader sees a part of one, or fewer rows than before."""
    copy = ArrowCopy(ticks.database.statements)
    wrong: list[str] = []
    stop = threading.Event()

    def read() -> None:
        before = 0
        while not stop.is_set():
            numbers = copied(ticks, copy).column("trade_id").to_pylist()
            if len(numbers) % 10 or len(numbers) < before or len(set(numbers)) != len(numbers):
                wrong.append(f"{before} -> {len(numbers)}")
            before = len(numbers)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(40):
        record(ticks, number * 10, 10, day=DAY0 + rng.randrange(3))
    stop.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert copied(ticks, copy).num_rows == 400


def test_the_purge_statement_reads_no_more_than_the_moves_it_asks_for(ticks: HybridStore) -> None:
    plan = ticks.database.readers.plan(ticks.database.statements["purges_since"])
    assert any("archive_moves_by_dataset_finished_at (dataset=? AND finished_at>?)" in line for line in plan)
    assert not any(line.startswith("SCAN") for line in plan)
