"""Power cuts over a run that was recorded below SQLite, pyarrow and Python: the disks are judged as always.

``tests/crash/powercut.py`` sees SQLite through a VFS and Python's calls through the module ``os``; a library that wrote
a file by itself would be seen only at the next fsync. Here nothing passes unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

import apsw
import msgspec
import pyarrow as pa

from hybridstore.clock import ManualClock
from hybridstore.errors import HybridStoreError
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.verification import examine
from tests.crash.deleting import create_aged, delete_everything, read, wrong
from tests.crash.disk import Crash
from tests.crash.images import Image, crash_images
from tests.crash.operations import Operation
from tests.crash.powercut import Judge
from tests.crash.reopen import ImageFolder
from tests.crash.shim import run_under
from tests.crash.shim_log import Before, read_logs, take_before
from tests.crash.shim_process import Request
from tests.crash.stock import NOW_US, create_stock, stock_rows, store_config
from tests.retention.aging import DUE_US

_RECORDING_S = 120
_ROWS_A_DAY = 6


@dataclass
class Cuts:
    """What power cuts did.

    Attributes:
        operations: What was recorded, by kind.
        images: How many disks were looked at.
        resumed: On how many of them the work was taken up again and finished.
        problems: What was wrong, in the order of the run.
    """

    operations: Counter[str] = field(default_factory=Counter)
    images: int = 0
    resumed: int = 0
    problems: list[str] = field(default_factory=list)


class Judges(Protocol):
    """Looks at what a power cut left, and says what is wrong with it."""

    def problem(self, image: Image, *, resume: bool) -> str | None:
        """Look at the folder, whatever it holds at the time; take the work up again."""


def cut_power_below(
    folder: Path,
    library: Path,
    work: str,
    seed: int,
    count: int,
    *,
    resume_every: int,
    deaths: Sequence[int] = (),
    mutant: str | None = None,
) -> Cuts:
    """Move or delete once while everything is recorded, then look at disks after power cuts.

    Args:
        folder: An empty folder to work in.
        library: From :func:`tests.crash.shim.build_shim`.
        work: "move" or "delete".
        seed: Decides the content and the disks.
        count: How many disks.
        resume_every: On every so many disks the work is also taken up again.
        deaths: Processes that die before one gets through: at which of its steps each does.
        mutant: The deliberate break of the protocol to work with.

    Returns:
        What was found.
    """
    root = folder / "root"
    images = ImageFolder(folder / "image")
    judge: Judges = (MovedJudge if work == "move" else DeletedJudge)(root, images.path, seed)
    before = take_before(root)
    logs: list[Path] = []
    for die_at in (*deaths, None):
        logs.append(folder / f"log-{len(logs)}")
        request = Request(str(root), str(logs[-1]), work, seed, _ROWS_A_DAY, mutant, die_at)
        arguments = ("-m", "tests.crash.shim_process", msgspec.json.encode(request).decode())
        run_under(library, arguments, _RECORDING_S)
    operations, begun = read_logs(logs, before)
    _check_nothing_passed_unseen(operations, before, root)
    cuts = Cuts(Counter(type(operation).__name__ for operation in operations))
    for image in crash_images(operations, count=count, rng=Random(seed), baseline=before.files):
        if image.point < begun:  # what is there already is only being told
            continue
        images.write(image)
        resume = cuts.images % resume_every == 0
        if (problem := _problem(judge, image, resume=resume)) is not None:
            cuts.problems.append(f"point {image.point} of {len(operations)} ({image.strategy}): {problem}")
        cuts.images += 1
        cuts.resumed += resume
        if cuts.problems and mutant is not None:
            break
    images.close()
    return cuts


def _check_nothing_passed_unseen(operations: list[Operation], before: Before, root: Path) -> None:
    """Without a power cut the model's disk is the one that is there, to the last byte."""
    crash = Crash(before.files)
    for operation in operations:
        crash.step(operation)
    assert crash.image(Random(0), "everything") == take_before(root).files


def _problem(judge: Judges, image: Image, *, resume: bool) -> str | None:
    try:
        return judge.problem(image, resume=resume)
    except (AssertionError, HybridStoreError, OSError, apsw.Error, pa.ArrowInvalid) as error:
        return f"{type(error).__name__}: {error}"


def _scrub(database: DatabaseManager) -> str | None:
    problems = examine(database, "scrub").problems
    return "; ".join(problems) if problems else None


class MovedJudge:
    """A stock that is moved and merged: every disk shows the whole stock."""

    def __init__(self, root: Path, seen: Path, seed: int) -> None:
        expected = stock_rows(seed, _ROWS_A_DAY)
        create_stock(root, expected)
        self._seen = seen
        self._judge = Judge(seen, expected)

    def problem(self, image: Image, *, resume: bool) -> str | None:
        """Look at the store as it is, and through a fresh store; take the move up again."""
        if (problem := self._judge.problem(acknowledged=len(image.notes), resume=False)) is not None:
            return problem
        if (problem := self._fresh()) is not None or not resume:
            return problem
        return self._judge.problem(acknowledged=len(image.notes), resume=True) or self._fresh()

    def _fresh(self) -> str | None:
        database = DatabaseManager(store_config(self._seen), clock=ManualClock(NOW_US))
        database.open()
        try:
            return _scrub(database)
        finally:
            database.shutdown()


class DeletedJudge:
    """A store that deletes, brings back and destroys: what must stay is on every disk."""

    def __init__(self, root: Path, seen: Path, seed: int) -> None:
        self._seen = seen
        self._before, self._always, self._after = create_aged(root, seed)

    def problem(self, image: Image, *, resume: bool) -> str | None:
        """Look at the store through a fresh one; take the deletion up again."""
        told = set(image.notes)
        problem = self._fresh(is_held="held" in told, is_over="over" in told)
        if problem is not None or not resume:
            return problem
        delete_everything(self._seen, lambda _name: None)
        problem = self._fresh(is_held=True, is_over=True)
        return None if problem is None else f"after it was taken up again: {problem}"

    def _fresh(self, *, is_held: bool, is_over: bool) -> str | None:
        database = DatabaseManager(store_config(self._seen), clock=ManualClock(DUE_US))
        database.open()
        try:
            found = read(database)
            if (problem := wrong(self._before, self._always, found)) is not None:
                return problem
            if is_over and found != self._after:
                return "what is there is not what should be there in the end"
            if is_held and len(DataRetentionManager(database).holds()) != 2:
                return "a hold that was acknowledged is not there"
            return _scrub(database)
        finally:
            database.shutdown()
