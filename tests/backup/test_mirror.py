"""Copies of backups below a URL: whatever happens on the way, what is there can be restored, and exactly."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hybridstore import HybridStore
from hybridstore.archive.object_store import ObjectStore
from hybridstore.backup import mirror as mirror_module
from hybridstore.backup.archive_copies import ArchiveCopies
from hybridstore.backup.fetching import fetch, list_series
from hybridstore.backup.manager import BackupManager
from hybridstore.backup.mirror import FOLDER, NOTES, Mirror, series_of
from hybridstore.backup.service import BackupService
from hybridstore.clock import DAY_US, ManualClock, SystemClock
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.errors import (
    ArchiveUnreachable,
    BackupCorrupt,
    BackupError,
    ConfigError,
    NotFound,
    NotRestorable,
)
from hybridstore.hot.copying import content_sha256
from tests.objects import ObjectServer, object_server, real_url

NOW_US = 20_600 * DAY_US + DAY_US // 2


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with object_server(monkeypatch) as server:
        yield server


@pytest.fixture(params=["folder", "moto", "real"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for objects: a folder, an imitation of S3, a real server where one is named."""
    if request.param == "folder":
        return (tmp_path / "far away").as_uri()
    if request.param == "moto":
        server: ObjectServer = request.getfixturevalue("server")
        return server.url
    return real_url()


class Bot:
    """A store with backups that are copied.

    Args:
        root: Its folder.
        url: Where to.
    """

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.clock = ManualClock(NOW_US)
        self.config = DatabaseConfig(database_path=str(root / DATABASE_NAME), enable_logs=False)
        self.backup = BackupConfig(mirror_url=url)
        self.manager = BackupManager(self.config, self.backup, self.clock)
        self._number = 0

    def write(self, *, archived: bool = False) -> None:
        """Record something; with archived also something that moves to the archives."""
        self.clock.advance(DAY_US)
        with HybridStore(config=self.config, clock=self.clock, maintenance="off") as store:
            self._number += 1
            store.record_balance_update("BTC", self._number, 0, "test")
            if archived:
                at_us = self.clock.now_us() - 20 * DAY_US
                store.record_market_trades([("BTC/USDT", self._number, "100", "0.5", "buy", at_us)])
                store.retention.run()

    def live(self) -> tuple[int, str]:
        """Return number and hash of what the store holds."""
        position, sha256 = content_sha256(self.config)
        return position.seq, sha256


def restored(base: Path, to: Path, target: str | int = "latest") -> tuple[int, str]:
    """Restore from a folder; return number and hash of what came of it."""
    config = DatabaseConfig(database_path=str(to / DATABASE_NAME), enable_logs=False)
    BackupManager(config, BackupConfig(backup_base_path=str(base))).restore(target, to)
    position, sha256 = content_sha256(config)
    return position.seq, sha256


def test_backups_come_back_from_there_as_they_were(tmp_path: Path, url: str) -> None:
    bot = Bot(tmp_path / "root", url)
    bot.write(archived=True)
    bot.manager.create_full()
    bot.write(archived=True)
    mark = bot.manager.mark("before it went wrong")
    noted = bot.live()
    bot.write()
    bot.manager.create_incremental()
    last = bot.live()
    shutil.rmtree(bot.root)
    assert list_series(url) == [list_series(url)[0]]
    found = fetch(url, tmp_path / "fetched")
    assert found.files > 3
    assert found.kept == 0
    assert restored(tmp_path / "fetched", tmp_path / "latest") == last
    assert restored(tmp_path / "fetched", tmp_path / "marked", mark.name)[0] == noted[0]
    with HybridStore(tmp_path / "latest") as store:
        assert store.sql("SELECT count(*) FROM market_trades").rows() == [(2,)], "archived files, too"
    again = fetch(url, tmp_path / "fetched")
    assert (again.files, again.kept) == (0, found.files)


def test_only_what_is_new_is_copied_and_only_what_expired_is_deleted(tmp_path: Path) -> None:
    url = (tmp_path / "far away").as_uri()
    bot = Bot(tmp_path / "root", url)
    bot.write()
    bot.manager.create_full()
    mirror = Mirror(bot.manager.repository, url)
    assert mirror.sync(NOW_US).put == 1, "a process that has just begun notes how things are"
    assert mirror.sync(NOW_US).put == 0
    plain = BackupManager(bot.config, BackupConfig(), bot.clock)
    bot.write()
    plain.create_incremental()
    assert mirror.sync(NOW_US).put == 2, "a segment, and the note"
    first = {one.path for one in bot.manager.repository.files() if one.named.kind == "full"}
    bot.clock.advance(40 * DAY_US)
    bot.write()
    plain.create_full()
    bot.clock.advance(40 * DAY_US)
    bot.write()
    plain.create_full()
    mirror.sync(bot.clock.now_us())
    before = far_away(url)
    assert plain.expire().files
    assert not any(path.exists() for path in first)
    deleted = mirror.sync(bot.clock.now_us()).deleted
    assert before - far_away(url) == {
        name
        for name in before
        if not (bot.manager.base / name.partition("/")[2]).exists() and f"/{NOTES}/" not in f"/{name}"
    }
    assert deleted == len(before - far_away(url)) > 1
    fetch(url, tmp_path / "fetched")
    assert restored(tmp_path / "fetched", tmp_path / "latest") == bot.live()


def far_away(url: str) -> set[str]:
    """Return what there is below the folder of all copies."""
    return {name.removeprefix(f"{FOLDER}/") for name in ObjectStore(url).sizes(FOLDER)}


def test_a_folder_that_was_lost_takes_no_copy_with_it(tmp_path: Path) -> None:
    url = (tmp_path / "far away").as_uri()
    bot = Bot(tmp_path / "root", url)
    bot.write(archived=True)
    bot.manager.create_full()
    lost, before = bot.live(), far_away(url)
    shutil.rmtree(bot.manager.base)
    bot.write()
    bot.manager.create_full()
    assert before <= far_away(url)
    old, new = list_series(url)
    assert new == series_of(bot.manager.repository)
    fetch(url, tmp_path / "old", series=old)
    assert restored(tmp_path / "old", tmp_path / "lost") == lost
    fetch(url, tmp_path / "new")
    assert restored(tmp_path / "new", tmp_path / "latest") == bot.live()
    with pytest.raises(ConfigError, match="holds other backups"):
        fetch(url, tmp_path / "old", series=new)
    with pytest.raises(NotFound, match="no series 'x'"):
        fetch(url, tmp_path / "old", series="x")
    with pytest.raises(NotFound, match="no backups below"):
        fetch((tmp_path / "nothing").as_uri(), tmp_path / "old")


def test_after_each_object_what_is_there_can_be_restored_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that copies may die behind any of them; large files are several."""
    monkeypatch.setattr(mirror_module, "PART_BYTES", 4_000)
    bot = Bot(tmp_path / "root", (tmp_path / "all").as_uri())
    noted = {}
    for number in range(4):
        bot.write(archived=number % 2 == 0)
        if number % 3 == 0:
            bot.manager.create_full()
        else:
            bot.manager.create_incremental()
        seq, sha256 = bot.live()
        noted[seq] = sha256
    url = (tmp_path / "some").as_uri()
    seen = set()
    for number in range(200):
        mirror = Mirror(bot.manager.repository, url)  # a process that has begun anew
        finished = mirror.sync(NOW_US + number, stop=iter_stop(2)).finished
        base = tmp_path / f"fetched-{number}"
        fetch(url, base)
        try:
            seq, sha256 = restored(base, tmp_path / f"restored-{number}")
        except (NotRestorable, BackupCorrupt) as error:
            seen.add(type(error).__name__)
        else:
            assert noted[seq] == sha256
            seen.add(str(seq))
        if finished:
            break
    assert seq == max(noted)
    assert len(seen) > len(noted) - 1, seen


def iter_stop(objects: int) -> Callable[[], bool]:
    """Return what says stop after so many objects were put."""
    put: list[int] = []
    write = ObjectStore.put_new

    def counted(self: ObjectStore, name: str, content: bytes, sha256: str) -> None:
        write(self, name, content, sha256)
        put.append(1)

    patch = pytest.MonkeyPatch()
    patch.setattr(ObjectStore, "put_new", counted)

    def stop() -> bool:
        due = len(put) >= objects
        if due:
            patch.undo()
        return due

    return stop


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")], ids=["gone", "cut"]
)
def test_what_is_gone_or_cut_there_is_copied_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    far = tmp_path / "far away"
    bot = Bot(tmp_path / "root", far.as_uri())
    bot.write(archived=True)
    bot.manager.create_full()
    files = [path for path in far.rglob("*") if path.is_file() and path.parent.name != NOTES]
    assert len(files) >= 3
    for path in files:
        damage(path)
    Mirror(bot.manager.repository, far.as_uri()).sync(NOW_US)
    fetch(far.as_uri(), tmp_path / "fetched")
    assert restored(tmp_path / "fetched", tmp_path / "latest") == bot.live()


def test_a_damaged_note_is_gone_around_and_only_what_backups_have_is_written(tmp_path: Path) -> None:
    far = tmp_path / "far away"
    bot = Bot(tmp_path / "root", far.as_uri())
    bot.write(archived=True)
    bot.manager.create_full()
    bot.write()
    bot.manager.create_incremental()
    series = far / FOLDER / list_series(far.as_uri())[0]
    notes = sorted((series / NOTES).iterdir())
    notes[-1].write_bytes(notes[-1].read_bytes()[:-9])
    for name in (
        "a.txt",
        "20260101/full/x.json",
        "20260101/incremental/0001-1.db.json",
        "archives/aa/bb.parquet",
    ):
        (series / name).parent.mkdir(parents=True, exist_ok=True)
        (series / name).write_bytes(b"x")
    fetch(far.as_uri(), tmp_path / "fetched")
    kept = {path.relative_to(tmp_path / "fetched").as_posix() for path in (tmp_path / "fetched").rglob("*.*")}
    assert not kept & {"a.txt", "20260101/full/x.json", "archives/aa/bb.parquet"}
    assert restored(tmp_path / "fetched", tmp_path / "latest")[0] <= bot.live()[0]
    for path in notes:
        path.write_bytes(b"{}")
    with pytest.raises(BackupCorrupt, match="damaged"):
        fetch(far.as_uri(), tmp_path / "other")


def test_only_what_a_day_needs_can_be_fetched(tmp_path: Path) -> None:
    url = (tmp_path / "far away").as_uri()
    bot = Bot(tmp_path / "root", url)
    noted = []
    for number in range(9):
        bot.write()
        if number % 3 == 0:
            bot.manager.create_full()
        else:
            bot.manager.create_incremental()
        noted.append((bot.clock.now_us(), bot.live()))
    since = (datetime.fromtimestamp(noted[4][0] / 1e6, UTC)).date()
    some = fetch(url, tmp_path / "some", since=since)
    everything = fetch(url, tmp_path / "everything", since=since - timedelta(days=400))
    assert some.files < everything.files
    for number, (_, (seq, sha256)) in enumerate(noted[4:]):
        assert restored(tmp_path / "some", tmp_path / f"at-{number}", seq) == (seq, sha256)
    with pytest.raises(NotRestorable):
        restored(tmp_path / "some", tmp_path / "older", noted[1][1][0])


def test_a_store_that_does_not_answer_stops_nothing_else(tmp_path: Path, server: ObjectServer) -> None:
    bot = Bot(tmp_path / "root", server.url)
    bot.write()
    broken = {"is": True}
    server.fault = lambda _environment: b"nonsense" if broken["is"] else None
    stop = threading.Event()
    said: list[Exception] = []
    service = BackupService(
        bot.config, msgspec.structs.replace(bot.backup, poll_interval_ms=10), SystemClock(), stop,
        on_error=said.append, on_gap=lambda _said: None, archives_every_s=0.05,
    )  # fmt: skip
    service.start()
    try:
        await_that(lambda: bot.manager.status()["fulls"] == 1 and bool(said))
        assert isinstance(said[0], ArchiveUnreachable | BackupError)
        assert "need attention" in bot.manager.status()["warning"]
        with HybridStore(config=bot.config) as store:
            store.record_balance_update("ETH", 7, 0, "test")
        seq = bot.live()[0]
        await_that(lambda: bot.manager.status()["last_commit"] >= seq)
    finally:
        stop.set()
        service.close()
    with pytest.raises((ArchiveUnreachable, BackupError)):
        bot.manager.create_incremental()
    broken["is"] = False
    bot.manager.create_incremental()
    assert bot.manager.status()["mirrored_at"] is not None
    fetch(server.url, tmp_path / "fetched")
    assert restored(tmp_path / "fetched", tmp_path / "latest") == bot.live()


def test_a_service_copies_by_itself(tmp_path: Path) -> None:
    url = (tmp_path / "far away").as_uri()
    bot = Bot(tmp_path / "root", url)
    bot.write(archived=True)
    stop = threading.Event()
    backup = msgspec.structs.replace(bot.backup, poll_interval_ms=10, segment_interval_s=0.1)
    service = BackupService(
        bot.config, backup, SystemClock(), stop,
        on_error=lambda error: pytest.fail(str(error)), on_gap=lambda _said: None, archives_every_s=0.05,
    )  # fmt: skip
    service.start()
    try:
        await_that(lambda: bot.manager.status()["fulls"] == 1)
        bot.write()
        live = bot.live()

        def is_there() -> bool:
            shutil.rmtree(tmp_path / "fetched", ignore_errors=True)
            shutil.rmtree(tmp_path / "latest", ignore_errors=True)
            try:
                fetch(url, tmp_path / "fetched")
                return restored(tmp_path / "fetched", tmp_path / "latest") == live
            except (NotFound, NotRestorable, BackupCorrupt):
                return False

        await_that(is_there)
    finally:
        stop.set()
        service.close()


def await_that(is_so: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait until something is so."""
    end_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end_s, "it never was"
        time.sleep(0.05)


def test_a_store_that_replaces_what_is_there_gets_nothing(tmp_path: Path, server: ObjectServer) -> None:
    def ignore_conditions(environment: dict[str, object]) -> None:
        environment.pop("HTTP_IF_NONE_MATCH", None)

    bot = Bot(tmp_path / "root", server.url)
    bot.write()
    server.fault = ignore_conditions
    with pytest.raises(BackupError, match="ignores If-None-Match"):
        bot.manager.create_full()
    server.fault = None
    assert ObjectStore(server.url).sizes(FOLDER) == {}
    assert bot.manager.status()["fulls"] == 1, "the backup itself was made"


def test_copies_of_archived_files_are_part_of_it(tmp_path: Path) -> None:
    url = (tmp_path / "far away").as_uri()
    bot = Bot(tmp_path / "root", url)
    bot.write(archived=True)
    bot.manager.create_full()
    paths = ArchiveCopies(bot.manager.base).paths()
    assert paths
    names = far_away(url)
    series = series_of(bot.manager.repository)
    assert {f"{series}/{path.relative_to(bot.manager.base).as_posix()}" for path in paths} <= names
