"""SIGKILL at every step of a tier move and at random moments, with a slow reader counting all the while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.crash.killing import Campaign

if TYPE_CHECKING:
    from pathlib import Path

_KILLS_MIN = 60
_KILLS = 70
_BUDGET_S = 45.0
"""Enough for all kills where movers are forked; elsewhere the least number is killed."""
_SOAK_KILLS = 600


def _kill(folder: Path, seed: int, kills: int, budget_s: float, kills_min: int) -> None:
    with Campaign(folder, seed, ways=("one", "product")) as campaign:
        report = campaign.run(kills, budget_s=budget_s, kills_min=kills_min)
    print(
        f"{report.kills} kills ({report.killed_at_random} at random moments, {dict(report.killed_at)}),"
        f" {report.completed} movers got through, {dict(report.snapshots)} snapshots meanwhile"
    )
    assert not report.problems, (len(report.problems), report.problems[0])
    assert report.kills >= kills_min
    assert report.killed_at_random > 0
    assert report.killed_at.keys() == report.steps
    assert min(report.snapshots["one"], report.snapshots["product"]) >= report.kills / 2


@pytest.mark.timeout(180)
def test_killed_movers_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, _KILLS, _BUDGET_S, _KILLS_MIN)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_many_killed_movers_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, _SOAK_KILLS, 3_000.0, _SOAK_KILLS)
