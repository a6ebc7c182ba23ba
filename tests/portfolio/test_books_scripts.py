"""Ten thousand random lives of an account against books kept a second way: every field equal, difference exactly 0.

A script that fails is shortened and printed. The long form is the marker ``soak``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from random import Random

import pytest

from hybridstore.portfolio import fill as fills
from hybridstore.portfolio import money
from hybridstore.portfolio import position as positions
from tests.portfolio.engine import problem_of
from tests.portfolio.scripts import Fill, Script, make_script, shorten, worded

SCRIPTS, PARTS = 10_000, 4
SOAK_SCRIPTS = 200_000
KINDS = {"open", "increase", "reduce", "close", "flip", "liquidate", "funding"}
SPECK = Decimal("0.000000000000000001")


def first_wrong(seed: int, scripts: int, kinds: Counter[str]) -> str | None:
    """Run scripts of a seed; word the shortest form of the first that is wrong."""
    for own in range(seed, seed + scripts):
        script = make_script(Random(own))
        problem = problem_of(script, own, kinds)
        if problem is not None:
            return _shortest(script, own, problem)
    return None


def _shortest(script: Script, own: int, problem: str) -> str:
    def fails(shorter: Script) -> bool:
        return problem_of(shorter, own) is not None

    short = shorten(script, fails)
    return f"script {own}: {problem_of(short, own)}\n{worded(short)}\nas drawn: {problem}"


@pytest.mark.parametrize("part", range(PARTS))
def test_random_scripts_agree_with_the_other_books(seed: int, part: int) -> None:
    kinds: Counter[str] = Counter()
    assert first_wrong(seed, SCRIPTS // PARTS, kinds) is None
    assert set(kinds) == KINDS, "the scripts leave out what they are for"


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_more_scripts_agree(seed: int) -> None:
    assert first_wrong(seed, SOAK_SCRIPTS, Counter()) is None


def _a_speck_less(share: Callable[[Decimal, Decimal, Decimal], Decimal]) -> object:
    def wrong(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
        return money.subtract(share(whole, part, of), SPECK)

    return wrong


@pytest.mark.parametrize("module", [fills, positions])
def test_a_speck_that_is_lost_is_seen(seed: int, monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    """One unit of the last place, taken from every share of a cost or a fee, does not get through."""
    monkeypatch.setattr(module, "share", _a_speck_less(money.share))
    found = first_wrong(seed, 200, Counter())
    assert found is not None
    _, *steps, _ = found.splitlines()
    assert len(steps) <= 3, "a position, and a fill that takes a part of it: shortening leaves out the rest"


def test_a_script_is_drawn_anew_from_its_seed(seed: int) -> None:
    script = make_script(Random(seed))
    assert script == make_script(Random(seed))
    assert len(worded(script).splitlines()) == len(script)
    assert shorten(script, lambda one: any(isinstance(step, Fill) for step in one))[1:] == ()
