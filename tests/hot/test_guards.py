"""What must hold for a store to be trusted: its own process, its own file, private permissions, some disk left."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import StorageFailure, StoreMoved
from hybridstore.hot.folder import RESERVE_NAME
from hybridstore.hot.watermark import WATERMARK_NAME
from hybridstore.store import HybridStore
from tests.hot.books import contents
from tests.hot.children import run

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor these permissions")

FORK = """
import os, sys
from hybridstore import HybridStore, StoreForked

store = HybridStore(sys.argv[1]).open()
store.record_balance_update("BTC", 1)
store.get_latest_balance("BTC")
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    code = 1
    try:
        for refused in (
            lambda: store.record_balance_update("BTC", 2),
            lambda: store.get_latest_balance("BTC"),
            lambda: store.get_portfolio_summary(),
            lambda: store.get_system_status(),
        ):
            try:
                refused()
            except StoreForked as error:
                assert str(os.getpid()) in str(error) and "spawn" in str(error), error
            else:
                raise AssertionError("a forked child was served")
        store.close()
        code = 0
    except BaseException as error:
        print(repr(error))
        sys.stdout.flush()
    if code == 0 and sys.argv[2] == "exit":
        sys.exit(0)  # runs what is registered with atexit
    os._exit(code)
_, status = os.waitpid(pid, 0)
assert status == 0, status
store.record_balance_update("BTC", 3)
assert store.get_latest_balance("BTC").balance == 3
wal = os.stat(sys.argv[1] + "/trading_bot.db-wal")
assert wal.st_size > 0, "the child took the log away"
print("parent", store.get_system_status()["datasets"]["balance_history"]["hot_rows"])
store.close()
"""

FORK_WHILE_WRITING = """
import os, sys, threading
from hybridstore import HybridStore

store = HybridStore(sys.argv[1]).open()
stop = threading.Event()

def write():
    number = 0
    while not stop.is_set():
        store.record_balance_update("BTC", number)
        number += 1

threads = [threading.Thread(target=write) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(10):
    pid = os.fork()
    if pid == 0:
        store.close()  # must neither wait for a lock nor touch a connection
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
stop.set()
for thread in threads:
    thread.join()
store.close()
print("done")
"""


@posix
@pytest.mark.parametrize("ending", ["exit", "_exit"])
def test_a_forked_child_is_refused_and_harms_nobody(root: Path, ending: str) -> None:
    assert run(FORK, root, ending).splitlines()[-1] == "parent 2"
    with HybridStore(root) as store:
        assert store.record_balance_update("BTC", 4).balance == 4


@posix
def test_a_child_forked_in_the_middle_of_a_commit_can_leave(root: Path) -> None:
    assert run(FORK_WHILE_WRITING, root) == "done\n"


@posix
def test_a_replaced_file_is_noticed_before_anything_is_written(root: Path, tmp_path: Path) -> None:
    with HybridStore(root) as store, HybridStore(tmp_path / "other") as other:
        store.record_balance_update("BTC", 1)
        path = store.database.path
        aside = path.with_name("aside.db")
        path.rename(aside)
        with pytest.raises(StoreMoved, match="moved or replaced") as caught:
            store.record_balance_update("BTC", 2)
        assert caught.value.path == str(path)
        assert caught.value.hint is not None
        path.write_bytes(b"")
        for _ in range(2):
            with pytest.raises(StoreMoved):
                store.record_balance_update("BTC", 2)
        path.unlink()
        aside.rename(path)
        assert store.record_balance_update("BTC", 3).balance == 3, "the right file is back"
        assert [row[0] for row in store.database.readers.rows("SELECT balance FROM balance_history")] == [
            "1",
            "3",
        ]
        assert other.get_all_balances() == []


@posix
def test_files_and_folder_are_private(root: Path) -> None:
    old = os.umask(0)
    try:
        with HybridStore(root) as store:
            store.record_balance_update("BTC", 1)
            assert store.get_system_status()["warnings"] == []
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir()}
    finally:
        os.umask(old)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert modes == dict.fromkeys(
        (DATABASE_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm", RESERVE_NAME, WATERMARK_NAME), 0o600
    )


@posix
def test_an_open_folder_is_told(root: Path) -> None:
    with HybridStore(root) as store:
        root.chmod(0o755)
        store.database.path.chmod(0o644)
        warnings = store.get_system_status()["warnings"]
        assert [warning.split(";")[1] for warning in warnings] == [
            f" run: chmod 700 {root}",
            f" run: chmod 600 {store.database.path}",
        ]


def test_a_reserve_is_kept(root: Path) -> None:
    with HybridStore(config=DatabaseConfig(database_path=str(root / DATABASE_NAME), reserve_mb=2)):
        assert (root / RESERVE_NAME).stat().st_size == 2 << 20
    with HybridStore(config=DatabaseConfig(database_path=str(root / DATABASE_NAME), reserve_mb=0)) as store:
        assert store.record_balance_update("BTC", 1).balance == 1


PERMISSION = """
import os, sys
from hybridstore import HybridStore, StorageFailure

HybridStore(sys.argv[3]).open().close()  # loads what is needed: the interpreter itself may be private to its owner
store = HybridStore(sys.argv[1])
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    store.open()
except StorageFailure as error:
    assert error.path == sys.argv[2], (error.path, sys.argv[2])
    assert error.hint, error
    print(error)
"""


@pytest.fixture
def visible(tmp_path: Path) -> Path:
    """Return a folder of ours that other users may look into."""
    for folder in (tmp_path, *tmp_path.parents[:3]):  # each worker of a parallel run has a folder of its own
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o555)
    return tmp_path


@posix
def test_a_root_that_may_not_be_created_is_refused(visible: Path) -> None:
    visible.chmod(0o555)
    wanted = visible / "no" / "root"
    other = Path(tempfile.mkdtemp())
    assert "cannot be created: Permission denied" in run(PERMISSION, wanted, wanted, other)
    assert not (visible / "no").exists()
    shutil.rmtree(other)


@posix
@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["read only", "closed"])
def test_a_root_without_permission_is_refused(visible: Path, mode: int) -> None:
    root = visible / "root"
    root.mkdir()
    root.chmod(mode)
    assert "may not write" in run(PERMISSION, root, root, visible / "other")
    root.chmod(0o755)
    assert list(root.iterdir()) == []


@posix
def test_a_file_where_the_root_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageFailure, match="cannot be created") as caught:
        HybridStore(tmp_path / "root").open()
    assert caught.value.path == str(tmp_path / "root")


def test_a_store_goes_on_when_the_program_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with HybridStore("data") as store:
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.record_balance_update("BTC", 1)
        found = store.get_latest_balance("BTC")
        assert found is not None
        assert found.balance == 1
        assert store.get_portfolio_summary().account == "default"
        before = contents(store)
        assert store.root == tmp_path / "data"
    with HybridStore(tmp_path / "data") as again:
        assert contents(again) == before
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_store_stays_where_it_is_when_the_environment_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hybridstore.hot.database import DatabaseManager

    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(tmp_path / "first"))
    database = DatabaseManager()
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(tmp_path / "second"))
    database.open()
    try:
        assert database.root == tmp_path / "first"
    finally:
        database.shutdown()
    assert not (tmp_path / "second").exists()
