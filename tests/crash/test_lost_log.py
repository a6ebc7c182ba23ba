"""A shipper that was down: it goes on where it stopped, or begins a new chain and says why. Never anything between."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import apsw
import pytest

from hybridstore import HybridStore
from hybridstore.backup.chain import Target
from hybridstore.backup.wal import HEADER_BYTES, parse_header
from hybridstore.config import DatabaseConfig
from tests.crash.shipping import Child, Ships, fill, note, settings_of

_FRAME_BYTES = 24 + 4_096
_WAIT_S = 20.0


class _Down:
    """A store whose shipper was ended, and the ways its log can be lost meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = settings_of(folder / "root", limit_mb=2)
        self.log = Path(f"{self.config.path}-wal")
        self.kept = folder / "kept"

    def keep(self) -> None:
        """Keep what a copy of another day would hold; nobody has the store open."""
        self.kept.mkdir()
        for path in (self.config.path, self.log):
            shutil.copy2(path, self.kept / path.name)

    def foreign(self, *works: str) -> None:
        """Let another library do something in another process."""
        Child(self.folder, "foreign", "foreign_process", str(self.config.path), *works).end()

    def write(self, count: int = 5) -> None:
        """Make some commits."""
        with HybridStore(config=self.config) as store:
            fill(store, count)

    def truncate(self) -> None:
        """Empty the log while a bot has the store open."""
        with HybridStore(config=self.config):
            self.foreign("TRUNCATE")

    def restart(self) -> None:
        """Have the log begin anew."""
        with HybridStore(config=self.config) as store:
            self.foreign("RESTART")
            fill(store, 5)

    def close_last(self) -> None:
        """Let another program be the last that closes the database."""
        self.foreign("SELECT count(*) FROM balances")
        assert not self.log.exists()

    def outgrow(self) -> None:
        """Write until the library itself has the log begin anew."""
        before = self.log.read_bytes()[:HEADER_BYTES]
        until_s = time.monotonic() + _WAIT_S
        with HybridStore(config=self.config) as store:
            while self.log.read_bytes()[:HEADER_BYTES] == before:
                assert time.monotonic() < until_s
                fill(store, 20)

    def delete(self) -> None:
        """Delete the log while nobody has the store open."""
        self.log.unlink()
        self.write()

    def go_back(self) -> None:
        """Put an older copy of the database in its place, without a log."""
        self.foreign("TRUNCATE")
        shutil.copy2(self.kept / self.config.path.name, self.config.path)
        for end in ("-wal", "-shm"):
            Path(f"{self.config.path}{end}").unlink(missing_ok=True)
        self.write()

    def go_back_with_log(self) -> None:
        """Put an older copy of both in their places."""
        for path in (self.config.path, self.log):
            shutil.copy2(self.kept / path.name, path)
        self.config.path.with_name(f"{self.config.path.name}-shm").unlink(missing_ok=True)
        self.write()

    def rewind(self) -> None:
        """Cut the log at an earlier commit, as a power cut may; then as many others are made, and more."""
        content = self.log.read_bytes()
        Path(f"{self.config.path}-shm").unlink()
        ends = [
            end
            for end in range(HEADER_BYTES + _FRAME_BYTES, len(content) + 1, _FRAME_BYTES)
            if content[end - _FRAME_BYTES + 4 : end - _FRAME_BYTES + 8] != bytes(4)
            and content[end - _FRAME_BYTES + 8 : end - _FRAME_BYTES + 16] == content[16:24]
        ]
        self.log.write_bytes(content[: ends[len(ends) // 2]])
        self.write(60)
        assert self.log.read_bytes()[:HEADER_BYTES] == content[:HEADER_BYTES]
        assert self.log.stat().st_size > len(content)


_WAYS: dict[str, Callable[[_Down], None]] = {
    "truncate": _Down.truncate,
    "restart": _Down.restart,
    "close_last": _Down.close_last,
    "outgrow": _Down.outgrow,
    "delete": _Down.delete,
    "go_back": _Down.go_back,
    "go_back_with_log": _Down.go_back_with_log,
    "rewind": _Down.rewind,
}


@pytest.mark.parametrize("way", sorted(_WAYS))
def test_a_lost_log_begins_a_chain_and_says_why(tmp_path: Path, way: str) -> None:
    down = _Down(tmp_path)
    ships = Ships(down.config)
    with HybridStore(config=down.config) as store, ships.shipping() as shipper:
        fill(store, 20)
        shipper.poll()
    down.keep()
    with HybridStore(config=down.config) as store, ships.shipping() as shipper:
        for _ in range(2):  # the first look may have the log begin anew
            fill(store, 20)
            shipper.poll()
        before = note(down.config)
        assert (shipper.epoch, ships.gaps) == (1, [])
    _WAYS[way](down)
    with ships.shipping() as shipper:
        assert shipper.epoch == 2
        shipper.poll()
    assert len(ships.gaps) == 1
    first, second = ships.repository.epochs()
    assert (first.reason, second.seq) == ("the first", before.seq)
    assert "log" in second.reason
    assert second.reason in ships.gaps[0]
    ships.prove_latest(tmp_path / "latest")
    assert ships.restored(Target(seq=before.seq, epoch=1), tmp_path / "before") == (before, True)
    ships.prove_chains()
    with ships.shipping() as shipper:
        assert shipper.epoch == 2


def test_a_database_under_a_newer_log_is_noticed(tmp_path: Path) -> None:
    down = _Down(tmp_path)
    ships = Ships(settings_of(tmp_path / "root"))
    with HybridStore(config=ships.config) as store, ships.shipping() as shipper:
        fill(store, 20)
        shipper.poll()
    down.keep()
    with HybridStore(config=ships.config) as store, ships.shipping() as shipper:
        while down.log.read_bytes()[:HEADER_BYTES] == (down.kept / down.log.name).read_bytes()[:HEADER_BYTES]:
            fill(store, 50, 3_000)
            shipper.poll()
        assert shipper.epoch == 1
    shutil.copyfile(down.kept / down.config.path.name, down.config.path)
    Path(f"{down.config.path}-shm").unlink()
    try:
        with ships.shipping() as shipper:
            assert shipper.epoch == 2
    finally:
        assert "older" in ships.repository.epochs()[-1].reason


def _reopened(config: DatabaseConfig, folder: Path) -> None:
    with HybridStore(config=config) as store:
        fill(store, 5)


def _killed(config: DatabaseConfig, folder: Path) -> None:
    child = Child(folder, "bot", "shipped_writer_process", str(config.root), "bot", "0.001")
    time.sleep(0.2)
    child.kill()
    assert child.lines()


@pytest.mark.parametrize("ending", [_reopened, _killed])
@pytest.mark.parametrize("checkpoint", ["", "PASSIVE", "FULL", "RESTART", "TRUNCATE"])
def test_a_plain_restart_goes_on(
    tmp_path: Path, ending: Callable[[DatabaseConfig, Path], None], checkpoint: str
) -> None:
    """Also where the log was copied back as a whole while it was shipped, and would begin anew with the next commit."""
    config = settings_of(tmp_path / "root")
    ships = Ships(config)
    with HybridStore(config=config) as store:
        with ships.shipping() as shipper:
            fill(store, 20)
            shipper.poll()
            if checkpoint:
                ships.checkpoint(shipper, tmp_path, checkpoint)
                shipper.poll()
        fill(store, 5)
    ending(config, tmp_path)
    for _ in range(3):
        with ships.shipping() as shipper:
            shipper.poll()
            assert (shipper.epoch, ships.gaps) == (1, [])
    ships.prove_latest(tmp_path / "latest")
    ships.prove_chains()


def test_a_log_that_was_let_go_is_followed_by_the_next_shipper(tmp_path: Path) -> None:
    config = settings_of(tmp_path / "root")
    ships = Ships(config)
    with HybridStore(config=config) as store:
        with ships.shipping() as shipper:
            fill(store, 400, 3_000)
            shipper.poll()
            heads = parse_header(Path(f"{config.path}-wal").read_bytes()[:HEADER_BYTES])
        for number in range(3):
            fill(store, 3)
            with ships.shipping() as shipper:
                assert shipper.epoch == 1, number
                shipper.poll()
        assert heads.salts == parse_header(Path(f"{config.path}-wal").read_bytes()[:HEADER_BYTES]).salts
    ships.prove_latest(tmp_path / "latest")
    ships.prove_chains()


def test_the_locks_of_a_store_in_the_same_process_stay(tmp_path: Path) -> None:
    """The database is looked at without its log when a shipper begins; its locks must survive that."""
    config = settings_of(tmp_path / "root")
    ships = Ships(config)
    with ExitStack() as stack:
        store = stack.enter_context(HybridStore(config=config))
        for _ in range(3):
            with ships.shipping() as shipper:
                fill(store, 3)
                shipper.poll()
        Child(tmp_path, "foreign", "foreign_process", str(config.path), "SELECT count(*) FROM balances").end()
        assert Path(f"{config.path}-wal").exists()
        fill(store, 3)
        reports = {report.guard: report.state for report in store.database.guards()}
    assert reports["files"] == "ok"
    with closing(apsw.Connection(str(config.path))) as connection:
        assert connection.pragma("integrity_check") == "ok"
