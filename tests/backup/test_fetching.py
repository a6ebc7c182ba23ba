"""Backups that are brought back from below a URL: which, how much of them, and what they do not claim."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hybridstore.backup.fetching import fetch, list_series
from hybridstore.backup.manager import BackupManager
from hybridstore.backup.mirror import FOLDER, NOTES, series_of
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.errors import (
    BackupCorrupt,
    ConfigError,
    InvalidValue,
    NotFound,
    NotRestorable,
)
from tests.backup.mirrored import Bot, far_away, restored


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


def test_what_was_fetched_does_not_claim_to_be_all_there_was(tmp_path: Path) -> None:
    url = (tmp_path / "far away").as_uri()
    bot = Bot(tmp_path / "root", url)
    bot.write()
    bot.manager.create_full()
    bot.write()
    bot.manager.create_incremental()
    fetch(url, tmp_path / "fetched")
    config = DatabaseConfig(database_path=str(tmp_path / "x" / DATABASE_NAME), enable_logs=False)
    fetched = BackupManager(config, BackupConfig(backup_base_path=str(tmp_path / "fetched")))
    assert fetched.verify("restore").problems == ()
    assert not fetched.restore("latest", tmp_path / "latest").exact
    assert fetched.restore(fetched.restore_points()[-1].seq_last, tmp_path / "numbered").exact


def test_of_several_stores_it_must_be_said_which(tmp_path: Path) -> None:
    url = (tmp_path / "far away").as_uri()
    bots = [Bot(tmp_path / f"root-{number}", url) for number in range(2)]
    for bot in bots:
        bot.write()
        bot.manager.create_full()
    with pytest.raises(InvalidValue, match="several stores"):
        fetch(url, tmp_path / "fetched")
    for number, bot in enumerate(bots):
        fetch(url, tmp_path / f"fetched-{number}", series=series_of(bot.manager.repository))
        assert restored(tmp_path / f"fetched-{number}", tmp_path / f"latest-{number}") == bot.live()


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
