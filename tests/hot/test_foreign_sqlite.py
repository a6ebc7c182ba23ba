"""Another SQLite library in the process: refused where it can be (what it does unseen: test_dropped_locks)."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hybridstore.clock import SystemClock
from hybridstore.config import DATABASE_NAME
from hybridstore.errors import StoreError
from hybridstore.hot import foreign_sqlite
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.foreign_sqlite import LockWatch
from tests.hot.bare import of_guard, open_database, touch
from tests.hot.children import finish, run, start

PATIENCE_S = 20.0
posix = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows keeps locks by handle: nothing can drop them"
)


@pytest.fixture
def database(root: Path) -> Iterator[DatabaseManager]:
    """Return an open database."""
    opened = open_database(root)
    yield opened
    opened.shutdown()


def as_uri(path: Path) -> str:
    return f"{path.as_uri()}?mode=ro"


def as_short_uri(path: Path) -> str:
    return f"file:{path.as_posix()}?mode=ro"


def with_percent(path: Path) -> str:
    return path.as_uri().replace("trading", "%74rading")


def relative(path: Path) -> str:
    return os.path.relpath(path)


@pytest.mark.parametrize("name", [str, Path, os.fsencode, as_uri, as_short_uri, with_percent, relative])
def test_sqlite3_is_refused(database: DatabaseManager, name: Callable[[Path], str | bytes | Path]) -> None:
    touch(database)
    wanted = name(database.path)
    uri = isinstance(wanted, str) and wanted.startswith("file:")
    with pytest.raises(StoreError, match="may not be opened with another SQLite library") as caught:
        sqlite3.connect(wanted, uri=uri)
    assert caught.value.path == str(database.path)
    assert "store.sql" in str(caught.value)
    assert "another process" in str(caught.value)
    touch(database)
    (report,) = of_guard(database, "second_sqlite")
    assert report.state == "ok", "nothing was opened"
    assert "refused" in report.message


@posix
def test_other_names_of_the_same_file_are_refused(database: DatabaseManager, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(database.path)
    (tmp_path / "hard").hardlink_to(database.path)
    for name in ("link", "hard"):
        with pytest.raises(StoreError):
            sqlite3.connect(tmp_path / name)


def test_every_other_database_is_let_through(database: DatabaseManager, tmp_path: Path) -> None:
    missing = f"file:{tmp_path.as_posix()}/missing.db?mode=ro"
    for name in (":memory:", "", "file::memory:?cache=shared", tmp_path / DATABASE_NAME, tmp_path / "o.db"):
        connection = sqlite3.connect(name, uri=True)
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        connection.close()
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(missing, uri=True)


def test_sqlite3_is_let_through_when_the_last_store_is_closed(root: Path) -> None:
    first, second = open_database(root), open_database(root)
    path = first.path
    first.shutdown()
    with pytest.raises(StoreError):
        sqlite3.connect(path)
    second.shutdown()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM commit_clock").fetchall() == [(1,)]
    connection.close()


@posix
def test_a_store_is_not_opened_beside_another_library(root: Path) -> None:
    """What that library sees would be another log, and its close would remove ours with everything in it."""
    database = open_database(root)
    path, seq = database.path, touch(database)
    database.shutdown()
    connection = sqlite3.connect(path)
    connection.execute("SELECT * FROM commit_clock").fetchall()
    with pytest.raises(StoreError, match="already has the database open") as caught:
        open_database(root)
    assert caught.value.path == str(path)
    connection.close()
    database = open_database(root)
    assert touch(database) == seq + 1
    database.shutdown()


def test_another_process_may_read(database: DatabaseManager) -> None:
    touch(database)
    script = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1])\n"
        "print(connection.execute('SELECT seq FROM commit_clock').fetchone()[0]); connection.close()"
    )
    seq = touch(database)
    assert int(run(script, database.path)) == seq
    assert touch(database) == seq + 1
    assert [one.state for one in database.guards() if one.guard in {"files", "second_sqlite"}] == ["ok", "ok"]


FORK_AND_OPEN = """
import os, sys
from hybridstore import StoreError
from tests.hot.bare import open_database, touch

database = open_database(sys.argv[1])
pid = os.fork()
if pid == 0:
    code = 1
    try:
        open_database(sys.argv[1])
    except StoreError as error:
        code = 0 if "spawn" in str(error) else 2
    os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
touch(database)
database.shutdown()
"""


@posix
def test_a_forked_child_cannot_open_the_store_of_its_parent(root: Path) -> None:
    """It inherited what SQLite believes to be its own locks."""
    run(FORK_AND_OPEN, root)


FORK = """
import os, sqlite3, sys
from tests.hot.bare import open_database, touch

database = open_database(sys.argv[1])
touch(database)
pid = os.fork()
if pid == 0:
    connection = sqlite3.connect(sys.argv[1] + "/trading_bot.db")  # another process: it drops nothing
    os._exit(connection.execute("SELECT count(*) FROM commit_clock").fetchone()[0])
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
touch(database)
print([one.state for one in database.guards() if one.guard == "second_sqlite"])
database.shutdown()
"""


@posix
def test_a_forked_child_may_read(root: Path) -> None:
    assert run(FORK, root) == "['ok']\n"


@posix
def test_stores_that_are_created_at_once_are_not_taken_for_another_library(tmp_path: Path) -> None:
    """A file that one of them is creating is open, too, and its close would drop the locks of a faster one."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(15):
            barrier = threading.Barrier(3)

            def opened(root: Path, barrier: threading.Barrier = barrier) -> DatabaseManager:
                barrier.wait(PATIENCE_S)
                return open_database(root)

            with ThreadPoolExecutor(3) as pool:
                databases = list(pool.map(opened, [tmp_path / str(number)] * 3))
            states = [of_guard(database, "second_sqlite")[0].state for database in databases]
            for database in databases:
                touch(database)
                database.shutdown()
            assert states == ["ok"] * 3
    finally:
        sys.setswitchinterval(interval)


def test_a_system_that_shows_no_locks_looks_at_what_is_loaded(
    database: DatabaseManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, maps = tmp_path / "locks", tmp_path / "maps"
    empty.touch()
    maps.touch()
    monkeypatch.setattr(foreign_sqlite, "LOCKS", empty)
    monkeypatch.setattr(foreign_sqlite, "MAPS", maps)
    monkeypatch.setattr(sys, "platform", "other")
    watch = LockWatch(database.path, SystemClock())
    assert watch.look()
    report = watch.report()
    assert report.state == "ok"
    assert "does not show locks" in report.message
    maps.write_text("7f00-7f01 r-xp 00000000 08:01 1 /lib/connectorx.abi3.so\n", encoding="utf-8")
    report = watch.report()
    assert report.state == "warning"
    assert "connectorx" in report.message
    maps.unlink()
    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite", sys)
    assert "adbc_driver_sqlite" in watch.report().message


def test_children_end(root: Path) -> None:
    """A store with the hook installed ends like any other: the hook cannot be removed."""
    script = (
        "import sys, sqlite3\nfrom tests.hot.bare import open_database\n"
        "open_database(sys.argv[1])\nprint('end')\n"
    )
    assert finish(start(script, root)) == "end\n"
