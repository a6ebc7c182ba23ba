"""Power cuts while rows are deleted, brought back and destroyed: what must stay is on every disk a cut may leave."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from hybridstore.clock import ManualClock
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.verification import examine
from tests.crash.deleting import Content, create_aged, delete_everything, read, wrong
from tests.crash.files import Died, FileRecorder
from tests.crash.images import crash_images
from tests.crash.mutants import MUTANTS
from tests.crash.reopen import ImageFolder
from tests.crash.stock import store_config
from tests.crash.vfs import RecordingVFS
from tests.retention.aging import DUE_US

_TOLD = ("held", "over")


def _cut_power(
    folder: Path, seed: int, count: int, *, resume_every: int, deaths: tuple[int, ...] = ()
) -> None:
    """Delete once while everything is recorded, then look at disks after power cuts."""
    root = folder / "root"
    before, always, after = create_aged(root, seed)
    vfs = RecordingVFS(root)

    def note(step: str) -> None:
        if step in _TOLD:
            vfs.note(step)

    try:
        files = FileRecorder(vfs, root)
        begun = len(vfs.operations)  # before it, what is there already is only being told
        for die_after in deaths:
            with suppress(Died), files.recording(die_after):
                delete_everything(root, note, vfs.name)
        with files.recording():
            delete_everything(root, note, vfs.name)
    finally:
        vfs.unregister()
    images = ImageFolder(folder / "image")
    drawn = crash_images(vfs.operations, count=count, rng=Random(seed), baseline=vfs.baseline)
    for number, image in enumerate(image for image in drawn if image.point >= begun):
        images.write(image)
        where = f"point {image.point} of {len(vfs.operations)} ({image.strategy})"
        found = _look(images.path, where, told=set(image.notes))
        assert wrong(before, always, found) is None, f"{where}: {wrong(before, always, found)}"
        assert "over" not in image.notes or found == after, where
        if number % resume_every == 0:
            delete_everything(images.path, lambda _name: None)
            assert _look(images.path, f"{where}, taken up again", told={"held"}) == after
    images.close()


def _look(root: Path, where: str, *, told: set[object]) -> Content:
    database = DatabaseManager(store_config(root), clock=ManualClock(DUE_US))
    database.open()
    try:
        found = read(database)
        assert examine(database, "scrub").problems == (), where
        assert "held" not in told or len(DataRetentionManager(database).holds()) == 2, where
    finally:
        database.shutdown()
    return found


@pytest.mark.timeout(240)
def test_power_cuts_during_a_deletion_lose_nothing_that_must_stay(tmp_path: Path, seed: int) -> None:
    _cut_power(tmp_path, seed, 100, resume_every=20)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutant", ["no fsync of the file", "no fsync of the folder"])
def test_a_deletion_that_does_not_sync_is_noticed(tmp_path: Path, seed: int, mutant: str) -> None:
    with MUTANTS[mutant](), pytest.raises((AssertionError, OSError, pa.ArrowInvalid)):
        _cut_power(tmp_path, seed, 200, resume_every=1_000)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_power_cuts_after_many_deaths_lose_nothing_that_must_stay(
    tmp_path: Path, seed: int, rng: Random
) -> None:
    for number in range(40):
        deaths = tuple(rng.randrange(1, 40) for _ in range(rng.randrange(4)))
        _cut_power(tmp_path / str(number), seed + number, 60, resume_every=20, deaths=deaths)
