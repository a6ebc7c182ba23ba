"""What the store knew at an earlier moment: exactly the rows that could be seen then, whatever happened since."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.analytics.remembering import Remembering


def _live(history: Remembering, moments: int, checks: int) -> None:
    """Live and remember; ask about some moments on the way, and about all of them at the end."""
    with history.store:
        history.remember()
        while len(history.moments) < moments:
            for _ in range(history.rng.randint(1, 6)):
                history.live()
            if history.rng.random() < 0.3:
                history.age(history.rng.choice((0, 1, 3, 9)))
            history.remember()
            if history.rng.random() < checks / moments:
                place = history.rng.randrange(len(history.moments))
                history.check(place, scans=history.rng.random() < 0.5)
        history.age(60)
        history.age(400)
        for place in range(moments):
            history.check(place, scans=place % 2 == 0)
    corrections = {name for name in ("_journal", "_fill", "_void") if history.done[name]}
    assert len(corrections) == 3, history.done
    assert history.done["moved"] > 0
    assert history.done["checked"] >= moments


@pytest.mark.timeout(120)
def test_every_moment_can_be_asked_about(tmp_path: Path, rng: Random) -> None:
    _live(Remembering(tmp_path / "store", rng), moments=30, checks=5)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_a_thousand_moments_can_be_asked_about(tmp_path: Path, rng: Random) -> None:
    history = Remembering(tmp_path / "store", rng)
    _live(history, moments=1_000, checks=100)
    print(dict(history.done))
