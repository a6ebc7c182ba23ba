"""SIGKILL of writers and of the shipper: nothing acknowledged is missing from the backups, and no gap is silent."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from hybridstore import HybridStore
from tests.crash.shipper_process import STEPS
from tests.crash.shipping import Child, Note, Ships, note, settings_of

_LIFE_MAX_S = 0.6
_STEP_MAX_S = 2.5
_WRITERS = 2
_PAUSE_S = 0.002
_MAY_BREAK = frozenset({"begun", "copied", "committed", "held"})
"""Deaths by which a chain may end: before it was begun, or just when the log could begin anew."""
_NEW_CHAIN = frozenset({"begun", "copying", "kept"})
"""Deaths in a chain that is just begun."""
_COUNT = "SELECT count(*), max(CAST(balance AS INTEGER)) FROM balance_history WHERE account = ?"


class _Campaign:
    """One store, its writers and its shippers."""

    def __init__(self, folder: Path, seed: int, processes: ExitStack) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.root = folder / "root"
        self.config = settings_of(self.root)
        self.ships = Ships(self.config)
        self.deaths: Counter[str] = Counter()
        self.proven = self.in_gaps = self.acknowledged = self.losses = 0
        self._notes: list[Note] = []
        self._processes = processes
        self._started = 0
        with HybridStore(config=self.config):
            pass
        self._writers = [self._start_writer() for _ in range(_WRITERS)]

    def _start(self, *arguments: str) -> Child:
        self._started += 1
        child = Child(self.folder, f"{self._started:03}-{arguments[0]}", *arguments)
        self._processes.callback(child.close)
        self._processes.callback(child.process.wait)
        self._processes.callback(child.process.kill)
        return child

    def _start_writer(self) -> tuple[str, Child]:
        name = f"writer/{self._started}"
        child = self._start("shipped_writer_process", str(self.root), name, str(_PAUSE_S))
        assert child.process.poll() is None, child.errors()
        return name, child

    def run(self, kills: int) -> None:
        """Kill so many shippers and as many writers."""
        steps = ["-", *STEPS] * kills
        for number in range(kills):
            died_at = self._kill_shipper(steps[number])
            epochs = len(self.ships.repository.epochs())
            noted = self.ships.prove_latest(self.folder / "restored" / f"latest-{number}")
            self._kill_writer()
            self._notes.append(noted)
            after = self.ships.repository.epochs()
            assert len(after) == epochs or died_at in {*_MAY_BREAK, "-"}, (died_at, after[-1])
            assert all(epoch.reason for epoch in after)
            self._prove_some(2)
        self.ships.prove_chains()

    def _kill_shipper(self, step: str) -> str:
        if step in _NEW_CHAIN:
            self._lose_log()
        occurrence = 1 if step in _NEW_CHAIN else self.rng.randint(1, 3)
        burst_bytes = self.rng.choice((1 << 15, 1 << 23))
        shipper = self._start("shipper_process", str(self.root), step, str(occurrence), str(burst_bytes))
        until_s = time.monotonic() + (_STEP_MAX_S if step in STEPS else self.rng.random() * _LIFE_MAX_S)
        while time.monotonic() < until_s and shipper.process.poll() is None:
            self._notes.append(note(self.config))
            time.sleep(0.02 + self.rng.random() * 0.05)
        died_at = step if shipper.process.poll() is not None else "-"
        self.deaths[died_at] += 1
        shipper.kill()
        return died_at

    def _lose_log(self) -> None:
        """Have a chain end: another program copies the log back while nobody ships it, and writers begin it anew."""
        while True:
            foreign = self._start("foreign_process", str(self.config.path), "TRUNCATE")
            if foreign.end()[0].startswith("TRUNCATE 0 "):  # else it found no moment without a writer
                break
        self.losses += 1

    def _kill_writer(self) -> None:
        place = self.rng.randrange(_WRITERS)
        name, child = self._writers[place]
        assert child.process.poll() is None, child.errors()
        child.kill()
        told = len(child.lines())
        self._writers[place] = self._start_writer()
        with HybridStore(config=self.config) as store:
            count, last = store.database.readers.rows(_COUNT, (name,))[0]
        assert count == last >= told
        assert told
        self.acknowledged += told

    def _prove_some(self, count: int) -> None:
        folder = self.folder / "restored"
        for noted in self.rng.sample(self._notes, min(count, len(self._notes))):
            if self.ships.prove(noted, folder / f"{self.proven + self.in_gaps}"):
                self.proven += 1
            else:
                self.in_gaps += 1
        shutil.rmtree(folder, ignore_errors=True)


def _kill(folder: Path, seed: int, kills: int) -> None:
    with ExitStack() as processes:
        campaign = _Campaign(folder, seed, processes)
        campaign.run(kills)
    epochs = campaign.ships.repository.epochs()
    print(
        f"{kills} kills of shippers ({dict(campaign.deaths)}) and of writers; {campaign.acknowledged} commits"
        f" acknowledged by the killed; {campaign.proven} moments proven, {campaign.in_gaps} in gaps that were told;"
        f" {len(epochs)} chains: {Counter(epoch.reason for epoch in epochs)}"
    )
    assert campaign.proven > campaign.in_gaps
    assert campaign.deaths.total() == kills
    assert len(epochs) > campaign.losses
    assert len(epochs) <= 1 + campaign.losses + sum(campaign.deaths[step] for step in (*_MAY_BREAK, "-"))


@pytest.mark.timeout(180)
def test_killed_writers_and_shippers_leave_no_silent_gap(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, 11)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_many_killed_writers_and_shippers_leave_no_silent_gap(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, 55)
