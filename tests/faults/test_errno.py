"""The n-th system call of whatever a store does to its history fails: nothing is lost, doubled or left undone.

The call either does not matter, or an error of ours says what could not be done; every row counts once all the while,
and done again, in the same store or in a fresh one, the work comes to its end. ``tests/crash/shim.c`` lets calls of
SQLite, pyarrow and Python fail alike.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.failing_work import OPERATIONS
from tests.faults.sweeping import let_fail

_ONCE = ("EIO", "ENOSPC", "EMFILE", "short write")


@pytest.mark.timeout(180)
def test_a_call_that_fails_loses_nothing(tmp_path: Path, seed: int) -> None:
    report = let_fail(tmp_path, seed, tuple(OPERATIONS), _ONCE, sample=3, timeout_s=170)
    assert not report.problems, "\n".join(report.problems)
    assert report.injected > 0.9 * 3 * len(_ONCE) * len(OPERATIONS)
    assert report.errors.keys() >= {"StorageFull", "StorageFailure"}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("operation", "fault", "mutant"),
    [
        ("move", "full disk", "delete before publish"),
        ("move", "dead device", "publish and delete in two transactions"),
        ("move", "EMFILE", "tell errors of the system"),
    ],
)
def test_a_broken_protocol_is_noticed(
    tmp_path: Path, seed: int, operation: str, fault: str, mutant: str
) -> None:
    report = let_fail(tmp_path, seed, (operation,), (fault,), sample=150, timeout_s=110, mutant=mutant)
    print(report.problems[:1])
    assert report.problems
    assert "()" not in report.problems[0], "without a failure nothing is wrong"


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_call_that_fails_loses_anything(tmp_path: Path, seed: int, operation: str) -> None:
    report = let_fail(tmp_path, seed, (operation,), _ONCE, sample=None, timeout_s=3_500)
    assert not report.problems, (len(report.problems), "\n".join(report.problems[:20]))
    assert report.injected >= 0.95 * sum(report.calls[operation].values()) > 300


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_device_that_dies_loses_nothing(tmp_path: Path, seed: int) -> None:
    report = let_fail(tmp_path, seed, tuple(OPERATIONS), ("dead device",), sample=60, timeout_s=3_500)
    assert not report.problems, (len(report.problems), "\n".join(report.problems[:20]))
