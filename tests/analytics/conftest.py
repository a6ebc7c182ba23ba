"""Stores for the tests of analytics: hot rows only, and hot rows with archives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.store import HybridStore
from tests.analytics.ticks import FIRST_DAY, Tick, archive, make_ticks, record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    """Return an open, empty store."""
    with HybridStore(tmp_path / "root", clock=ManualClock(FIRST_DAY * DAY_US)) as opened:
        yield opened


@pytest.fixture
def ticks(rng: Random) -> list[Tick]:
    """Return 600 market trades of six days."""
    return make_ticks(rng, 600, range(6))


@pytest.fixture
def tiered(store: HybridStore, ticks: list[Tick]) -> HybridStore:
    """Return a store that holds the ticks, four days archived and two hot."""
    record(store, ticks)
    moved = archive(store, 3)
    assert 0 < moved < len(ticks)
    return store
