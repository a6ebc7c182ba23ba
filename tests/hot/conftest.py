"""Stores for the tests of the hot tier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridstore.clock import ManualClock
from hybridstore.store import HybridStore
from tests.hot.books import START_US


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of a store that does not exist yet."""
    return tmp_path / "root"


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock(START_US)


@pytest.fixture
def store(root: Path, clock: ManualClock) -> Iterator[HybridStore]:
    """Return an open store on a clock that stands still."""
    with HybridStore(root, clock=clock) as opened:
        yield opened
