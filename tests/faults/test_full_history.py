"""A disk that is full from any step on of what a store does to its history, until there is space again.

The device says that it is full to each call that needs space, from the n-th on (``tests/crash/shim.c``); and a small
file system has no space left, or hardly any (a move on it is in ``test_full_move.py``). What counts goes on counting,
the error says which device and what to do, and with space the same store does it without a restart.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hybridstore.errors import StorageFull
from tests.faults.failing_work import OPERATIONS, look, open_store, prepare, small_steps
from tests.faults.sweeping import let_fail
from tests.faults.tmpfs import Filler, small_disk


@pytest.mark.timeout(120)
def test_a_full_disk_stops_what_goes_on_later(tmp_path: Path, seed: int) -> None:
    report = let_fail(tmp_path, seed, tuple(OPERATIONS), ("full disk",), sample=3, timeout_s=110)
    assert not report.problems, "\n".join(report.problems)
    assert report.errors.keys() <= {"StorageFull", "ArchiveUnreachable"}, (
        "of the root, or of where its history goes"
    )
    assert report.errors["StorageFull"] > 10


@pytest.mark.parametrize("left_kib", [0, 96, 192])
@pytest.mark.parametrize(
    "operation", ["merge a month", "merge a year", "overflow", "delete", "restore", "erase"]
)
def test_a_small_disk_that_is_full_stops_what_goes_on_later(
    tmp_path: Path, seed: int, operation: str, left_kib: int
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 16) as disk, small_steps():
        root = disk / "root"
        case = prepare(operation, root, seed)
        database = open_store(root, case.now_us)
        filler = Filler(disk / "filler")
        filler.fill(left_kib)
        full = None
        try:
            case.work(database)
        except StorageFull as error:
            full = error
            print(error)
        assert (full is not None) or left_kib
        assert full is None or (full.hint and full.path and full.path.startswith(str(root)))
        filler.free()
        assert look(root, case, done=full is None) is None
        case.work(database)
        database.shutdown()
        assert look(root, case, done=True, tidy=True) is None


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_disk_that_is_full_from_any_step_on_stops_what_goes_on_later(
    tmp_path: Path, seed: int, operation: str
) -> None:
    report = let_fail(tmp_path, seed, (operation,), ("full disk",), sample=None, timeout_s=3_500)
    assert not report.problems, (len(report.problems), "\n".join(report.problems[:20]))
    assert report.errors.keys() == {"StorageFull"}
