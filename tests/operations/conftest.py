"""A store that is well, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operations import seeding


@pytest.fixture(scope="session")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that is well; nobody may change it."""
    root = tmp_path_factory.mktemp("well") / "store"
    seeding.build(root)
    return root
