"""Power cuts during a tier move: every row is there once, in every disk a cut may leave, and the move goes on."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.crash.powercut import cut_power

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random


def test_power_cuts_during_a_move_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    verdict = cut_power(tmp_path, seed, 600, resume_every=40)
    assert (verdict.images, verdict.resumed) == (600, 15)
    assert not verdict.problems, (len(verdict.problems), verdict.problems[0])


@pytest.mark.parametrize("die_after", range(1, 13))
def test_power_cuts_after_a_mover_died_lose_and_double_nothing(
    tmp_path: Path, seed: int, die_after: int
) -> None:
    verdict = cut_power(tmp_path, seed, 50, rows_a_day=6, resume_every=50, deaths=(die_after,))
    assert not verdict.problems, (len(verdict.problems), verdict.problems[0])


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_power_cuts_after_many_deaths_lose_and_double_nothing(
    tmp_path: Path, seed: int, rng: Random
) -> None:
    for number in range(200):
        folder = tmp_path / str(number)
        folder.mkdir()
        deaths = [rng.randrange(1, 60) for _ in range(rng.randrange(4))]
        verdict = cut_power(folder, seed + number, 100, rows_a_day=6, resume_every=25, deaths=deaths)
        assert not verdict.problems, (deaths, len(verdict.problems), verdict.problems[0])
        shutil.rmtree(folder)
