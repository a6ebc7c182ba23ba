"""The harness proves itself on plain SQLite: what FULL and NORMAL promise; a lying disk is found out."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apsw
import pytest

from tests.crash.disk import Crash
from tests.crash.images import Image, crash_images
from tests.crash.reopen import ImageFolder, integrity
from tests.crash.vfs import RecordingVFS

if TYPE_CHECKING:
    from pathlib import Path

_COMMITS = 240
_IMAGES = 2_000
_DATABASE = "raw.db"


def payload(number: int) -> bytes:
    """Return the content row ``number`` must have: 0 to 3 kB, so that rows span sectors and pages."""
    digest = hashlib.sha256(str(number).encode()).digest()
    return digest * (digest[0] % 96)


def _record(folder: Path, synchronous: str, *, honest: bool = True) -> RecordingVFS:
    """Commit rows one by one with frequent checkpoints and one reopening, noting each acknowledgement."""
    vfs = RecordingVFS(folder, honest=honest)
    numbers = iter(range(1, _COMMITS + 1))
    for session in range(2):
        connection = apsw.Connection(str(folder / _DATABASE), vfs=vfs.name)
        assert connection.pragma("journal_mode", "wal") == "wal"
        connection.pragma("synchronous", synchronous)
        connection.wal_autocheckpoint(40)
        if session == 0:
            connection.execute(
                "CREATE TABLE event (id INTEGER PRIMARY KEY, payload BLOB);"
                "CREATE TABLE latest (one INTEGER PRIMARY KEY, id INTEGER); INSERT INTO latest VALUES (1, 0);"
            )
        for _ in range(_COMMITS // 2):
            number = next(numbers)
            with connection:
                connection.execute("INSERT INTO event VALUES (?, ?)", (number, payload(number)))
                connection.execute("UPDATE latest SET id = ?", (number,))
            vfs.note(number)
        connection.close()
    vfs.unregister()
    return vfs


@dataclass(frozen=True)
class _Verdict:
    survived: int
    damaged: str | None


def _examine(folder: ImageFolder, image: Image, *, deep: bool) -> _Verdict:
    """Say how many commits an image holds and whether they are exactly the first ones."""
    try:
        with folder.opened(image, _DATABASE) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'latest'").get
            if not tables:
                return _Verdict(0, None)
            rows: list[tuple[int, bytes]] = connection.execute(
                "SELECT id, payload FROM event ORDER BY id"
            ).fetchall()  # type: ignore[assignment]
            latest = connection.execute("SELECT max(id) FROM latest").get or 0
            found = integrity(connection) if deep else "ok"
    except apsw.Error as error:
        return _Verdict(0, f"{type(error).__name__}: {error}")
    if found != "ok":
        return _Verdict(len(rows), found)
    if [row[0] for row in rows] != list(range(1, len(rows) + 1)) or latest != len(rows):
        return _Verdict(len(rows), f"{len(rows)} rows, latest {latest}: not a prefix of the commits")
    if any(content != payload(number) for number, content in rows):
        return _Verdict(len(rows), "a row holds another row's content")
    return _Verdict(len(rows), None)


@dataclass
class _Tally:
    images: int = 0
    lost: int = 0
    damaged: int = 0
    first: str = ""


def _tally(folder: Path, vfs: RecordingVFS, seed: int, count: int) -> _Tally:
    images = ImageFolder(folder / "image")
    tally = _Tally()
    for image in crash_images(vfs.operations, count=count, rng=random.Random(seed), baseline=vfs.baseline):
        verdict = _examine(images, image, deep=tally.images % 10 == 0)
        tally.images += 1
        acknowledged = len(image.notes)
        if verdict.damaged:
            tally.damaged += 1
        elif verdict.survived < acknowledged:
            tally.lost += 1
        if not tally.first and (verdict.damaged or verdict.survived < acknowledged):
            tally.first = f"point {image.point} {image.strategy}: {verdict}, {acknowledged} acknowledged"
    images.close()
    return tally


@pytest.fixture
def store_folder(tmp_path: Path) -> Path:
    """Return an empty folder for the recorded database."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def test_full_keeps_every_acknowledged_commit(tmp_path: Path, store_folder: Path, seed: int) -> None:
    """WAL with synchronous=FULL: in 2 000 power cuts nothing acknowledged is lost and nothing is damaged."""
    vfs = _record(store_folder, "full")
    tally = _tally(tmp_path, vfs, seed, _IMAGES)
    assert (tally.images, tally.lost, tally.damaged) == (_IMAGES, 0, 0), tally.first


def test_normal_keeps_a_prefix(tmp_path: Path, store_folder: Path, seed: int) -> None:
    """WAL with synchronous=NORMAL: never damaged, always a prefix, but commits are lost and missed."""
    vfs = _record(store_folder, "normal")
    tally = _tally(tmp_path, vfs, seed, _IMAGES)
    assert tally.damaged == 0, tally.first
    assert tally.lost > _IMAGES // 10


def test_disk_whose_syncs_do_nothing_is_caught(tmp_path: Path, store_folder: Path, seed: int) -> None:
    """FULL on a disk that lies about syncs loses commits or is damaged, and both are noticed."""
    vfs = _record(store_folder, "full", honest=False)
    tally = _tally(tmp_path, vfs, seed, 300)
    assert tally.lost > 0
    assert tally.damaged > 0


def test_everything_kept_equals_the_real_files(store_folder: Path, seed: int) -> None:
    """The log is complete: replaying all of it gives the files SQLite really left, byte for byte."""
    vfs = _record(store_folder, "normal")
    crash = Crash(vfs.baseline)
    for operation in vfs.operations:
        crash.step(operation)
    real = {path.name: path.read_bytes() for path in store_folder.iterdir()}
    assert crash.image(random.Random(seed), "everything") == real


def test_same_seed_gives_the_same_images(store_folder: Path, seed: int) -> None:
    """A failing seed can be replayed."""
    vfs = _record(store_folder, "full")
    first, second = (
        [
            (image.point, image.strategy, image.files)
            for image in crash_images(vfs.operations, count=50, rng=random.Random(seed))
        ]
        for _ in range(2)
    )
    assert first == second
