"""Copies of backups below a URL: whatever happens on the way, what is there can be restored, and exactly."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hybridstore import HybridStore
from hybridstore.archive.object_store import ObjectStore
from hybridstore.backup import mirror as mirror_module
from hybridstore.backup.archive_copies import ArchiveCopies
from hybridstore.backup.expirer import EXPIRED_NAME
from hybridstore.backup.fetching import fetch, list_series
from hybridstore.backup.manager import BackupManager
from hybridstore.backup.mirror import FOLDER, NOTES, Mirror, series_of
from hybridstore.backup.round import back_up_once
from hybridstore.backup.service import BackupService
from hybridstore.clock import DAY_US, SystemClock
from hybridstore.config import BackupConfig
from hybridstore.errors import (
    ArchiveUnreachable,
    BackupCorrupt,
    BackupError,
    ConfigError,
    NotFound,
    NotRestorable,
)
from tests.backup.mirrored import NOW_US, Bot, far_away, restored
from tests.objects import REAL_VARIABLE, ObjectServer, object_server, real_url


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with object_server(monkeypatch) as server:
        yield server


@pytest.fixture(params=["folder", "moto", "real"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place for objects: a folder, an imitation of S3, a real server where one is named."""
    if request.param == "folder":
        return (tmp_path / "far away").as_uri()
    if request.param == "moto":
        server: ObjectServer = request.getfixturevalue("server")
        return server.url
    found = real_url()
    monkeypatch.delenv(REAL_VARIABLE)  # a store that is opened by its folder takes it for a setting
    return found


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
    assert mirror.sync(NOW_US).put == 1, "a segment"
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


def test_what_is_damaged_here_does_not_take_the_place_of_what_is_whole_there(tmp_path: Path) -> None:
    url = (tmp_path / "far away").as_uri()
    bot = Bot(tmp_path / "root", url)
    bot.write(archived=True)
    bot.manager.create_full()
    bot.write()
    bot.manager.create_incremental()
    there = {name: ObjectStore(url).read(f"{FOLDER}/{name}") for name in far_away(url)}
    files = [one.path for one in bot.manager.repository.files() if one.named.kind != "tail"]
    files += [*bot.manager.base.glob("*/full/*.zst"), *ArchiveCopies(bot.manager.base).paths()]
    assert len(files) == 4
    for path in files:
        path.write_bytes(path.read_bytes()[:-1])
    mirror = Mirror(bot.manager.repository, url)
    for _ in range(2):
        with pytest.raises(BackupCorrupt, match=f"{len(files)} files of the backups are damaged"):
            mirror.sync(NOW_US)
    assert all(ObjectStore(url).read(f"{FOLDER}/{name}") == content for name, content in there.items())
    fetch(url, tmp_path / "fetched")
    assert restored(tmp_path / "fetched", tmp_path / "latest") == bot.live()


def test_who_hears_of_a_failure_finds_it_in_the_status(tmp_path: Path, server: ObjectServer) -> None:
    bot = Bot(tmp_path / "root", server.url)
    bot.write()
    bot.manager.create_full()
    server.fault = lambda _environment: b"nonsense"
    stop = threading.Event()
    heard: list[str | None] = []
    service = BackupService(
        bot.config, bot.backup, SystemClock(), stop,
        on_error=lambda _error: heard.append(bot.manager.status()["warning"]), on_gap=lambda _said: None,
        archives_every_s=0.05,
    )  # fmt: skip
    service.start()
    try:
        await_that(lambda: bool(heard))
    finally:
        stop.set()
        service.close()
    assert "the backups need attention" in str(heard[0])


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


def test_a_store_that_does_not_answer_keeps_nothing_of_a_round_from_being_done(
    tmp_path: Path, server: ObjectServer
) -> None:
    bot = Bot(tmp_path / "root", server.url)
    bot.write(archived=True)
    bot.manager.create_full()
    (lost,) = (bot.root / "archives").rglob("*.parquet")
    lost.unlink()
    bot.write()
    server.stop()
    with pytest.raises(ArchiveUnreachable):
        bot.manager.mark("here")
    assert [mark.name for mark in bot.manager.marks()] == ["here"]
    bot.clock.advance(40 * DAY_US)
    before = bot.live()
    with pytest.raises(ArchiveUnreachable):
        back_up_once(bot.config, bot.backup, bot.clock)
    assert lost.exists()
    assert bot.manager.status()["fulls"] == 1, "a new one; the first has expired"
    assert (bot.manager.base / EXPIRED_NAME).exists()
    assert restored(bot.manager.base, tmp_path / "then", before[0]) == before, (
        "all but the entry about the healing"
    )


def test_a_url_that_cannot_be_used_keeps_the_store_backed_up(tmp_path: Path) -> None:
    bot = Bot(tmp_path / "root", "s9://no such kind of store")
    bot.write()
    stop = threading.Event()
    said: list[Exception] = []
    service = BackupService(
        bot.config, msgspec.structs.replace(bot.backup, poll_interval_ms=10), SystemClock(), stop,
        on_error=said.append, on_gap=lambda _said: None, archives_every_s=0.05,
    )  # fmt: skip
    service.start()
    try:
        await_that(lambda: bot.manager.status()["fulls"] == 1 and bool(said))
    finally:
        stop.set()
        service.close()
    assert isinstance(said[0], ConfigError)
    assert "no URL for objects" in bot.manager.status()["warning"]


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
