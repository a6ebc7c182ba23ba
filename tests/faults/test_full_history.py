"""A disk that is full from any step on of what a store does to its history, until there is space again.

A move on a real file system without space is in ``test_full_move.py``; here the device says that it is full to each
call that needs space, from the n-th on (``tests/crash/shim.c``). What counts goes on counting, the error says which
device and what to do, and with space the same store does it without a restart.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.failing_work import OPERATIONS
from tests.faults.sweeping import let_fail


@pytest.mark.timeout(120)
def test_a_full_disk_stops_what_goes_on_later(tmp_path: Path, seed: int) -> None:
    report = let_fail(tmp_path, seed, tuple(OPERATIONS), ("full disk",), sample=3, timeout_s=110)
    assert not report.problems, "\n".join(report.problems)
    assert report.errors.keys() == {"StorageFull"}


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_disk_that_is_full_from_any_step_on_stops_what_goes_on_later(
    tmp_path: Path, seed: int, operation: str
) -> None:
    report = let_fail(tmp_path, seed, (operation,), ("full disk",), sample=None, timeout_s=3_500)
    assert not report.problems, (len(report.problems), "\n".join(report.problems[:20]))
    assert report.errors.keys() == {"StorageFull"}
