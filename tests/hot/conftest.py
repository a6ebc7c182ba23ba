"""Stores for the tests of the hot tier."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hybridstore.clock import ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
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


@pytest.fixture
def hasty(root: Path, clock: ManualClock) -> Iterator[HybridStore]:
    """Return such a store that waits a tenth of a second at the most for a move that has claimed what is to change."""
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), busy_timeout_ms=100)
    with HybridStore(config=config, clock=clock) as opened:
        yield opened


@pytest.fixture
def opened(root: Path) -> Iterator[Callable[..., HybridStore]]:
    """Return what opens a store with settings; it is closed at the end."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            HybridStore(config=DatabaseConfig(database_path=str(root / DATABASE_NAME), **settings))
        )
