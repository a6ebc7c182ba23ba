"""Locks that another SQLite library dropped: taken again, told of once they are back, and never a silent loss."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridstore.clock import SystemClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.hot import foreign_sqlite
from hybridstore.hot.connection import open_connection
from hybridstore.hot.foreign_sqlite import LockWatch
from tests.hot.bare import of_guard, open_database, told, touch
from tests.hot.children import hear, run, say, start

PATIENCE_S = 20.0
linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux shows which locks are held (/proc/locks)"
)


UNSEEN = """
def unseen(path):
    '''Open a database as a library would that tells Python nothing.'''
    kept, foreign_sqlite._Stores.open = foreign_sqlite._Stores.open, {}
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("SELECT * FROM commit_clock").fetchall()
    foreign_sqlite._Stores.open = kept
    return connection

"""

FOREIGN_CLOSE_WHILE_WRITING = f"""
import os, sqlite3, sys, threading, time
from hybridstore import StoreMoved
from hybridstore.hot import foreign_sqlite
from tests.hot.bare import open_database, touch
{UNSEEN}
database = open_database(sys.argv[1])
foreign = unseen(database.path)
acknowledged, refused = [], []

def write():
    while not refused:
        try:
            acknowledged.append(touch(database))
        except StoreMoved as error:
            refused.append(error)

writers = [threading.Thread(target=write) for _ in range(3)]
for writer in writers:
    writer.start()
while len(acknowledged) < 300:
    time.sleep(0.001)
foreign.close()
for writer in writers:
    writer.join()
for use in (lambda: touch(database), lambda: database.readers.rows("SELECT 1")):
    try:
        use()
    except StoreMoved as error:
        assert "close the store" in error.hint, error
    else:
        raise AssertionError("a store whose log is gone was used")
(files,) = [one for one in database.guards() if one.guard == "files"]
assert files.state == "alarm", files
assert "may be lost" in files.message, files
print(max(acknowledged), flush=True)
if sys.argv[2] == "killed":
    time.sleep(1.5)  # housekeeping tells the watermark what was acknowledged
    os._exit(0)
database.shutdown()
again = open_database(sys.argv[1])  # the same process can go on
print(again.readers.rows("SELECT seq FROM commit_clock")[0][0])
print([one.state for one in again.guards() if one.guard in ("files", "second_sqlite")])
print(touch(again))
print(again.guards()[3].message)
again.shutdown()
"""


@linux
def test_no_commit_is_lost_when_another_library_removes_the_log(root: Path) -> None:
    open_database(root).shutdown()
    printed = run(FOREIGN_CLOSE_WHILE_WRITING, root, "closed").splitlines()
    acknowledged, found, after = int(printed[0]), int(printed[1]), int(printed[3])
    assert printed[2] == "['ok', 'ok']"
    assert after == found + 1
    if "/proc/locks" in printed[4]:  # the log was put back when the store was closed
        assert found >= acknowledged
        assert [one.state for one in told(root)] == ["ok"]


@linux
def test_no_commit_is_lost_in_silence_when_the_process_dies_too(root: Path) -> None:
    open_database(root).shutdown()
    acknowledged = int(run(FOREIGN_CLOSE_WHILE_WRITING, root, "killed"))
    (report,) = told(root)
    database = open_database(root)
    found = database.readers.rows("SELECT seq FROM commit_clock")[0][0]
    database.shutdown()
    # What was committed between the other library's last checkpoint and its removal of the log.
    assert report.state == ("alarm" if found < acknowledged else "ok")
    if found < acknowledged:
        assert f"commit {acknowledged} of" in report.message
        assert f"commit {found} of" in report.message


OTHER_PROCESS_MEANWHILE = f"""
import sqlite3, subprocess, sys
from hybridstore import StoreMoved
from hybridstore.hot import foreign_sqlite
from tests.hot.bare import open_database, touch
{UNSEEN}
database = open_database(sys.argv[1])
for _ in range(5):
    seq = touch(database)
unseen(database.path).close()
try:
    touch(database)
except StoreMoved:
    pass
code = (
    "import sys; from tests.hot.bare import open_database, touch; database = open_database(sys.argv[1]);"
    "print(touch(database)); database.shutdown()"
)
other = int(subprocess.run([sys.executable, "-c", code, sys.argv[1]], capture_output=True, check=True).stdout)
assert other == seq + 1, (other, seq)
database.shutdown()
print(other)
"""


@linux
def test_a_log_is_not_put_back_over_what_another_process_wrote(root: Path) -> None:
    other = int(run(OTHER_PROCESS_MEANWHILE, root))
    assert not (root / f"{DATABASE_NAME}-wal").exists()
    database = open_database(root)
    assert database.readers.rows("SELECT seq FROM commit_clock") == [(other,)]
    assert database.readers.rows("SELECT * FROM pragma_integrity_check") == [("ok",)]
    database.shutdown()


FOREIGN_CLOSE = f"""
import sqlite3, sys, time
from hybridstore.hot import foreign_sqlite
from tests.hot.bare import open_database, touch
{UNSEEN}
database = open_database(sys.argv[1])
touch(database)
foreign = unseen(database.path)
print("open", flush=True)
sys.stdin.readline()
foreign.close()
deadline = time.monotonic() + 20
while (report := [one for one in database.guards() if one.guard == "second_sqlite"][0]).state == "ok":
    assert time.monotonic() < deadline
    touch(database)
print(report.state, report.message, report.remedy, flush=True)
sys.stdin.readline()
print(touch(database), [one.state for one in database.guards() if one.guard == "files"], flush=True)
sys.stdin.readline()
"""


def locks_of(pid: int) -> int:
    """Return how many locks a process that sleeps holds: each listing comes in pieces and may lack one."""
    listings = [foreign_sqlite.LOCKS.read_text(encoding="ascii").splitlines() for _ in range(3)]
    return max(sum(line.split()[4] == str(pid) for line in listing) for listing in listings)


@linux
def test_dropped_locks_are_taken_again(root: Path) -> None:
    database = open_database(root)
    if "/proc/locks" not in of_guard(database, "second_sqlite")[0].message:
        database.shutdown()
        pytest.skip("this system does not show locks in /proc/locks")
    touch(database)
    child = start(FOREIGN_CLOSE, root)
    hear(child, "open")
    say(child, "close the other library")
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line.startswith("alarm another SQLite library in this process closed the hot database"), line
    assert "were taken again" in line
    assert "store.sql" in line
    assert locks_of(child.pid) == 2
    touch(database)
    database.shutdown()  # without the child's locks this process would take itself for the last and remove the log
    assert database.path.with_name(f"{DATABASE_NAME}-wal").exists()
    say(child, "write")
    seq, states = child.stdout.readline().split(" ", 1)
    assert states == "['ok']\n"
    child.kill()
    child.communicate(timeout=PATIENCE_S)
    again = open_database(root)
    assert again.readers.rows("SELECT seq FROM commit_clock") == [(int(seq),)]
    again.shutdown()


@linux
def test_a_raw_look_at_the_file_is_noticed_and_mended(root: Path) -> None:
    """Who reads the database like any file drops the locks as well."""
    database = open_database(root)
    if "/proc/locks" not in of_guard(database, "second_sqlite")[0].message:
        database.shutdown()
        pytest.skip("this system does not show locks in /proc/locks")
    assert database.path.read_bytes()
    deadline = time.monotonic() + PATIENCE_S
    while (report := of_guard(database, "second_sqlite")[0]).state == "ok":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "were taken again" in report.message
    touch(database)
    database.shutdown()


@pytest.fixture
def watch(root: Path) -> Iterator[LockWatch]:
    """Return a watch of a database that nobody else in this process watches."""
    root.mkdir()
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME))
    connection = open_connection(config, write=True)
    connection.execute("SELECT * FROM sqlite_schema").fetchall()
    found = LockWatch(config.path, SystemClock())
    try:
        if "/proc/locks" not in found.report().message:
            pytest.skip("this system does not show locks in /proc/locks")
        yield found
    finally:
        connection.close()


@linux
def test_locks_are_not_said_to_be_back_before_they_are(
    watch: LockWatch, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others report while housekeeping takes them, one after the other."""
    take, meanwhile = foreign_sqlite._take_again, []

    def take_and_tell(lock: foreign_sqlite._Lock) -> bool:
        meanwhile.append((watch.report().state, locks_of(os.getpid())))
        return take(lock)

    monkeypatch.setattr(foreign_sqlite, "_take_again", take_and_tell)
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-shm"):
        assert (root / name).read_bytes()  # drops them like another library's close
    assert watch.look()
    assert meanwhile == [("ok", 0), ("ok", 1)]
    assert locks_of(os.getpid()) == 2
    assert watch.report().state == "alarm"
    assert "were taken again" in watch.report().message


@linux
def test_each_lock_is_taken_again_even_if_one_cannot_be(
    watch: LockWatch, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = (root / DATABASE_NAME).stat()
    real = foreign_sqlite.open_files
    hidden = (shown.st_dev, shown.st_ino)
    monkeypatch.setattr(foreign_sqlite, "open_files", lambda: [one for one in real() if one[1] != hidden])
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-shm"):
        assert (root / name).read_bytes()
    assert not watch.look()
    assert "could not be taken again" in watch.report().message
    assert locks_of(os.getpid()) == 1
    monkeypatch.undo()
    assert watch.look()
    assert "were taken again" in watch.report().message
    assert locks_of(os.getpid()) == 2


NO_FILE_LEFT = """
import contextlib, os, resource, sys, time
from tests.hot.bare import of_guard, open_database, touch

database = open_database(sys.argv[1])
touch(database)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
opened = []
with contextlib.suppress(OSError):
    while True:
        opened.append(os.open(os.devnull, os.O_RDONLY))
until = time.monotonic() + 2.5  # housekeeping looks at least twice
while time.monotonic() < until:
    touch(database)
    time.sleep(0.01)
for descriptor in opened:
    os.close(descriptor)
print(of_guard(database, "second_sqlite")[0].message)
with open(database.path, "rb"):
    pass
until = time.monotonic() + 20
while (report := of_guard(database, "second_sqlite")[0]).state == "ok":
    assert time.monotonic() < until
    time.sleep(0.02)
print(report.message)
database.shutdown()
"""


@linux
def test_a_process_with_no_file_left_to_open_goes_on(root: Path) -> None:
    """It cannot look at its locks, which does not mean that they are gone."""
    before, after = run(NO_FILE_LEFT, root).splitlines()
    if "/proc/locks" in before:
        assert before.startswith("the store's locks are held")
        assert "were taken again" in after
