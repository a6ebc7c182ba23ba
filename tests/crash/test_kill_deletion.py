"""SIGKILL at every step of a deletion, of what a hold brings back, and of the destruction, while somebody reads."""

from __future__ import annotations

import json
import random
import shutil
import threading
from collections import Counter
from pathlib import Path

import pytest

from hybridstore.clock import ManualClock
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.verification import examine
from tests.crash.deleting import Content, create_aged, read, wrong
from tests.crash.mover_process import KILL_SIGNAL, Request
from tests.crash.mutants import DELETION_MUTANTS
from tests.crash.processes import Movers
from tests.crash.stock import store_config
from tests.retention.aging import DUE_US, parquet_files

_KILLED = (-KILL_SIGNAL, int(KILL_SIGNAL))
_OCCURRENCES = (1, 2, 3)
_STORES_MAX = 2_000


class Campaign:
    """Kills deleting processes; each store is brought to its end, however many deaths it takes.

    Args:
        folder: An empty folder to work in.
        seed: Decides content and kills.
        mutant: The deliberate break to run with.
    """

    def __init__(self, folder: Path, seed: int, mutant: str | None = None) -> None:
        self._folder = folder
        self._mutant = mutant
        self._rng = random.Random(seed)
        self._template = folder / "template"
        self._before, self._always, self._after = create_aged(self._template, seed)
        self._steps: list[str] = []
        self._targets: list[tuple[str, int]] = []
        self.kills: Counter[str] = Counter()
        self.snapshots = 0

    def run(self, kills: int) -> None:
        """Kill so many, or more until the last store is at its end.

        Args:
            kills: How many.
        """
        movers = Movers(self._folder / "errors.txt")
        try:
            for number in range(_STORES_MAX):
                root = shutil.copytree(self._template, self._folder / f"store-{number:04}")
                self._finish(movers, root, is_spared=not number)
                shutil.rmtree(root)
                if self.kills.total() >= kills and not self._targets:
                    return
        finally:
            movers.close()

    def _finish(self, movers: Movers, root: Path, *, is_spared: bool) -> None:
        stop = threading.Event()
        reader = threading.Thread(target=self._read_on, args=(root, stop))
        self._problems: list[str] = []
        reader.start()
        try:
            code = -1
            while code:
                kill_at = None if is_spared else self._next()
                code = movers.run(self._request(root, kill_at))
                assert code == 0 or (kill_at and code in _KILLED), self._errors()
                if code:
                    assert kill_at is not None
                    self.kills[kill_at[0]] += 1
                self._judge(root, is_over=code == 0)
        finally:
            stop.set()
            reader.join()
        assert self._problems == []
        if is_spared:
            self._steps = sorted(set(json.loads((self._folder / "result.json").read_text(encoding="utf-8"))))
            self._targets = [(name, number) for name in self._steps for number in _OCCURRENCES]

    def _next(self) -> tuple[str, int]:
        if self._targets:
            return self._targets.pop(0)
        return self._rng.choice(self._steps), self._rng.choice(_OCCURRENCES)

    def _request(self, root: Path, kill_at: tuple[str, int] | None) -> Request:
        return Request(
            str(root), 0, 0, str(self._folder / "result.json"), kill_at, None, self._mutant, "delete"
        )

    def _errors(self) -> str:
        return (self._folder / "errors.txt").read_text(encoding="utf-8", errors="replace")[-2_000:]

    def _judge(self, root: Path, *, is_over: bool) -> None:
        database = DatabaseManager(store_config(root), clock=ManualClock(DUE_US))
        database.open()
        try:
            found = read(database)
            assert self._wrong(found) is None, self._wrong(found)
            assert examine(database, "scrub").problems == ()
            if is_over:
                assert found == self._after
                self._judge_books(database)
        finally:
            database.shutdown()

    def _judge_books(self, database: DatabaseManager) -> None:
        retention = DataRetentionManager(database)
        gone = sum(len(rows) for rows in self._before.values()) - sum(map(len, self._after.values()))
        certified = retention.certificates()
        assert sum(one.rows - one.restored_rows for one in certified) == gone
        assert all(one.destroyed_us is not None for one in certified)
        assert len(retention.holds()) == 2
        counting = {
            path
            for (path,) in database.readers.rows("SELECT path FROM archive_files WHERE replaced_seq IS NULL")
        }
        there = {path.relative_to(database.root).as_posix() for path in parquet_files(database)}
        assert there == counting, "nothing is left of what is gone"

    def _wrong(self, found: Content) -> str | None:
        return wrong(self._before, self._always, found)

    def _read_on(self, root: Path, stop: threading.Event) -> None:
        """Read all the while. A file may be gone a moment after its grace was over by a clock that was set."""
        database = DatabaseManager(store_config(root), clock=ManualClock(DUE_US))
        database.open()
        try:
            while not stop.wait(0.01):
                try:
                    problem = self._wrong(read(database))
                except FileNotFoundError:
                    continue
                except AssertionError as error:
                    problem = str(error)
                self.snapshots += 1
                if problem is not None:
                    self._problems.append(problem)
        finally:
            database.shutdown()


def _kill(folder: Path, seed: int, kills: int) -> None:
    campaign = Campaign(folder, seed)
    campaign.run(kills)
    print(f"{campaign.kills.total()} kills {dict(campaign.kills)}, {campaign.snapshots} snapshots meanwhile")
    steps = set(campaign.kills)
    assert {"delete claimed", "delete replaced", "restore named", "destroy collecting", "held"} <= steps
    assert campaign.snapshots > campaign.kills.total()


@pytest.mark.timeout(240)
def test_killed_deletions_lose_nothing_that_must_stay(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, 40)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutant", DELETION_MUTANTS)
def test_a_broken_deletion_is_noticed(tmp_path: Path, seed: int, mutant: str) -> None:
    with pytest.raises(AssertionError):
        Campaign(tmp_path, seed, mutant).run(20)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_killed_deletions_lose_nothing_that_must_stay(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, 500)
