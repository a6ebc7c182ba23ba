"""The logs: a line for every transaction, whatever is slow, and nothing that a full disk or a death can spoil."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybridstore.clock import ManualClock, SystemClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import InvalidValue, QueryTimeout, StorageFull
from hybridstore.hot import journal as journal_module
from hybridstore.hot.balance_updates import prepare_balance
from hybridstore.hot.balances import write_balance
from hybridstore.hot.journal import PERFORMANCE_NAME, TRANSACTIONS_NAME, Journal
from hybridstore.hot.journal_lines import shape_of
from hybridstore.hot.session import WriteSession
from hybridstore.store import HybridStore
from tests.faults.tmpfs import Filler, small_disk
from tests.hot.books import START_US, commit_seq
from tests.hot.children import REPOSITORY, run
from tests.hot.gate import Gate, put
from tests.hot.logs import lines, of_event, wait_until

SLOW = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n"
)


def holds_commit(root: Path, seq: int) -> bool:
    return any(line["seq"] == seq for line in of_event(lines(root), "commit"))


def settings(root: Path, **changes: Any) -> DatabaseConfig:
    return DatabaseConfig(database_path=str(root / DATABASE_NAME), **changes)


def warnings(store: HybridStore) -> list[str]:
    """Return what the status says about the logs, without what it says about this machine's disk."""
    return [text for text in store.database.statistics()["warnings"] if "the logs" in text]


def note(journal: Journal, numbers: range, operation: Callable[..., Any] = write_balance) -> None:
    for number in numbers:
        journal.committed(number, START_US + number, 0.001, [(operation,)], full=True)


@pytest.fixture
def journal(root: Path) -> Iterator[Journal]:
    """Return a journal without a store."""
    root.mkdir()
    opened = Journal(settings(root), ManualClock(START_US), {}, dict)
    yield opened
    opened.close({})


# -- what the lines say -----------------------------------------------------------------------------------------------


def test_every_transaction_has_its_line(root: Path, clock: ManualClock) -> None:
    with HybridStore(root, clock=clock) as store:
        gate = Gate(store)
        queued = [put(store, f"A{number}") for number in range(7)]
        gate.release()
        for future in queued:
            future.result(10)
        clock.advance(1_234_567)
        store.record_balance_update("BTC", 1, durability="normal")
        last_seq = commit_seq(store)
    opened, *commits, closed = lines(root)
    assert (opened["event"], closed["event"]) == ("open", "close")
    assert (opened["path"], opened["durability"]) == (str(root / DATABASE_NAME), "full")
    assert opened["sqlite"].startswith("3.")
    assert {line["event"] for line in commits} == {"commit"}
    seqs = [line["seq"] for line in commits]
    assert seqs == list(range(seqs[0], last_seq + 1)), "in order, none twice, none missing"
    held, batch, single = commits[-3:]
    assert (held["operations"], held["by_operation"]) == (1, {"_wait": 1})
    assert (batch["operations"], batch["by_operation"], batch["durability"]) == (
        7,
        {"write_balance": 7},
        "full",
    )
    assert (single["operations"], single["by_operation"]) == (1, {"write_balance": 1})
    assert (single["ts"], single["durability"]) == ("2026-08-01T12:00:01.234Z", "normal")
    assert all(line["pid"] == os.getpid() and line["duration_ms"] > 0 for line in commits)


def test_a_batch_of_several_operations(journal: Journal, root: Path) -> None:
    class Called:
        """An operation without a name that no set can hold."""

        __hash__ = None  # type: ignore[assignment]  # what is tested

        def __call__(self) -> None:
            pass

    journal.committed(1, START_US, 0.001, [(write_balance,), (put,), (write_balance,)], full=False)
    journal.committed(2, START_US, 0.001, [(Called(),)], full=False)
    journal.committed(3, START_US, 0.001, [(Called(),), (put,)], full=False)
    journal.close({})
    found = of_event(lines(root), "commit")
    assert [line["operations"] for line in found] == [3, 1, 2]
    counts = [line["by_operation"] for line in found]
    assert counts == [{"write_balance": 2, "put": 1}, {"Called": 1}, {"Called": 1, "put": 1}]


def test_failed_transactions_say_why(root: Path) -> None:
    with HybridStore(root) as store:
        writer = store.database.writer

        def refuse(_: WriteSession) -> None:
            raise InvalidValue("balance=NaN", hint="give a number")

        def half(_: WriteSession) -> None:
            raise ValueError("\ud83d is half of a character" + "x" * 1000)

        def fill(session: WriteSession) -> None:
            session.connection.pragma("max_page_count", session.connection.pragma("page_count"))
            session.execute("CREATE TABLE more (content TEXT) STRICT")

        for operation, kind in ((refuse, InvalidValue), (half, ValueError), (fill, StorageFull)):
            with pytest.raises(kind):
                writer.call(operation)
        store.record_balance_update("BTC", 1)
    refused, broken, full = of_event(lines(root), "failed")
    assert (refused["error"], refused["code"], refused["message"]) == ("InvalidValue", None, "balance=NaN")
    assert (refused["operations"], refused["by_operation"]) == (1, {"refuse": 1})
    assert broken["message"].startswith("\ud83d is half")
    assert len(broken["message"]) == 500
    assert (full["error"], full["code"]) == ("StorageFull", 13)
    assert "failed" not in {line["event"] for line in lines(root)[-2:]}, "work went on"


def test_slow_reads_and_writes_by_name(root: Path) -> None:
    config = settings(root, slow_query_ms=0)  # everything is
    with HybridStore(config=config) as store:
        store.record_balance_update("BTC", Decimal("98765.4321"))
        assert store.get_latest_balance("BTC") is not None
        with store.database.readers.transaction() as moment:
            moment.rows(store.database.statements["commit_position"])
        store.sql(
            "SELECT asset FROM balance_history WHERE balance <> 77001 AND asset <> 'hidden-words' -- why"
        )
        with pytest.raises(QueryTimeout):
            store.database.readers.rows(SLOW.replace("3000000", "90003000"), timeout_ms=5)
    found = lines(root, PERFORMANCE_NAME)
    reads = {line["statement"]: line["rows"] for line in of_event(found, "slow_read")}
    assert reads["latest_balance"] == 1
    assert reads["commit_position"] == 1
    assert reads[shape_of(SLOW)] == 0, "a cancelled statement is a slow one"
    (query,) = of_event(found, "slow_query")
    assert query["statement"] == "SELECT asset FROM balance_history WHERE balance <> ? AND asset <> ?"
    assert (query["rows"], query["duration_ms"] > 0) == (1, True)
    write = of_event(found, "slow_write")[-1]
    assert (write["operations"], write["by_operation"]) == (1, {"write_balance": 1})
    assert write["seq"] == of_event(lines(root), "commit")[-1]["seq"]
    written = "".join(path.read_text(encoding="utf-8") for path in (root / "logs").glob("*.log"))
    for value in ("98765", "77001", "hidden-words", "90003000"):
        assert value not in written


def test_only_what_is_slow_is_called_slow(root: Path) -> None:
    with HybridStore(config=settings(root, slow_query_ms=60_000)) as store:
        store.record_balance_update("BTC", 1)
        store.get_latest_balance("BTC")
        store.sql("SELECT count(*) FROM balance_history")
    (summary,) = lines(root, PERFORMANCE_NAME)
    assert (summary["event"], summary["slow"], summary["failed"]) == ("summary", 0, 0)
    with HybridStore(config=settings(root, slow_query_ms=50)) as store:
        store.database.readers.rows(SLOW)
    assert of_event(lines(root, PERFORMANCE_NAME), "slow_read")[0]["statement"] == shape_of(SLOW)
    assert lines(root, PERFORMANCE_NAME)[-1]["slow"] >= 1


def test_a_summary_counts_what_was_done(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_SUMMARY_S", 0.2)
    monkeypatch.setattr(journal_module, "_INTERVAL_S", 0.02)
    with HybridStore(root) as store:
        for number in range(20):
            store.record_balance_update("BTC", number)
        wait_until(lambda: lines(root, PERFORMANCE_NAME))
        statistics = store.database.statistics()
    summaries = of_event(lines(root, PERFORMANCE_NAME), "summary")
    assert sum(line["commits"] for line in summaries) == statistics["commits"]
    assert sum(line["operations"] for line in summaries) == statistics["operations"]
    first = summaries[0]
    assert first["commit_max_ms"] >= first["commit_p99_ms"] >= first["commit_p50_ms"] > 0
    assert first["connection_pool"]["max_connections"] == 20
    assert first["wal_size_mb"] >= 0
    assert first["seconds"] >= 0.2


# -- when nothing can be written --------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_costs_no_write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_RETRY_S", 0.02)
    root.mkdir(stat.S_IRWXU)
    (root / "logs").write_text("in the way", encoding="utf-8")
    with HybridStore(root) as store:
        store.record_balance_update("BTC", 1)
        wait_until(lambda: warnings(store))
        (warning,) = warnings(store)
        assert str(root / "logs") in warning
        assert "writes to the store go on" in warning
        store.record_balance_update("BTC", 2)
        (root / "logs").unlink()
        wait_until(lambda: not warnings(store))
    commits = of_event(lines(root), "commit")
    assert [line["by_operation"] for line in commits[-2:]] == [{"write_balance": 1}] * 2, "nothing was lost"


def test_more_than_can_wait_is_counted(journal: Journal, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_RETRY_S", 0.02)
    monkeypatch.setattr(journal_module, "QUEUE_MAX", 100)
    wait_until(lambda: lines(root))
    shutil.rmtree(root / "logs")
    (root / "logs").write_text("in the way", encoding="utf-8")
    note(journal, range(300))
    wait_until(lambda: len(journal.warnings()) == 2)
    (root / "logs").unlink()
    wait_until(lambda: len(journal.warnings()) == 1)
    note(journal, range(300, 301))
    journal.close({})
    dropped = sum(line["lines"] for line in of_event(lines(root), "dropped"))
    assert dropped > 0
    assert len(of_event(lines(root), "commit")) + dropped == 301
    (warning,) = journal.warnings()
    assert warning.startswith(f"{dropped} lines")


def test_a_full_disk_costs_no_write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_RETRY_S", 0.02)
    logs = root / "logs"
    root.mkdir(stat.S_IRWXU)
    logs.mkdir()
    with small_disk(logs, 1):
        filler = Filler(logs / "filler")
        with HybridStore(root) as store:
            filler.fill(left_kib=8)
            for number in range(200):  # more than is left
                store.record_balance_update("BTC", number)
            wait_until(lambda: warnings(store))
            assert os.strerror(28) in warnings(store)[0]
            filler.free()
            wait_until(lambda: not warnings(store))
            last_seq = commit_seq(store)
        seqs = [line["seq"] for line in of_event(lines(root), "commit")]
    assert seqs == list(range(seqs[0], last_seq + 1))
    assert len(seqs) > 200


def test_no_logs_where_none_are_wanted(root: Path) -> None:
    with HybridStore(config=settings(root, enable_logs=False)) as store:
        assert "hybridstore-journal" not in {thread.name for thread in threading.enumerate()}
        store.record_balance_update("BTC", 1)
        store.get_latest_balance("BTC")
        store.sql("SELECT count(*) FROM balance_history")
        assert warnings(store) == []
    assert not (root / "logs").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_logs_are_private(root: Path) -> None:
    before = os.umask(0)
    try:
        with HybridStore(root) as store:
            store.record_balance_update("BTC", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "logs").stat().st_mode) == stat.S_IRWXU
    for path in (root / "logs").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR, path


# -- the thread -------------------------------------------------------------------------------------------------------


def test_whoever_sleeps_is_woken(journal: Journal, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_IDLE_ROUNDS", 1)
    monkeypatch.setattr(journal_module, "_INTERVAL_S", 0.02)
    for number in range(3):
        wait_until(lambda: journal._asleep)
        note(journal, range(number, number + 1))
        wait_until(partial(holds_commit, root, number))
    wait_until(lambda: journal._asleep)
    journal.close({})
    assert [line["event"] for line in lines(root)] == ["open", "commit", "commit", "commit", "close"]


def test_closing_writes_all_there_is(journal: Journal, root: Path) -> None:
    note(journal, range(5000))
    journal.close({"wal_size_mb": 7})
    journal.close({})
    assert [line["seq"] for line in of_event(lines(root), "commit")] == list(range(5000))
    (summary,) = lines(root, PERFORMANCE_NAME)
    assert (summary["commits"], summary["wal_size_mb"]) == (5000, 7)


def test_figures_that_fail_cost_only_themselves(root: Path) -> None:
    def gone() -> dict[str, Any]:
        raise OSError("the file is gone")

    root.mkdir()
    journal = Journal(settings(root), SystemClock(), {}, gone)
    note(journal, range(3))
    journal._sum_up()
    journal.close({})
    assert sum(line["commits"] for line in lines(root, PERFORMANCE_NAME)) == 3


# -- the documents ----------------------------------------------------------------------------------------------------


def test_the_documented_lines_are_the_written_ones(root: Path) -> None:
    """Every example in docs/operating.md has the fields, in the order, of a line that was really written."""
    text = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
    examples = [
        json.loads(line)
        for block in re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
        if '"event"' in line
    ]
    config = settings(root, slow_query_ms=0)
    with HybridStore(config=config) as store:
        store.database.writer.call(write_balance, prepare_balance("BTC", 1))
        store.get_latest_balance("BTC")
        store.sql("SELECT count(*) FROM balance_history")
        with pytest.raises(ZeroDivisionError):
            store.database.writer.call(lambda _: 1 // 0)
    real = {
        line["event"]: line for name in (TRANSACTIONS_NAME, PERFORMANCE_NAME) for line in lines(root, name)
    }
    assert {example["event"] for example in examples} == real.keys() | {"dropped"}
    for example in examples:
        if example["event"] != "dropped":
            assert list(example) == list(real[example["event"]])


def test_a_store_keeps_its_own_logs(root: Path) -> None:
    """Two stores of one process at one root, and one that opens again, share the files."""
    config = settings(root)
    with HybridStore(config=config) as one, HybridStore(config=msgspec.structs.replace(config)) as two:
        one.record_balance_update("BTC", 1)
        two.record_balance_update("BTC", 2)
    printed = run(
        "import sys; from hybridstore import HybridStore; HybridStore(sys.argv[1]).open(); print(7)", root
    )
    assert printed == "7\n"
    found = lines(root)
    assert [len(of_event(found, event)) for event in ("open", "close")] == [3, 3]
    seqs = sorted(line["seq"] for line in of_event(found, "commit"))
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
