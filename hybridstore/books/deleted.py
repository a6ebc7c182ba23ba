"""Questions that add the books up from their beginning, where that was deleted by policy: refused, never shorter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hybridstore.errors import NotFound
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    from hybridstore.analytics.snapshot import Snapshot

BOOKS = ("trades", "ledger", "position_events")
"""What the books are added up from, from their beginning on."""


def refuse_deleted(
    snapshot: Snapshot, operation: str, datasets: Iterable[str], start_us: int | None = None
) -> None:
    """Refuse a question that needs rows which were deleted by policy.

    Args:
        snapshot: The moment.
        operation: What was asked for.
        datasets: What it adds up.
        start_us: It needs rows from this moment on, us UTC; None means from the beginning.

    Raises:
        NotFound: Rows that it needs were deleted.
    """
    for dataset in datasets:
        until_us = snapshot.deleted_until_us(dataset)
        if until_us and (start_us is None or start_us < until_us):
            raise NotFound(
                f"{dataset} before {moment(until_us):%Y-%m-%d} were deleted by policy: what came of them since their "
                f"beginning cannot be added up any more",
                operation=operation,
                hint="SQL questions and sums by hour and day are as before; what is to be added up from its beginning "
                f"needs a longer frozen_retention_years for {', '.join(BOOKS)}",
            )
