"""What a store's tables hold, read as they are, to see that nothing is half-written."""

from __future__ import annotations

from typing import Any

from hybridstore.hot.database import DatabaseManager
from hybridstore.store import HybridStore

START_US = 1_785_585_600_000_000
"""2026-08-01T12:00:00Z."""


def rows(
    store: HybridStore | DatabaseManager, sql: str, parameters: tuple[Any, ...] = ()
) -> list[tuple[Any, ...]]:
    """Run a SELECT on one of the store's readers."""
    database = store.database if isinstance(store, HybridStore) else store
    return database.readers.rows(sql, parameters)


def contents(store: HybridStore) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every dataset, the commit clock included: equal before and after, nothing was written."""
    registry = store.database.registry
    return {name: rows(store, f"SELECT * FROM {name}") for name in registry}


def commit_seq(store: HybridStore | DatabaseManager) -> int:
    """Return the number of the last commit."""
    seq: int = rows(store, "SELECT seq FROM commit_clock")[0][0]
    return seq


def values(*given: object) -> tuple[object, ...]:
    """Put values side by side, to compare Decimals with the plain numbers they equal."""
    return given
