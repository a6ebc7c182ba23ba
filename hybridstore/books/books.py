"""Books: the door to every question about an account's books."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics


class Books:
    """Questions about the books of a store, hot rows and archives together. Safe in several threads.

    Each question reads one moment of the store.

    Args:
        analytics: Where questions over all tiers are asked.
    """

    def __init__(self, analytics: Analytics) -> None:
        self._analytics = analytics
