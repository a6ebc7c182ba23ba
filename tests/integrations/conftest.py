"""An open store and a bridge to it, closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import ManualClock
from hybridstore.integrations.bridge import StorageIntegrationBridge
from tests.hot.books import START_US


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock(START_US)


@pytest.fixture
async def storage(tmp_path: Path, clock: ManualClock) -> AsyncIterator[TradingBotStorageSystem]:
    """Return an open store."""
    async with TradingBotStorageSystem(tmp_path / "root", clock=clock) as opened:
        yield opened


@pytest.fixture
async def bridge(storage: TradingBotStorageSystem) -> AsyncIterator[StorageIntegrationBridge]:
    """Return a bridge to the store."""
    async with StorageIntegrationBridge(storage) as opened:
        yield opened
