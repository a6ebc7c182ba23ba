"""The table "When something happened" of docs/operating.md, tried as it is written: every row, every command."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.config import DATABASE_NAME
from hybridstore.errors import ArchiveCorrupt, StoreCorrupt
from tests.faults.tmpfs import Filler, small_disk
from tests.test_cli import run  # noqa: F401  a fixture

Run = Callable[..., tuple[int, str, str]]
DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "operating.md"


def read_runbook() -> dict[str, list[str]]:
    """Return the commands of each row, by what happened."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("### When something happened")[2]
    rows = [
        line.strip("| ").split(" | ")
        for line in text.partition("\n## ")[0].splitlines()
        if line.startswith("| ")
    ]
    return {what: re.findall(r"`(hybridstore [^`]+)`", remedy) for what, remedy in rows[1:]}


RUNBOOK = read_runbook()


class Desk:
    """A trader's machine: a store with backups on another disk and a bucket, and what the runbook says.

    Args:
        folder: The machine.
        run: Runs a command.
    """

    def __init__(self, folder: Path, run: Run) -> None:  # noqa: F811
        self.folder, self._run = folder, run
        self.root, self.backups, self.bucket = (folder / name for name in ("root", "BACKUPS", "bucket"))
        self.words = {"s3://bucket/prefix": self.bucket.as_uri()}
        self.root.mkdir()
        settings = f'backup_base_path = "{self.backups.as_posix()}"\nmirror_url = "{self.bucket.as_uri()}"\n'
        (self.root / "hybridstore.toml").write_text(f"[backup]\n{settings}")
        self.balance = 0
        self.archived: Path | None = None

    def trade(self, clock: ManualClock | None = None) -> None:
        """Let the bot record a balance, one higher than the last."""
        self.balance += 1
        with HybridStore(self.root, maintenance="off", clock=clock) as store:
            store.record_balance_update("BTC", self.balance, 0, "bot")

    def archive(self) -> None:
        """Let something move to the archives."""
        with HybridStore(self.root, maintenance="off") as store:
            at_us = store.database.clock.now_us() - 20 * DAY_US
            store.record_market_trades([("BTC/USDT", n, "100", "0.5", "buy", at_us + n) for n in range(9)])
            store.retention.run()
        (self.archived,) = (self.root / "archives").rglob("*.parquet")

    def do(self, command: str, *, fails: bool = False) -> str:
        """Do what the runbook says; return what was printed."""
        words = [self.words.get(word, word) for word in shlex.split(command)[1:]]
        code, out, err = self._run(*words)
        assert (code != 0) == fails, (command, out, err)
        return " ".join((out + err).split())

    def assert_whole(self, root: Path, balance: int | None = None) -> None:
        """Assert that a store holds what it should."""
        with HybridStore(root, maintenance="off") as store:
            found = store.get_latest_balance("BTC")
            assert found is not None
            assert found.balance == (self.balance if balance is None else balance)
            if self.archived is not None:
                assert store.sql("SELECT count(*) FROM market_trades").rows() == [(9,)]


@pytest.fixture
def desk(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Desk:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    made = Desk(tmp_path, run)
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(made.root))
    made.trade()
    made.archive()
    made.do("hybridstore backup now")
    made.trade()
    made.do("hybridstore backup now --incremental")
    return made


def commands_of(what: str, count: int) -> list[str]:
    """Return the commands of the row that begins so."""
    (found,) = (commands for row, commands in RUNBOOK.items() if row.startswith(what))
    assert len(found) == count, found
    return found


def test_the_disk_of_the_store_died(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (restore,) = commands_of("the store's disk died", 1)
    shutil.rmtree(desk.root)
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(desk.folder / "NEW-ROOT"))
    desk.do(restore)
    desk.assert_whole(desk.folder / "NEW-ROOT")


def test_somebody_deleted_what_they_should_not_have(desk: Desk) -> None:
    look, back = commands_of("somebody deleted", 2)
    before = datetime.now(UTC)
    with HybridStore(desk.root, maintenance="off") as store:
        store.record_balance_update("BTC", 999, 0, "by mistake")
    desk.do("hybridstore backup now --incremental")
    desk.words["2026-08-01T11:59:59Z"] = before.isoformat()
    desk.do(look)
    desk.assert_whole(desk.folder / "LOOKED-AT")
    desk.do(back)
    desk.assert_whole(desk.root)


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_parquet_file_is_missing_or_damaged(desk: Desk, is_gone: bool) -> None:  # noqa: FBT001
    (heal,) = commands_of("a Parquet file is missing or damaged", 1)
    assert desk.archived is not None
    content = desk.archived.read_bytes()
    desk.archived.unlink()
    if not is_gone:
        desk.archived.write_bytes(content[:-1] + b"x")
    with HybridStore(desk.root, maintenance="off") as store, pytest.raises(ArchiveCorrupt):
        store.sql("SELECT count(*) FROM market_trades").rows()
    desk.do(heal)
    desk.assert_whole(desk.root)


def test_the_database_is_damaged(desk: Desk) -> None:
    (back,) = commands_of("the database is damaged", 1)
    for path in desk.root.glob(f"{DATABASE_NAME}-*"):
        path.unlink()
    database = desk.root / DATABASE_NAME
    with database.open("r+b") as file:
        file.truncate(database.stat().st_size - 100)
    with pytest.raises(StoreCorrupt, match="takes it back to commit"):
        HybridStore(desk.root, maintenance="off").open()
    assert "the store that was there is in" in desk.do(back)
    desk.assert_whole(desk.root)


def test_a_file_of_the_backups_is_damaged(desk: Desk) -> None:
    verify, now = commands_of("a file of the backups is damaged", 2)
    full = next(desk.backups.glob("*/full/*.zst"))
    full.write_bytes(b"damaged")
    assert full.name in desk.do(verify, fails=True)
    desk.trade()
    desk.do(now)
    desk.do(f"hybridstore backup restore latest {desk.folder / 'NEW-ROOT'}")
    desk.assert_whole(desk.folder / "NEW-ROOT")


def test_the_machine_burnt_down(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, restore = commands_of("the machine burnt down", 2)
    shutil.rmtree(desk.root)
    shutil.rmtree(desk.backups)
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(desk.folder / "NEW-ROOT"))
    desk.do(fetch)
    desk.do(restore)
    desk.assert_whole(desk.folder / "NEW-ROOT")


def test_the_disk_of_the_backups_is_not_mounted(desk: Desk) -> None:
    (anew,) = commands_of("the disk of the backups is not mounted", 1)
    elsewhere = desk.folder / "unmounted"
    desk.backups.rename(elsewhere)
    desk.backups.mkdir()
    desk.trade()
    assert "is its disk mounted?" in desk.do("hybridstore backup now", fails=True)
    assert list(desk.backups.iterdir()) == [], "nothing was written to what is not the disk"
    desk.backups.rmdir()
    elsewhere.rename(desk.backups)
    desk.do("hybridstore backup now --incremental")
    assert desk.do("hybridstore backup list --json").count('"seq_last"') == 1, "the chain goes on"
    desk.do(f"hybridstore backup restore latest {desk.folder / 'NEW-ROOT'}")
    desk.assert_whole(desk.folder / "NEW-ROOT")
    shutil.rmtree(desk.backups)
    desk.do("hybridstore backup now", fails=True)
    desk.do(anew)
    desk.do(f"hybridstore backup restore latest {desk.folder / 'ANEW'}")
    desk.assert_whole(desk.folder / "ANEW")


def test_the_disk_of_the_backups_is_full(desk: Desk) -> None:
    (expire,) = commands_of("the disk of the backups is full", 1)
    shutil.rmtree(desk.backups)
    desk.backups.mkdir()
    with small_disk(desk.backups, 8) as disk:
        desk.do("hybridstore backup now --begin-anew")
        filler = Filler(disk / "filler")
        filler.fill()
        desk.trade()
        assert "space" in desk.do("hybridstore backup now", fails=True)
        desk.trade()
        filler.free()
        desk.do(expire)
        desk.do("hybridstore backup now --incremental")
        desk.do(f"hybridstore backup restore latest {desk.folder / 'NEW-ROOT'}")
        assert "0 files" not in desk.do("hybridstore backup verify --level restore")
    desk.assert_whole(desk.folder / "NEW-ROOT")


def test_the_clock_of_the_machine_jumped(desk: Desk) -> None:
    (points,) = commands_of("the machine's clock jumped", 1)
    now = datetime.now(UTC)
    for days in (400, -400):  # forth, and back
        at = now + timedelta(days=days)
        desk.trade(ManualClock(int(at.timestamp() * 1_000_000)))
    desk.do("hybridstore backup now --incremental")
    said = desk.do(f"{points} --json")
    last = int(re.findall(r'"seq_last": ?(\d+)', said)[-1])
    desk.do(f"hybridstore backup restore {last} {desk.folder / 'NEW-ROOT'}")
    desk.assert_whole(desk.folder / "NEW-ROOT")
    desk.do(f"hybridstore backup restore {last - 1} {desk.folder / 'BEFORE'}")
    desk.assert_whole(desk.folder / "BEFORE", desk.balance - 1)


def test_the_store_moves_to_another_machine(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now, restore = commands_of("the store moves to another machine", 2)
    desk.trade()
    desk.do(now)
    there = desk.folder / "there"
    there.mkdir()
    shutil.copytree(desk.backups, there / "BACKUPS")
    shutil.rmtree(desk.root)
    shutil.rmtree(desk.backups)
    monkeypatch.chdir(there)
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(there / "NEW-ROOT"))
    desk.do(restore)
    desk.assert_whole(there / "NEW-ROOT")


def test_every_row_is_tried() -> None:
    tried = [name for name in globals() if name.startswith("test_")]
    assert len(RUNBOOK) == len(tried) - 1 == 10
