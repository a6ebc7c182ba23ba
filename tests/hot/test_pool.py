"""Readers: a bounded number, of one moment each, ended when they grow too old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue

import pytest

from hybridstore.errors import StoreBusy, StoreClosed, StoreError
from hybridstore.hot import pool
from hybridstore.hot.reader import ReadTransaction
from hybridstore.store import HybridStore

COUNT = "SELECT count(*) FROM balances"
ENDLESS = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_snapshot_is_of_one_moment(store: HybridStore) -> None:
    store.record_balance_update("A", 1)
    with store.database.readers.transaction() as snapshot:
        assert snapshot.rows(COUNT) == [(1,)]
        store.record_balance_update("B", 1)
        assert snapshot.rows(COUNT) == [(1,)]
        assert store.database.readers.rows(COUNT) == [(2,)]
    with store.database.readers.transaction() as snapshot:
        assert snapshot.rows(COUNT) == [(2,)]


def test_a_reader_cannot_write(store: HybridStore) -> None:
    with pytest.raises(StoreError), store.database.readers.transaction() as snapshot:
        snapshot.rows("DELETE FROM balances")
    with pytest.raises(StoreError):
        store.database.readers.rows("DELETE FROM balances")
    store.record_balance_update("BTC", 1)
    assert store.get_latest_balance("BTC") is not None


def test_a_snapshot_that_is_over_says_so(store: HybridStore) -> None:
    with store.database.readers.transaction() as snapshot:
        pass
    with pytest.raises(StoreError, match="snapshot"):
        snapshot.rows(COUNT)


def test_the_number_of_connections_is_bounded(
    opened: Callable[..., HybridStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_WAIT_S", 0.1)
    store = opened(max_connections=3, balance_query_timeout=10_000)
    with ExitStack() as stack:
        held = [stack.enter_context(store.database.readers.transaction()) for _ in range(3)]
        assert [one.rows(COUNT) for one in held] == [[(0,)]] * 3
        with pytest.raises(StoreBusy, match="all 3 reader connections are in use") as caught:
            store.get_latest_balance("BTC")
        assert caught.value.retryable
        assert "max_connections" in str(caught.value)
        statistics = store.database.readers.statistics()
        assert (statistics["total_connections"], statistics["active_connections"]) == (3, 3)
    assert store.get_latest_balance("BTC") is None
    assert store.database.readers.statistics()["total_connections"] == 3


@pytest.mark.parametrize("connections", [1, 2])
def test_idle_readers_of_one_kind_do_not_lock_out_the_other(
    opened: Callable[..., HybridStore], connections: int
) -> None:
    """Point reads and snapshots share the limit: what is idle may become what is needed."""
    store = opened(max_connections=connections)
    for _ in range(2):
        with ExitStack() as stack:
            for _ in range(connections):
                stack.enter_context(store.database.readers.transaction()).rows(COUNT)
        together = threading.Barrier(connections)

        def read(together: threading.Barrier = together) -> None:
            together.wait(10)
            store.get_latest_balance("BTC")

        threads = [threading.Thread(target=read) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert store.get_portfolio_summary().equity == 0, "locked out it would be refused"
    assert store.database.readers.statistics()["total_connections"] <= connections


def test_who_waits_for_a_connection_gets_the_next_free_one(opened: Callable[..., HybridStore]) -> None:
    store = opened(max_connections=1, balance_query_timeout=10_000)
    answered: list[object] = []
    with store.database.readers.transaction() as snapshot:
        snapshot.rows(COUNT)
        readers = [
            threading.Thread(target=lambda: answered.append(store.get_latest_balance("BTC")))
            for _ in range(4)
        ]
        for reader in readers:
            reader.start()
        time.sleep(0.05)
        assert answered == []
    for reader in readers:
        reader.join(10)
    assert answered == [None] * 4


def test_a_snapshot_that_is_too_old_is_ended(opened: Callable[..., HybridStore]) -> None:
    store = opened(reader_max_age_s=0.1)
    with store.database.readers.transaction() as snapshot:
        wait_until(lambda: snapshot.expired)
        with pytest.raises(StoreError, match=r"closed after 0\.1 s") as caught:
            snapshot.rows(COUNT)
        assert "reader_max_age_s" in str(caught.value)
    assert store.database.readers.statistics()["expired_readers"] == 1
    store.config.reader_max_age_s = 60.0  # else a machine that stalls ends the next one, too
    with store.database.readers.transaction() as snapshot:
        assert snapshot.rows(COUNT) == [(0,)]


def test_a_statement_that_runs_too_long_is_ended_too(opened: Callable[..., HybridStore]) -> None:
    """While it runs the log cannot shrink, and nothing else would ever end it."""
    store = opened(reader_max_age_s=0.2)
    with (
        store.database.readers.transaction() as snapshot,
        pytest.raises(StoreError, match=r"closed after 0\.2 s"),
    ):
        snapshot.rows(ENDLESS)
    assert store.database.readers.statistics()["expired_readers"] == 1
    assert store.get_latest_balance("BTC") is None


def test_closing_ends_a_statement_that_runs(root: Path) -> None:
    store = HybridStore(root).open()
    ended: list[BaseException] = []
    running = threading.Event()

    def scan() -> None:
        try:
            with store.database.readers.transaction() as snapshot:
                snapshot.rows(COUNT)
                running.set()
                snapshot.rows(ENDLESS)
        except BaseException as error:  # noqa: BLE001  whatever it is, the test shows it
            ended.append(error)

    thread = threading.Thread(target=scan)
    thread.start()
    assert running.wait(10)
    time.sleep(0.05)
    store.close()
    thread.join(10)
    assert [type(error) for error in ended] == [StoreClosed]


def test_reading_after_the_close_says_closed(root: Path) -> None:
    with HybridStore(root) as store:
        readers = store.database.readers
        readers.rows(COUNT)
    with pytest.raises(StoreClosed):
        readers.rows(COUNT)
    with pytest.raises(StoreClosed), readers.transaction():
        pass


def test_a_reader_between_two_statements_keeps_the_log_and_later_frees_it(
    opened: Callable[..., HybridStore],
) -> None:
    store = opened(wal_limit_mb=1, wal_checkpoint_mb=1)
    wal = Path(f"{store.database.path}-wal")
    rows = [("A", number, 0, "x" * 200, None, None, None, None, None, None) for number in range(4000)]
    with store.database.readers.transaction() as snapshot:
        snapshot.rows(COUNT)
        store.batch_update_balances(rows)
        store.batch_update_balances(rows)
        assert any("write-ahead log" in warning for warning in store.database.statistics()["warnings"])
        grown = wal.stat().st_size
    wait_until(lambda: _grows_no_more(store, wal, rows, grown))


def _grows_no_more(store: HybridStore, wal: Path, rows: Sequence[object], grown: int) -> bool:
    """The log is written from its start again once everything in it was copied back."""
    store.record_balance_update("B", 1)
    before = wal.stat().st_size
    store.batch_update_balances(rows[:100])
    return before == wal.stat().st_size and before >= grown


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something another thread does."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def test_a_changed_setting_reaches_idle_readers_and_those_that_come_back(
    opened: Callable[..., HybridStore],
) -> None:
    store = opened(cache_size_mb=8)
    readers = store.database.readers
    assert readers.rows("PRAGMA cache_size") == [(-8 * 1024,)]
    with readers.transaction() as snapshot:
        assert snapshot.rows("PRAGMA mmap_size") != [(0,)]
        store.config.cache_size_mb = 256
        store.config.enable_memory_mapping = False
        wait_until(lambda: readers.rows("PRAGMA cache_size") == [(-256 * 1024,)])
        assert snapshot.rows("PRAGMA cache_size") == [(-8 * 1024,)], "what runs is left alone"

    def present() -> bool:
        with readers.transaction() as later:
            return later.rows("PRAGMA cache_size") == [(-256 * 1024,)] and later.rows("PRAGMA mmap_size") == [
                (0,)
            ]

    wait_until(present)


def test_fewer_connections_take_effect_while_the_store_is_open(opened: Callable[..., HybridStore]) -> None:
    store = opened(max_connections=4)
    readers = store.database.readers
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(readers.transaction())
        store.config.max_connections = 2
        assert readers.statistics()["total_connections"] == 4, "what runs is left alone"
    wait_until(lambda: readers.statistics()["total_connections"] <= 2)
    assert readers.rows(COUNT) == [(0,)]
    assert readers.statistics()["max_connections"] == 2


def test_an_older_snapshot_is_allowed_from_the_next_one_on(opened: Callable[..., HybridStore]) -> None:
    store = opened(reader_max_age_s=0.05)
    store.config.reader_max_age_s = 60.0
    with store.database.readers.transaction() as snapshot:
        time.sleep(0.12)
        assert snapshot.rows(COUNT) == [(0,)]


class _SlowLock:
    """A transaction's lock: who waits for it to end a statement goes on only when its connection is somebody else's."""

    def __init__(self, leave: threading.Event, left: threading.Event) -> None:
        self._lock = threading.Lock()
        self._leave = leave
        self._left = left

    def acquire(self, timeout: float = -1) -> bool:
        got = self._lock.acquire(timeout=timeout)
        if not got:
            self._leave.set()
            assert self._left.wait(10)
            time.sleep(0.05)  # whoever has the connection is in the middle of a statement
        return got

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _hold(
    readers: pool.ReaderPool, left: threading.Event, then: Callable[[], object]
) -> tuple[ReadTransaction, threading.Thread]:
    """Run a statement in a transaction of another thread until somebody wants to end it; ``then`` sets ``left``."""
    leave = threading.Event()
    held: SimpleQueue[ReadTransaction] = SimpleQueue()

    def work() -> None:
        with suppress(StoreClosed), readers.transaction() as transaction:
            slow = _SlowLock(leave, left)
            transaction._lock = slow  # type: ignore[assignment]
            with slow:  # as while a statement runs
                held.put(transaction)
                assert leave.wait(10)
        then()

    thread = threading.Thread(target=work)
    thread.start()
    return held.get(timeout=10), thread


def test_closing_while_a_transaction_ends_completes(store: HybridStore) -> None:
    """Its block gives the connection back between the closer's last look and its interrupt."""
    left = threading.Event()
    _, thread = _hold(store.database.readers, left, left.set)
    store.close()
    thread.join()
    assert not [one.name for one in threading.enumerate() if one.name.startswith("hybridstore")]
    with store as again:
        assert again.get_portfolio_summary().equity == 0


def test_who_gets_the_connection_of_an_ended_transaction_is_not_interrupted(
    opened: Callable[..., HybridStore],
) -> None:
    readers, left = opened(max_connections=1).database.readers, threading.Event()
    answers: list[object] = []

    def read() -> None:
        with readers.transaction() as transaction:
            left.set()
            answers.append(transaction.rows(ENDLESS.replace("FROM n)", "FROM n WHERE i < 2000000)")))

    old, thread = _hold(readers, left, read)
    old.end()
    thread.join()
    assert answers == [[(2_000_000,)]]
