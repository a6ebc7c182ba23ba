"""Every deliberate break of the move protocol is noticed, and the unbroken protocol passes the same examination."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hybridstore.errors import ArchiveCorrupt
from tests.crash.killing import Campaign
from tests.crash.moving import move_everything
from tests.crash.mutants import SEEN_BY_KILLS, SEEN_BY_POWER_CUTS, lossy_device
from tests.crash.observer import WAYS, Observer, difference
from tests.crash.powercut import cut_power
from tests.crash.stock import create_stock, stock_rows

if TYPE_CHECKING:
    from pathlib import Path

_IMAGES = 150
_KILLS = 20
_ROWS_A_DAY = 8


@pytest.mark.parametrize("mutant", [None, *SEEN_BY_POWER_CUTS])
def test_power_cuts_find_the_mutant(tmp_path: Path, seed: int, mutant: str | None) -> None:
    verdict = cut_power(tmp_path, seed, _IMAGES, rows_a_day=_ROWS_A_DAY, mutant=mutant)
    print(verdict.problems[:1])
    assert bool(verdict.problems) == (mutant is not None), verdict.problems[:1]


@pytest.mark.parametrize("mutant", [None, *SEEN_BY_KILLS])
def test_kills_and_the_reader_find_the_mutant(tmp_path: Path, seed: int, mutant: str | None) -> None:
    with Campaign(tmp_path, seed, mutant=mutant) as campaign:
        campaign.run(_KILLS, stop_at_problem=mutant is not None)
    problems = campaign.report.problems
    print(problems[:1])
    assert not any("ended with code" in problem for problem in problems), (
        problems
    )  # broken, but not in its code
    assert bool(problems) == (mutant is not None), problems[:1]


@pytest.mark.parametrize("way", WAYS[1:])
def test_a_reader_that_breaks_the_protocol_sees_lies(tmp_path: Path, seed: int, way: str) -> None:
    with Campaign(tmp_path, seed, ways=(way,)) as campaign:
        campaign.run(_KILLS, stop_at_problem=True)
    problems = campaign.report.problems
    assert problems
    assert all(problem.startswith("reader: ") for problem in problems), problems


def test_a_device_that_loses_a_row_is_refused_and_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    expected = stock_rows(seed, _ROWS_A_DAY)
    create_stock(tmp_path / "root", expected)
    with lossy_device(), pytest.raises(ArchiveCorrupt, match="read back"):
        move_everything(tmp_path / "root", lambda _name: None)
    observer = Observer(tmp_path / "root")
    assert difference(expected, observer.rows()) is None
    assert not observer.unreferenced()
    observer.close()
