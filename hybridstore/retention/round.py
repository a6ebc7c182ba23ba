"""One round of the retention: finish what was left open, move, delete, merge, clear away, offload, in this order."""

from __future__ import annotations

import time
from collections.abc import Callable

from hybridstore.archive.results import RESULT_AGE_MAX_S, forget_results
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.collector import Collector
from hybridstore.retention.deleter import Deleter
from hybridstore.retention.deletion import PlannedDeletion
from hybridstore.retention.failures import Failures
from hybridstore.retention.merger import merge
from hybridstore.retention.merging import PlannedMerge
from hybridstore.retention.mover import Mover
from hybridstore.retention.offload import Offloader
from hybridstore.retention.plans import Plans
from hybridstore.retention.policy import PlannedMove
from hybridstore.retention.progress import Done, MoveReport, OnStep, Running, Stopped, check_stop, stoppable
from hybridstore.retention.replacer import Replacer
from hybridstore.retention.sweep import doubt, find_leftovers, sweep
from hybridstore.retention.trusted_clock import Trust
from hybridstore.retention.upkeep import Upkeep

_ROUNDS_MAX = 3
"""How often a run looks for what was recorded meanwhile; else it would never end while somebody tells an old history.
Of a unit too large for one file it moves all."""


class Round:
    """One round over a store whose mover lock is held.

    Args:
        database: The open store.
        plans: What is due.
        trust: What the store's clock is worth.
        on_step: Called with the name of each step of each move.
        on_replace_step: Called with the name of each step of each merge, deletion, collection and offload.
        running: Tells how far it is.
        stop: Asked after each step; True ends the round there.
    """

    def __init__(
        self,
        database: DatabaseManager,
        plans: Plans,
        trust: Trust,
        *,
        on_step: OnStep | None = None,
        on_replace_step: OnStep | None = None,
        running: Running,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._database = database
        self._plans = plans
        self._trust = trust
        self._running = running
        self._stop = stop
        self._done = Done()
        self._failures = Failures()
        self._is_certain = doubt(database) is None
        keeps, uncompressed = not self._is_certain, plans.uncompressed
        self._mover = Mover(
            database,
            stoppable(on_step, stop),
            running.advance,
            keeps_finished=keeps,
            failures=self._failures,
            uncompressed=uncompressed,
        )
        self._on_replace_step = stoppable(on_replace_step, stop)
        self._replacer = Replacer(
            database, self._on_replace_step, keeps_finished=keeps, uncompressed=uncompressed
        )
        self._deleter = Deleter(database, self._replacer)
        self._collector = Collector(database, self._replacer, on_replace_step, self._failures)

    def run(self) -> MoveReport:
        """Do the round. What cannot be done does not stop the rest.

        Returns:
            What was done.

        Raises:
            ArchiveError: Something could not be done; everything else was.
            StorageFailure: The same: the device does not give a file, or takes none.
        """
        begun_s, done = time.monotonic(), self._done
        try:
            self._replacer.take_back()
            done.resumed += len(self._mover.resume())
            self._move()
            done.moving_s = time.monotonic() - begun_s
            if self._is_certain:
                done.restored += self._deleter.restore_held(self._plans.holds())
                self._delete()
            self._merge()
            if self._is_certain:
                done.swept += len(sweep(self._database))
                done.collected += len(self._collector.collect(self._trust.now_us))
            forget_results(self._database.root, RESULT_AGE_MAX_S)
            upkeep = Upkeep(self._database, self._stop)
            done.freed_bytes += upkeep.give_back()
            upkeep.refresh_statistics()
            done.clock_doubt = self._plans.doubt(self._trust)
            done.strange += len(find_leftovers(self._database).strange)
            if self._is_certain:
                self._offload()
            done.complete = True
        except Stopped:
            self._mover.take_back_claims()
        if self._failures.errors:
            raise self._failures.summary(f"{self._running.rows_done:,} rows of the rest were moved")
        return done.report(self._running.rows_done, time.monotonic() - begun_s, self._mover.locked_ms)

    def _move(self) -> None:
        moves, rounds = self._due_moves(), 1
        while moves:
            self._running.begin(moves)
            for planned in moves:
                check_stop(self._stop)
                self._running.enter(planned)
                with self._failures.noting(planned.unit.dataset, planned.unit.start_us):
                    self._done.note_move(self._mover.move(planned))
            large = {one.unit[:2] for one in moves if self._mover.needs_several_files(one)}
            moves = self._due_moves()
            if rounds >= _ROUNDS_MAX:
                moves = [one for one in moves if one.unit[:2] in large]
            rounds += 1

    def _offload(self) -> None:
        """Last: an object store that cannot be reached keeps nothing else from being done."""
        offloader = Offloader(self._database, self._failures, self._on_replace_step, self._stop)
        self._done.offloaded += len(offloader.offload())
        self._done.evicted_bytes += offloader.evict()

    def _due_moves(self) -> list[PlannedMove]:
        return [
            one
            for one in self._plans.moves()
            if self._failures.is_worth_trying(one.unit.dataset, one.unit.start_us)
        ]

    def _delete(self) -> None:
        """Do every deletion that is due, planned anew as long as one did something."""
        while planned := self._due_deletions():
            for one in planned:
                check_stop(self._stop)
                with self._failures.noting(one.file.dataset, one.file.file_id):
                    self._done.note_deletion(self._deleter.delete(one))

    def _due_deletions(self) -> list[PlannedDeletion]:
        return [
            one
            for one in self._plans.deletions(self._trust)
            if self._failures.is_worth_trying(one.file.dataset, one.file.file_id)
        ]

    def _merge(self) -> None:
        """Do every merge that is due, planned anew until there are none but those that failed."""
        while planned := self._due_merges():
            for one in planned:
                check_stop(self._stop)
                with self._failures.noting(one.dataset, one.files[0].file_id):
                    merge(self._replacer, one)
                    self._done.note_merge(one)

    def _due_merges(self) -> list[PlannedMerge]:
        return [
            one
            for one in self._plans.merges(self._trust)
            if self._failures.is_worth_trying(one.dataset, one.files[0].file_id)
        ]
