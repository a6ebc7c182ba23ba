"""Movers that die, and the judge who looks at the store after each death."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.crash.mover_process import KILL_SIGNAL, Request
from tests.crash.observer import Observer, Wrong, difference
from tests.crash.processes import Movers, Reader
from tests.crash.stock import CORRECTIONS, DATASETS, count_corrections, create_stock, old_ids, stock_rows

if TYPE_CHECKING:
    from types import TracebackType

    from tests.crash.stock import Rows

_KILLED = (-KILL_SIGNAL, int(KILL_SIGNAL))
"""Exit codes of a killed process: negative on POSIX, the signal's number on Windows."""
_OCCURRENCE_MAX = 2
_STORES_MAX = 4_000


@dataclass
class Report:
    """What a campaign did and found.

    Attributes:
        steps: Every step that any mover took.
        killed_at: Kills at each named step.
        killed_at_random: Kills at random times.
        completed: Movers that were left alive and got through.
        snapshots: Snapshots each reader took meanwhile.
        problems: What was wrong, in the order it was found.
    """

    steps: set[str] = field(default_factory=set)
    killed_at: Counter[str] = field(default_factory=Counter)
    killed_at_random: int = 0
    completed: int = 0
    snapshots: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """All kills."""
        return self.killed_at.total() + self.killed_at_random


class Campaign:
    """Kills movers of one stock over and over; each store is moved completely, however many deaths it takes.

    Args:
        folder: An empty folder to work in.
        seed: Decides the stock and the kills.
        rows_a_day: Rows of each dataset on each day.
        mutant: The deliberate break of the protocol that movers run with.
        ways: One reader for each: "product" reads through the store, the others see
            :data:`tests.crash.observer.WAYS`.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        rows_a_day: int = 40,
        mutant: str | None = None,
        ways: tuple[str, ...] = ("one",),
    ) -> None:
        self._folder = folder
        self._seed = seed
        self._rows_a_day = rows_a_day
        self._rng = random.Random(seed)
        self._mutant = mutant
        self._expected = stock_rows(seed, rows_a_day)
        self._template = folder / "template"
        create_stock(self._template, self._expected)
        self._stores = 0
        self._move_s = 0.5
        self._targets: list[tuple[str, int]] = []
        self.report = Report()
        self._readers = [Reader(folder, seed, rows_a_day, way) for way in ways]
        self._movers = Movers(folder / "movers.txt")

    def __enter__(self) -> Self:
        """Return the campaign."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes and collect what the reader found."""
        self._movers.close()
        for reader in self._readers:
            snapshots, wrong = reader.end()
            self.report.snapshots[reader.way] = snapshots
            self.report.problems += [f"reader: {problem}" for problem in wrong]
        if not self.report.problems:  # only now: the reader may have been in any of them
            for store in self._folder.glob("store-*"):
                shutil.rmtree(store) if store.is_dir() else store.unlink()

    def run(
        self, kills: int, *, kills_min: int = 0, stop_at_problem: bool = False, budget_s: float = 600.0
    ) -> Report:
        """Kill movers.

        Args:
            kills: How many to kill if there is time.
            kills_min: How many to kill however long it takes.
            stop_at_problem: Whether the first problem that judge or reader finds is enough (mutants).
            budget_s: How much time there is.

        Returns:
            What happened so far; the reader's part is added at the end of the ``with`` block.
        """
        deadline_s = time.monotonic() + budget_s
        self._move_alive()
        while self._stores < _STORES_MAX and (
            self.report.kills < kills_min or (self.report.kills < kills and time.monotonic() < deadline_s)
        ):
            root = self._new_store()
            alive = False
            while not alive and not (stop_at_problem and self._found_something):
                alive = self._run_mover(root, self._next_death(root))
            if stop_at_problem and self._found_something:
                break
        return self.report

    @property
    def _found_something(self) -> bool:
        return bool(self.report.problems) or any(reader.has_seen_wrong for reader in self._readers)

    def _move_alive(self) -> None:
        """One move that nobody kills shows which steps there are and how long it takes."""
        root = self._new_store()
        started_s = time.monotonic()
        self._run_mover(root, self._request(root))
        self._move_s = time.monotonic() - started_s
        self._targets = [(name, number) for name in sorted(self.report.steps) for number in (1, 2)]

    def _new_store(self) -> Path:
        self._stores += 1
        copying = self._folder / f"copy-{self._stores:05}"
        shutil.copytree(self._template, copying)
        return copying.rename(self._folder / f"store-{self._stores:05}")

    def _request(
        self, root: Path, kill_at: tuple[str, int] | None = None, kill_after_s: float | None = None
    ) -> Request:
        result = str(self._folder / f"result-{root.name}.json")
        return Request(str(root), self._seed, self._rows_a_day, result, kill_at, kill_after_s, self._mutant)

    def _next_death(self, root: Path) -> Request:
        """Every step at its first and second time; after that steps and moments at random."""
        kill_at, kill_after_s = None, None
        if self._targets:
            kill_at = self._targets.pop(0)
        elif self._rng.random() < 0.5:
            kill_at = (self._rng.choice(sorted(self.report.steps)), self._rng.randint(1, _OCCURRENCE_MAX))
        else:
            kill_after_s = self._move_s * self._rng.random() ** 2  # late in a store little is left to move
        return self._request(root, kill_at, kill_after_s)

    def _run_mover(self, root: Path, request: Request) -> bool:
        """Run one mover and judge the store; return whether it got through."""
        code = self._movers.run(request)
        if code == 0:
            self.report.completed += 1
            self.report.steps |= set(json.loads(Path(request.result).read_text(encoding="utf-8")))
        elif code in _KILLED and request.kill_at:
            self.report.killed_at[request.kill_at[0]] += 1
        elif code in _KILLED and request.kill_after_s is not None:
            self.report.killed_at_random += 1
        else:
            self.report.problems.append(f"{request} ended with code {code}: {self._mover_errors()}")
        if problem := self._judge(root, completed=code == 0):
            self.report.problems.append(f"after {request} (code {code}): {problem}")
        return code == 0 or code not in _KILLED

    def _mover_errors(self) -> str:
        with contextlib.suppress(OSError):
            return (self._folder / "movers.txt").read_text(encoding="utf-8", errors="replace")[-2_000:]
        return ""

    def _judge(self, root: Path, *, completed: bool) -> str | None:
        observer = Observer(root)
        try:
            found = observer.rows()
            return difference(self._expected, found) or (
                self._judge_finished(observer, found) if completed else None
            )
        except Wrong as error:
            return str(error)
        finally:
            observer.close()

    def _judge_finished(self, observer: Observer, found: Rows) -> str | None:
        if (done := count_corrections(self._expected, found)) != CORRECTIONS:
            return f"{done} of {CORRECTIONS} corrections are there"
        for dataset in DATASETS:
            if left := observer.hot_ids(dataset) & set(old_ids(found, dataset)):
                return f"{len(left)} rows of {dataset.name} were not moved"
        if (entry := observer.broken_audit_entry()) is not None:
            return f"audit entry {entry} does not follow from the one before"
        if wrong := observer.counted_twice() or observer.unreferenced():
            return f"these are not moved once and recorded once: {wrong}"
        check = observer.integrity()
        return None if check == "ok" else check
