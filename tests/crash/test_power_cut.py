"""Real power cuts: ext4 stops while a process moves, merges, deletes or destroys, and is mounted again."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.crash.images import Image
from tests.crash.mover_process import KILL_SIGNAL, Request
from tests.crash.processes import Movers
from tests.crash.real_disk import make_disk, mounted
from tests.crash.shim_cut import DeletedJudge, Judges, MovedJudge

_ROWS_A_DAY = 6
"""What :class:`MovedJudge` makes."""
_TOLD = {"corrected", "held", "over"}


class _Campaign:
    """Cuts the power of copies of one disk, with one kind of work on it.

    Args:
        folder: An empty folder to work in.
        work: "move" or "delete".
        seed: Of the content.
        mutant: The deliberate break of the protocol to work with.
    """

    def __init__(self, folder: Path, work: str, seed: int, mutant: str | None = None) -> None:
        self._folder, self._work, self._seed, self._mutant = folder, work, seed, mutant
        self._mount = folder / "disk"
        self._mount.mkdir()
        self._prepared = folder / "prepared.img"
        make_disk(self._prepared)
        root = self._mount / "root"
        with mounted(self._prepared, self._mount):
            self._judge: Judges = (MovedJudge if work == "move" else DeletedJudge)(root, root, seed)
        self._movers = Movers(folder / "errors.txt")
        self.steps = self._count_steps()

    def close(self) -> None:
        self._movers.close()

    def cut(self, *, at: int | None = None, after_s: float | None = None, resume: bool) -> str | None:
        """Cut the power at a step, by its number, or after some time; say what is wrong with what is left."""
        disk = self._folder / "disk.img"
        shutil.copyfile(self._prepared, disk)
        kill_at, told = None, []
        if at is not None:
            name = self.steps[at]
            kill_at = (name, self.steps[: at + 1].count(name))
            told = [step for step in self.steps[:at] if step in _TOLD]
        with mounted(disk, self._mount):
            code = self._run(kill_at, after_s, cut=True)
        assert code in (0, -KILL_SIGNAL), (self._folder / "errors.txt").read_text(encoding="utf-8")[-3_000:]
        with mounted(disk, self._mount):
            problem = self._judge.problem(Image(0, "real", {}, told), resume=resume)
        return None if problem is None else f"{kill_at or after_s}: {problem}"

    def _run(self, kill_at: tuple[str, int] | None, after_s: float | None, *, cut: bool) -> int:
        return self._movers.run(
            Request(
                root=str(self._mount / "root"),
                seed=self._seed,
                rows_a_day=_ROWS_A_DAY,
                result=str(self._folder / "steps.json"),
                kill_at=kill_at,
                kill_after_s=after_s,
                mutant=self._mutant,
                work=self._work,
                cut=str(self._mount) if cut else None,
            )
        )

    def _count_steps(self) -> list[str]:
        disk = self._folder / "disk.img"
        shutil.copyfile(self._prepared, disk)
        with mounted(disk, self._mount):
            assert self._run(None, None, cut=False) == 0, (self._folder / "errors.txt").read_text(
                encoding="utf-8"
            )
        steps: list[str] = json.loads((self._folder / "steps.json").read_text(encoding="utf-8"))
        return steps


def _cut(folder: Path, work: str, seed: int, rng: Random, cuts: int) -> str:
    campaign = _Campaign(folder, work, seed)
    problems, done = [], Counter[str]()
    try:
        # Every kind of step first, then any of them, or none: some while after the start.
        first = list({name: place for place, name in enumerate(campaign.steps)}.values())
        for number in range(cuts):
            resume = number % 4 == 0
            if number % 5 == 4:
                problem = campaign.cut(after_s=rng.uniform(0.02, 0.6), resume=resume)
                done["at some time"] += 1
            else:
                at = first.pop() if first else rng.randrange(len(campaign.steps))
                problem = campaign.cut(at=at, resume=resume)
                done["at a step"] += 1
            if problem is not None:
                problems.append(problem)
    finally:
        campaign.close()
    assert not problems, "\n".join(problems[:10])
    return f"{work}: power cut {dict(done)} of {len(campaign.steps)} steps"


@pytest.mark.timeout(170)
@pytest.mark.parametrize("work", ["move", "delete"])
def test_a_power_cut_loses_nothing(tmp_path: Path, seed: int, rng: Random, work: str) -> None:
    print(_cut(tmp_path, work, seed, rng, 12))


@pytest.mark.timeout(120)
def test_a_file_that_was_not_flushed_is_noticed(tmp_path: Path, seed: int) -> None:
    campaign = _Campaign(tmp_path, "move", seed, "no fsync of the file")
    try:
        published = [place for place, name in enumerate(campaign.steps) if name == "done"]
        problems = [campaign.cut(at=at, resume=False) for at in published[:4]]
    finally:
        campaign.close()
    assert any(problems), "what the kernel had not written is there all the same"


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("work", ["move", "delete"])
def test_many_power_cuts_lose_nothing(tmp_path: Path, seed: int, rng: Random, work: str) -> None:
    print(_cut(tmp_path, work, seed, rng, 150))
