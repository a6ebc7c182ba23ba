"""SIGKILL of writers and of whoever backs them up: every commit is restorable, or its absence is told."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from hybridstore.backup.chain import Target
from hybridstore.backup.manager import BackupManager
from hybridstore.backup.points import restore_points
from hybridstore.backup.restore import restore
from hybridstore.config import BackupConfig
from hybridstore.store import HybridStore
from tests.backup.test_proof import check, remove
from tests.backup.witness import Seen, Witness, look_at
from tests.crash.processes import REPOSITORY, environment


class Child:
    """A process of this campaign."""

    def __init__(self, module: str, *arguments: str, errors: Path) -> None:
        self._errors = errors.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.backup.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(),
            cwd=REPOSITORY,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", errors.read_text()

    def write(self, operations: int) -> None:
        """Have it do so many operations; a writer only."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{operations}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def end(self) -> None:
        """Let it end."""
        self._process.communicate(timeout=60)
        self._errors.close()


def live(root: Path, rng: Random, kills: int, errors: Path) -> list[Seen]:
    """Kill writers and services in turn, and look on."""
    seen: list[Seen] = []
    writers = [
        Child("writer_process", str(root), str(n), str(rng.randrange(1 << 30)), errors=errors)
        for n in range(2)
    ]
    service = Child("service_process", str(root), errors=errors)
    with Witness(root / "trading_bot.db") as witness:
        for number in range(kills):
            for writer in writers:
                writer.write(rng.randrange(5, 60))
            until = time.monotonic() + rng.random() * 0.5
            while time.monotonic() < until:
                seen.append(witness.look())
            if number % 2:
                service.kill()
                time.sleep(rng.random() * 0.1)
                service = Child("service_process", str(root), errors=errors)
            else:
                one = rng.randrange(len(writers))
                writers[one].kill()
                # Numbers of its own: what its predecessor recorded last it does not know.
                arguments = (str(root), str(10 + number), str(rng.randrange(1 << 30)))
                writers[one] = Child("writer_process", *arguments, errors=errors)
        for writer in writers:
            writer.end()
        time.sleep(0.5)
        seen.append(witness.look())
        service.end()
    return seen


def campaign(tmp_path: Path, seed: int, *, kills: int, moments: int) -> tuple[int, int, int]:
    """Kill, then restore; return how many moments were compared, how many are in a gap, how many chains there are."""
    rng = random.Random(seed)
    root, errors = tmp_path / "root", tmp_path / "errors.txt"
    with HybridStore(root) as store:
        manager = BackupManager(store.config, BackupConfig())
        manager.create_full()
    seen = live(root, rng, kills, errors)
    repository = manager.repository
    points, chains = restore_points(repository), repository.epochs()
    known = {one.seq: one for one in seen}
    compared = gaps = 0
    for one in [seen[-1], *rng.sample(seen, min(moments, len(seen)))]:
        inside = [point for point in points if point.seq_first <= one.seq <= point.seq_last]
        result = restore(repository, Target(ts_us=one.ts_us), tmp_path / "restored", manager.config)
        found = check(tmp_path / "restored", result, Target(ts_us=one.ts_us), known)
        if inside:
            assert (result.seq, result.exact) == (one.seq, True), (one, result, points)
            compared += found
        else:
            assert not result.exact, (one, result, points)
            gaps += 1
        remove(tmp_path / "restored")
    assert seen[-1] == look_at(root / "trading_bot.db")
    assert any(point.seq_first <= seen[-1].seq <= point.seq_last for point in points), errors.read_text()
    for line in errors.read_text().splitlines():
        assert line.startswith("gap "), errors.read_text()
    assert sum("new chain" in line for line in errors.read_text().splitlines()) == len(chains) - 1
    return compared, gaps, len(chains)


def test_killed_writers_and_services_lose_no_commit_in_silence(tmp_path: Path, seed: int) -> None:
    compared, _, _ = campaign(tmp_path, seed, kills=8, moments=8)
    assert compared


@pytest.mark.soak
def test_a_hundred_kills(tmp_path: Path, seed: int) -> None:
    sums = [0, 0, 0]
    for number in range(4):
        found = campaign(tmp_path / str(number), seed + number, kills=26, moments=40)
        sums = [a + b for a, b in zip(sums, found, strict=True)]
    print(
        f"\n104 kills: {sums[0]} moments compared, {sums[1]} in a gap that is told, {sums[2]} chains in 4 stores"
    )
    assert sums[0] > 40
