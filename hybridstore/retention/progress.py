"""What a run of the retention tells: how far it is, what it did, and when it is to stop."""

from __future__ import annotations

from collections.abc import Callable

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.records import Record
from hybridstore.retention.merging import PlannedMerge
from hybridstore.retention.policy import PlannedMove
from hybridstore.schema.types import moment

OnStep = Callable[[str], None]


class Progress(Record, frozen=True, gc=False):
    """How far a run is.

    Attributes:
        dataset: What is being moved.
        day: Which UTC day, ISO 8601.
        rows_done: Rows moved so far.
        rows_total: Rows planned.
    """

    dataset: str
    day: str
    rows_done: int
    rows_total: int


class MoveReport(Record, frozen=True, gc=False):
    """What a run did.

    Attributes:
        rows: Rows moved, with those of resumed moves.
        files: Files published.
        size_bytes: Their size.
        elapsed_s: How long it took.
        rows_per_s: rows by the time that moving them took, merges and sweeping left out.
        lock_ms_p50: How long publishing steps held the write lock, median.
        lock_ms_p99: 99 of 100 steps held it no longer.
        lock_ms_max: The longest.
        resumed: Moves that a crash had left open and that were finished.
        swept: Files removed of moves that had been given up.
        strange: Files under archives/ that this store knows nothing of; they are left alone.
        complete: Whether everything that was due was moved; False where the run was stopped.
        merged: Files that others replaced.
        merged_rows: Rows of those others.
        collected: Replaced files that were deleted after their grace.
        deleted_rows: Rows that count no more because they are older than their policy keeps.
        restored_rows: Rows that count again because a legal hold came before they were destroyed.
        clock_doubt: Why no more was deleted; None where the clock is believed.
        freed_bytes: How much smaller the hot database got.
        offloaded: Files that were put into the object store.
        evicted_bytes: Copies of what is there that were deleted here.
    """

    rows: int
    files: int
    size_bytes: int
    elapsed_s: float
    rows_per_s: float
    lock_ms_p50: float
    lock_ms_p99: float
    lock_ms_max: float
    resumed: int
    swept: int
    strange: int = 0
    complete: bool = True
    merged: int = 0
    merged_rows: int = 0
    collected: int = 0
    deleted_rows: int = 0
    restored_rows: int = 0
    clock_doubt: str | None = None
    freed_bytes: int = 0
    offloaded: int = 0
    evicted_bytes: int = 0


class Done:
    """Counts what a run did.

    Attributes:
        resumed: Moves that a crash had left open and that were finished.
        swept: Files removed of moves and merges that had been given up.
        strange: Files under archives/ that this store knows nothing of.
        collected: Replaced files that were deleted.
        restored: Rows that a legal hold brought back.
        clock_doubt: Why no more was deleted.
        freed_bytes: How much smaller the hot database got.
        offloaded: Files that were put into the object store.
        evicted_bytes: Copies of what is there that were deleted here.
        complete: Whether everything that was due was done.
        moving_s: How long moves took, planning included; 0 where they did not end.
    """

    def __init__(self) -> None:
        self.resumed = self.swept = self.strange = self.collected = self.restored = 0
        self.freed_bytes = self.offloaded = self.evicted_bytes = 0
        self.clock_doubt: str | None = None
        self.complete = False
        self.moving_s = 0.0
        self._files = self._size_bytes = self._merged = self._merged_rows = self._deleted_rows = 0

    def note_move(self, file: ArchiveFile | None) -> None:
        """Count a move.

        Args:
            file: What it published; None where there was nothing to move any more.
        """
        if file is not None:
            self._files += 1
            self._size_bytes += file.size_bytes

    def note_merge(self, planned: PlannedMerge) -> None:
        """Count a merge.

        Args:
            planned: What became one.
        """
        self._merged += len(planned.files)
        self._merged_rows += planned.row_count

    def note_deletion(self, rows: int) -> None:
        """Count a deletion.

        Args:
            rows: How many count no more.
        """
        self._deleted_rows += rows

    def report(self, rows: int, elapsed_s: float, locked_ms: list[float]) -> MoveReport:
        """Make the report.

        Args:
            rows: Rows moved.
            elapsed_s: How long the run took.
            locked_ms: How long each publishing step held the write lock.

        Returns:
            The report.
        """
        return MoveReport(
            rows=rows,
            files=self._files,
            size_bytes=self._size_bytes,
            elapsed_s=round(elapsed_s, 3),
            rows_per_s=round(rows / (self.moving_s or elapsed_s), 1) if rows else 0.0,
            lock_ms_p50=percentile(locked_ms, 50),
            lock_ms_p99=percentile(locked_ms, 99),
            lock_ms_max=percentile(locked_ms, 100),
            resumed=self.resumed,
            swept=self.swept,
            strange=self.strange,
            complete=self.complete,
            merged=self._merged,
            merged_rows=self._merged_rows,
            collected=self.collected,
            deleted_rows=self._deleted_rows,
            restored_rows=self.restored,
            clock_doubt=self.clock_doubt,
            freed_bytes=self.freed_bytes,
            offloaded=self.offloaded,
            evicted_bytes=self.evicted_bytes,
        )


class Stopped(Exception):
    """The run is to end after the step that has just been done."""


def stoppable(on_step: OnStep | None, stop: Callable[[], bool] | None) -> OnStep | None:
    """Make what is called after each step, which ends the run there when it is to stop.

    Args:
        on_step: Called with the name of each step.
        stop: Asked after each; None never stops.

    Returns:
        The function; None where there is nothing to call.
    """
    if stop is None:
        return on_step

    def after(name: str) -> None:
        if on_step:
            on_step(name)
        if name not in {"done", "replaced", "collected", "proven"}:  # what is done is counted first
            check_stop(stop)

    return after


def check_stop(stop: Callable[[], bool] | None) -> None:
    """End the run if it is to stop.

    Args:
        stop: Asked; None never stops.

    Raises:
        Stopped: It is to.
    """
    if stop and stop():
        raise Stopped


def percentile(times_ms: list[float], percent: int) -> float:
    """Return a percentile by nearest rank.

    Args:
        times_ms: Any number of times, ms.
        percent: 1 to 100.

    Returns:
        The time, ms, to three places; 0 where nothing was measured.
    """
    ordered = sorted(times_ms)
    return round(ordered[-(-len(ordered) * percent // 100) - 1], 3) if ordered else 0.0


class Running:
    """Counts rows of a run for its progress callback.

    Args:
        progress: Called as rows are moved.
    """

    def __init__(self, progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self.rows_done = 0
        self._total = 0
        self._dataset = ""
        self._day = ""

    def begin(self, moves: list[PlannedMove]) -> None:
        """Add what was planned to the total.

        Args:
            moves: What was planned.
        """
        self._total = self.rows_done + sum(planned.row_count for planned in moves)

    def enter(self, planned: PlannedMove) -> None:
        """Note which unit is being moved.

        Args:
            planned: The unit.
        """
        self._dataset = planned.unit.dataset
        self._day = f"{moment(planned.unit.start_us):%Y-%m-%d}"

    def advance(self, rows: int) -> None:
        """Note that rows were moved.

        Args:
            rows: How many.
        """
        self.rows_done += rows
        if self._progress:
            self._progress(
                Progress(self._dataset, self._day, self.rows_done, max(self._total, self.rows_done))
            )
