"""A whole move under the recorder, and the judge of what power cuts leave of it: hot store, folders and files."""

from __future__ import annotations

import random
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import apsw

from tests.crash.files import Died, FileRecorder
from tests.crash.images import crash_images
from tests.crash.moving import move_everything
from tests.crash.mutants import MUTANTS
from tests.crash.observer import Observer, Wrong, difference
from tests.crash.reopen import ImageFolder
from tests.crash.stock import CORRECTIONS, DATASETS, count_corrections, create_stock, old_ids, stock_rows
from tests.crash.vfs import RecordingVFS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.crash.stock import Row, Rows


@dataclass
class Verdict:
    """What power cuts did.

    Attributes:
        images: How many disks were examined.
        resumed: On how many of them the move was taken up again and finished.
        problems: What was wrong, in the order of the run.
    """

    images: int = 0
    resumed: int = 0
    problems: list[str] = field(default_factory=list)


def cut_power(
    folder: Path,
    seed: int,
    count: int,
    *,
    rows_a_day: int = 12,
    resume_every: int = 0,
    deaths: Sequence[int] = (),
    mutant: str | None = None,
) -> Verdict:
    """Move a stock once while everything is recorded, then examine disks after power cuts.

    But for corrections no row is written during the move, so every disk must show the whole stock.

    Args:
        folder: An empty folder to work in.
        seed: Decides the stock and the disks.
        count: How many disks.
        rows_a_day: Rows of each dataset on each day.
        resume_every: On every so many disks the move is also taken up again; 0 for none.
        deaths: Movers that die before one gets through: after which of its file calls each does.
        mutant: The deliberate break of the protocol to move with.

    Returns:
        What was found.
    """
    root = folder / "root"
    expected = stock_rows(seed, rows_a_day)
    create_stock(root, expected)
    vfs = RecordingVFS(root)

    def note(step: str) -> None:
        if step == "corrected":
            vfs.note(step)

    try:
        files = FileRecorder(vfs, root)
        for die_after in deaths:
            with suppress(Died), files.recording(die_after):
                move_everything(root, note, vfs=vfs.name, expected=expected)
        with files.recording(), MUTANTS[mutant]() if mutant else nullcontext():
            move_everything(root, note, vfs=vfs.name, expected=expected)
    finally:
        vfs.unregister()
    images = ImageFolder(folder / "image")
    judge = Judge(images.path, expected)
    verdict = Verdict()
    for image in crash_images(vfs.operations, count=count, rng=random.Random(seed), baseline=vfs.baseline):
        images.write(image)
        resume = bool(resume_every) and verdict.images % resume_every == 0
        if problem := judge.problem(acknowledged=len(image.notes), resume=resume):
            verdict.problems.append(
                f"point {image.point} of {len(vfs.operations)} ({image.strategy}): {problem}"
            )
        verdict.images += 1
        verdict.resumed += resume
    images.close()
    return verdict


class Judge:
    """Looks at the store in one folder, whatever image it holds at the time."""

    def __init__(self, root: Path, expected: Rows) -> None:
        self._root = root
        self._expected = expected
        self._decoded: dict[str, dict[int, Row]] = {}

    def problem(self, *, acknowledged: int, resume: bool) -> str | None:
        # Movers that die and begin anew tell the same corrections again.
        corrections_min = min(acknowledged, CORRECTIONS)
        try:
            if problem := self._look(corrections_min, moved=False):
                return problem
            if resume:
                move_everything(self._root, lambda _name: None, expected=self._expected)
                if problem := self._look(CORRECTIONS, moved=True):
                    return f"after the move was taken up again: {problem}"
        except (Wrong, apsw.Error) as error:
            return f"{type(error).__name__}: {error}"
        return None

    def _look(self, corrections_min: int, *, moved: bool) -> str | None:
        observer = Observer(self._root, decoded=self._decoded)
        try:
            found = observer.rows()
            if problem := difference(self._expected, found):
                return problem
            if (done := count_corrections(self._expected, found)) < corrections_min:
                return f"{done} corrections are there, {corrections_min} were acknowledged"
            if (check := observer.integrity()) != "ok":
                return check
            for dataset in DATASETS if moved else ():
                if left := observer.hot_ids(dataset) & set(old_ids(found, dataset)):
                    return f"{len(left)} rows of {dataset.name} are still hot"
        finally:
            observer.close()
        return None
