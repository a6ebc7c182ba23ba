"""Every guard as a store tells it: at once where it is asked, within a second where it has to be noticed."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore.clock import DAY_US, SECOND_US, ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import StoreClosed, StoreMoved
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from tests.faults.tmpfs import Filler, small_disk
from tests.hot.bare import of_guard, open_database, touch
from tests.hot.books import START_US
from tests.hot.children import run

GUARDS = [
    "process",
    "files",
    "permissions",
    "second_sqlite",
    "watermark",
    "disk",
    "log",
    "readers",
    "clock",
]
PATIENCE_S = 20.0
MIB = 1 << 20
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows neither forks nor moves open files")


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what housekeeping has to notice."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "nobody noticed"
        time.sleep(0.02)


def condemned(database: DatabaseManager) -> bool:
    try:
        database.readers.rows("SELECT 1")
    except StoreMoved:
        return True
    return False


def test_a_store_that_is_well_says_so_of_every_guard(root: Path) -> None:
    database = open_database(root)
    touch(database)
    reports = database.guards()
    assert [report.guard for report in reports] == GUARDS
    assert {report.state for report in reports} == {"ok"}
    assert {report.remedy for report in reports} == {None}
    assert all(report.message for report in reports)
    assert database.statistics()["warnings"] == []
    assert database.statistics()["guards"] == [report.to_dict() for report in database.guards()]
    database.shutdown()
    for call in (database.guards, database.accept_loss):
        with pytest.raises(StoreClosed):
            call()


FORK = """
import os, sys
from tests.hot.bare import open_database, touch

database = open_database(sys.argv[1])
touch(database)
pid = os.fork()
if pid == 0:
    (report,) = database.guards()
    good = report.guard == "process" and report.state == "alarm" and "spawn" in report.remedy
    os._exit(0 if good and str(os.getpid()) in report.message else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert {report.state for report in database.guards()} == {"ok"}
database.shutdown()
"""


@posix
def test_a_forked_child_is_told_what_it_is(root: Path) -> None:
    run(FORK, root)


@posix
def test_readers_notice_a_replaced_database(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = open_database(root)
    touch(database)
    assert not condemned(database)
    path, aside = database.path, root / "aside.db"
    path.rename(aside)
    path.touch()
    (report,) = of_guard(database, "files")
    assert report.state == "alarm", "whoever asks is told at once"
    eventually(lambda: condemned(database))
    with pytest.raises(StoreMoved, match="moved or replaced"):
        touch(database)
    assert [record.levelno for record in caplog.records] == [logging.ERROR], "it is said once"
    path.unlink()
    aside.rename(path)
    eventually(lambda: not condemned(database))
    touch(database)
    assert of_guard(database, "files")[0].state == "ok"
    database.shutdown()


@posix
@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_log_that_is_gone_is_noticed_without_a_write(root: Path, what: str) -> None:
    database = open_database(root)
    acknowledged = [touch(database) for _ in range(3)][-1]
    assert not condemned(database)
    log = root / f"{DATABASE_NAME}-wal"
    kept = log.read_bytes()
    log.unlink()
    if what == "replaced":
        log.write_bytes(kept)  # the same commits in another file
    eventually(lambda: condemned(database))
    (report,) = of_guard(database, "files")
    assert report.state == "alarm"
    assert f"to {acknowledged} may be lost" in report.message
    with pytest.raises(StoreMoved):
        touch(database)
    database.shutdown()
    assert log.exists() is (what == "replaced"), "what others may be using is left alone"
    again = open_database(root)
    (told,) = of_guard(again, "watermark")
    if what == "removed":
        assert told.state == "alarm"
        assert f"commit {acknowledged} of" in told.message
    else:
        assert told.state == "ok"
    again.shutdown()


@posix
def test_no_reader_is_opened_on_another_file(root: Path) -> None:
    """On an empty file SQLite would take our log for a leftover and remove it."""
    database = open_database(root)
    touch(database)
    path, aside = database.path, root / "aside.db"
    path.rename(aside)
    path.touch()
    assert condemned(database), "by the first read, not by housekeeping"
    assert (root / f"{DATABASE_NAME}-wal").exists()
    path.unlink()
    aside.rename(path)
    eventually(lambda: not condemned(database))
    touch(database)
    database.shutdown()


@posix
def test_a_commit_into_a_removed_log_is_not_acknowledged(root: Path) -> None:
    database = open_database(root)
    acknowledged = touch(database)
    (root / f"{DATABASE_NAME}-wal").unlink()
    with pytest.raises(StoreMoved, match=rf"commits up to {acknowledged + 1} may be lost") as caught:
        touch(database)
    assert caught.value.path == str(root / f"{DATABASE_NAME}-wal")
    assert caught.value.hint is not None
    for _ in range(2):
        with pytest.raises(StoreMoved):
            touch(database)
    assert condemned(database)
    database.shutdown()


@posix
def test_a_condemned_store_copies_nothing_over_what_another_wrote(root: Path, tmp_path: Path) -> None:
    """Closing it must not put its own log's pages over those of whoever opened the database since."""
    database = open_database(root)
    for _ in range(20):
        touch(database)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in (f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm"):
        (root / name).rename(elsewhere / name)
    eventually(lambda: condemned(database))
    script = (
        "import sys\nfrom tests.hot.bare import open_database, touch\n"
        "database = open_database(sys.argv[1])\nprint([touch(database) for _ in range(2)][-1])\n"
        "database.shutdown()\n"
    )
    seq = int(run(script, root))
    database.shutdown()
    again = open_database(root)
    assert again.readers.rows("SELECT seq FROM commit_clock") == [(seq,)]
    assert again.readers.rows("SELECT * FROM pragma_integrity_check") == [("ok",)]
    again.shutdown()


def test_little_space_is_told(root: Path) -> None:
    database = open_database(root)
    assert of_guard(database, "disk")[0].state == "ok"
    free_mb = shutil.disk_usage(root).free // MIB
    database.config.disk_low_mb = free_mb * 2
    (report,) = of_guard(database, "disk")
    assert report.state == "warning"
    assert str(root) in report.message
    assert report.sentence() in database.statistics()["warnings"]
    database.shutdown()


def test_hardly_any_space_is_an_alarm(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 80) as disk:
        database = open_database(disk / "root")
        assert of_guard(database, "disk")[0].state == "warning"
        Filler(disk / "filler").fill(left_kib=8_192)
        (report,) = of_guard(database, "disk")
        assert report.state == "alarm"
        assert report.remedy is not None
        touch(database)
        database.shutdown()


def grow(session: WriteSession) -> None:
    """Make the log longer by 100 KiB."""
    session.execute("CREATE TABLE IF NOT EXISTS padding (content BLOB)")
    session.execute("INSERT INTO padding VALUES (randomblob(100000))")


def test_a_log_that_is_too_large_is_told_with_whom_it_waits_for(root: Path) -> None:
    config = DatabaseConfig(
        database_path=str(root / DATABASE_NAME), wal_limit_mb=1, wal_checkpoint_mb=1, durability="normal"
    )
    database = DatabaseManager(config)
    database.open()
    with database.readers.transaction() as reader:
        reader.rows("SELECT seq FROM commit_clock")
        for _ in range(20):
            database.writer.call(grow)
        (report,) = of_guard(database, "log")
        assert report.state == "warning"
        assert "the write-ahead log has 1 MiB" in report.message or "has 2 MiB" in report.message
        assert "the oldest reader of this process is" in report.message
        for _ in range(40):
            database.writer.call(grow)
        assert of_guard(database, "log")[0].state == "alarm"
    assert "another process" in of_guard(database, "log")[0].message
    database.shutdown()


def test_readers_that_were_ended_are_counted(root: Path) -> None:
    database = open_database(root)
    database.config.reader_max_age_s = 0.01
    with database.readers.transaction() as reader:
        eventually(lambda: reader.expired)
    (report,) = of_guard(database, "readers")
    assert (report.state, report.message) == ("ok", "no reader is too old; 1 were ended for their age so far")
    database.shutdown()


def test_a_clock_that_goes_back_is_told(root: Path) -> None:
    clock = ManualClock(START_US)
    database = DatabaseManager(DatabaseConfig(database_path=str(root / DATABASE_NAME)), clock=clock)
    database.open()
    touch(database)
    assert of_guard(database, "clock")[0].state == "ok"
    clock.advance(-90 * SECOND_US)
    (report,) = of_guard(database, "clock")
    assert report.state == "warning"
    assert "90.0 s ahead" in report.message
    touch(database)
    clock.advance(-2 * DAY_US)
    assert of_guard(database, "clock")[0].state == "alarm"
    clock.set(START_US + SECOND_US)
    assert of_guard(database, "clock")[0].state == "ok"
    database.shutdown()
