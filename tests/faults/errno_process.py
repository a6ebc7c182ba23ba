"""Lets system calls of a store's operations fail, one after the other, in a process under ``tests/crash/shim.c``.

``python -m tests.faults.errno_process REQUEST`` takes a JSON object (see :class:`Request`) and prints one
(:class:`Report`).
"""

from __future__ import annotations

import errno
import random
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec

from hybridstore.errors import ArchiveCorrupt, ArchiveUnreachable, HybridStoreError, StorageFull, StoreCorrupt
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention import rewriting_desk
from tests.crash.mutants import MUTANTS
from tests.crash.shim import SHORT_WRITE, Fired, Kind, Shim
from tests.faults.failing_work import Case, look, open_store, prepare, small_steps

_NEVER = 1 << 40
_CLEAN_MIN = 5
"""A sweep ends after so many attempts without a failure: not every run makes as many calls."""
_GROWING = Kind.WRITE | Kind.TRUNCATE | Kind.MKDIR | Kind.CREATE | Kind.RENAME


class Fault(NamedTuple):
    """What a call fails with.

    Attributes:
        error: The errno, or ``SHORT_WRITE``.
        kinds: Calls that can fail so.
        lasts: Whether every call after it fails, too, until the work is over.
    """

    error: int
    kinds: Kind
    lasts: bool = False


FAULTS = {
    "EIO": Fault(errno.EIO, Kind(511)),
    "ENOSPC": Fault(errno.ENOSPC, _GROWING),
    "EMFILE": Fault(errno.EMFILE, Kind.OPEN),
    "short write": Fault(SHORT_WRITE, Kind.WRITE),
    "full disk": Fault(errno.ENOSPC, _GROWING, lasts=True),
    "dead device": Fault(errno.EIO, Kind(511), lasts=True),
}


_MUTANTS: dict[str, Callable[[], Any]] = {
    **MUTANTS,
    "tell errors of the system": lambda: patch.object(
        rewriting_desk, "telling_failures", lambda *_what: nullcontext()
    ),
}


class Request(msgspec.Struct, frozen=True):
    """What is to fail.

    Attributes:
        folder: An empty folder to work in.
        seed: Of the content, and of what is drawn.
        operations: Names of :data:`tests.faults.failing_work.OPERATIONS`.
        faults: Names of :data:`FAULTS`.
        sample: How many calls of each operation fail with each fault; None for every one.
        mutant: The deliberate break of the protocol to work with; it ends at the first problem.
    """

    folder: str
    seed: int
    operations: tuple[str, ...]
    faults: tuple[str, ...]
    sample: int | None = None
    mutant: str | None = None


class Report(msgspec.Struct):
    """What came of it.

    Attributes:
        calls: By operation and fault, how many calls there are that can fail so.
        attempts: How often the work was done.
        injected: How many of the attempts met a failure.
        errors: How many raised an error, by its kind.
        problems: What was wrong.
    """

    calls: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    attempts: int = 0
    injected: int = 0
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    problems: list[str] = msgspec.field(default_factory=list)


class Sweep:
    """Does one operation again and again, each time with another failure.

    Args:
        folder: An empty folder to work in.
        name: Of the operation.
        seed: Of the store's content.
        report: Takes what comes of it.
    """

    def __init__(self, folder: Path, name: str, seed: int, report: Report) -> None:
        self._name = name
        self._template = folder / "template"
        self._root = folder / "root"
        self._shim = Shim(self._root, skips_syncs=True)
        self._report = report
        self._counts: dict[str, int] = {}
        self._case: Case = prepare(name, self._template, seed)

    def sample(self, fault_name: str, count: int, rng: random.Random, *, stops: bool = False) -> None:
        """Let some of the calls fail, drawn at random.

        Args:
            fault_name: With what.
            count: How many.
            rng: Draws them.
            stops: Whether the first problem is enough.
        """
        if not self._counts:
            self._attempt(fault_name, _NEVER)
        calls = self._counts[fault_name]
        for number in rng.sample(range(1, calls + 1), min(count, calls)):
            self._attempt(fault_name, number)
            if stops and self._report.problems:
                break
        self._report.calls.setdefault(self._name, {})[fault_name] = calls

    def sweep(self, fault_name: str) -> None:
        """Let the first call fail, then the second, until none does.

        Args:
            fault_name: With what.
        """
        number = last = 0
        while number - last < _CLEAN_MIN:
            number += 1
            if self._attempt(fault_name, number).fired:
                last = number
        self._report.calls.setdefault(self._name, {})[fault_name] = last

    def _attempt(self, fault_name: str, number: int) -> Fired:
        fault = FAULTS[fault_name]
        shutil.rmtree(self._root, ignore_errors=True)
        shutil.copytree(self._template, self._root)
        self._report.attempts += 1
        database = open_store(self._root, self._case.now_us)
        error: Exception | None = None
        try:
            self._shim.arm(number, fault.error, fault.kinds, lasts=fault.lasts)
            try:
                self._case.work(database)
            except Exception as raised:  # noqa: BLE001  what it may be is judged below
                error = raised
            fired = self._shim.disarm()
            if not fired.fired:
                self._counts = {other: self._shim.count(one.kinds) for other, one in FAULTS.items()}
            try:
                problem = self._judge(
                    database, error, fault, fired, again_here=fault.lasts or bool(number % 2)
                )
            except Exception as raised:  # noqa: BLE001  the sweep goes on: all problems are told
                problem = f"then {type(raised).__name__}: {raised}"
        finally:
            database.shutdown()
        self._report.injected += bool(fired.fired)
        if problem is not None:
            where = f"{self._name}, {fault_name} at call {number} ({fired.first})"
            self._report.problems.append(f"{where}: {problem}; raised {error!r}")
        return fired

    def _judge(
        self,
        database: DatabaseManager,
        error: Exception | None,
        fault: Fault,
        fired: Fired,
        *,
        again_here: bool,
    ) -> str | None:
        """Say what is wrong after a failure; the work is then done again, in the same store or in a fresh one."""
        if (problem := self._judge_error(error, fault, fired)) is not None:
            return problem
        if (problem := look(self._root, self._case, done=error is None)) is not None:
            return problem
        if again_here:
            self._case.work(database)
        else:
            fresh = open_store(self._root, self._case.now_us)
            try:
                self._case.work(fresh)
            finally:
                fresh.shutdown()
        problem = look(self._root, self._case, done=True, tidy=True)
        return None if problem is None else f"after it was done again: {problem}"

    def _judge_error(self, error: Exception | None, fault: Fault, fired: Fired) -> str | None:
        if error is None:
            return None
        kind = type(error).__name__
        self._report.errors[kind] = self._report.errors.get(kind, 0) + 1
        if not isinstance(error, HybridStoreError):
            return "that is not ours"
        if not fired.fired:
            return "nothing had failed"
        if not error.operation and not error.path:
            return "it tells neither what was done nor which file"
        if fault.error != errno.EIO and isinstance(error, StoreCorrupt | ArchiveCorrupt):
            return "damage is told where there is none"
        return self._judge_full(error) if fault.error == errno.ENOSPC else None

    def _judge_full(self, error: HybridStoreError) -> str | None:
        if isinstance(error, ArchiveUnreachable) and "No space left" in error.message:
            return None  # the object store's device, which its own library tells of
        if not isinstance(error, StorageFull):
            return "a full disk is told as something else"
        if not (error.hint and error.path and error.path.startswith(str(self._root))):
            return "it does not tell which device is full and what to do"
        return None


def run(request: Request) -> Report:
    """Do what is asked for.

    Args:
        request: What is to fail.
    """
    report = Report()

    def note_death(death: Any) -> None:
        report.problems.append(f"the thread {death.thread.name} died of {death.exc_value!r}")

    threading.excepthook = note_death
    rng, mutants = random.Random(request.seed), _MUTANTS
    with small_steps():
        for name in request.operations:
            folder = Path(request.folder, name.replace(" ", "-"))
            folder.mkdir()
            sweep = Sweep(folder, name, request.seed, report)
            for fault_name in request.faults:
                if request.sample is None:
                    sweep.sweep(fault_name)
                else:
                    with mutants[request.mutant]() if request.mutant else nullcontext():
                        sweep.sample(fault_name, request.sample, rng, stops=request.mutant is not None)
            shutil.rmtree(folder)
    return report


if __name__ == "__main__":
    print(msgspec.json.encode(run(msgspec.json.decode(sys.argv[1], type=Request))).decode())
