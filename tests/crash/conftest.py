"""What the crash suites share: their seed."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def crash_seed(request: pytest.FixtureRequest) -> int:
    """Return the seed of this run (``CRASH_SEED`` or a fresh one); pytest shows it when a test fails."""
    given = os.environ.get("CRASH_SEED")
    seed = int(given) if given else int.from_bytes(os.urandom(4), "big")
    print(f"{request.node.name}: CRASH_SEED={seed}")
    return seed
