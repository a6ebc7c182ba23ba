"""Asks a question for somebody at a terminal: it shows that it is at work, and Ctrl-C cancels it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from rich.console import Console

from hybridstore.operations.signals import obey_signals

if TYPE_CHECKING:
    from hybridstore.analytics.result import Result
    from hybridstore.analytics.session import Analytics

_LOOK_S = 0.05
_SHOWN_AFTER_S = 0.5


def ask(
    analytics: Analytics, query: str, *, timeout_s: float | None = None, as_known_at: object = None
) -> Result:
    """Ask one question.

    Args:
        analytics: Of the open store.
        query: The question.
        timeout_s: After how many seconds to give up; None means the store's own limit.
        as_known_at: As the store knew things then; None means now.

    Returns:
        The answer.

    Raises:
        KeyboardInterrupt: It was cancelled with Ctrl-C; it does not run any more.
        HybridStoreError: It cannot be answered.
    """
    console = Console(stderr=True)
    begun_s = time.monotonic()
    with ThreadPoolExecutor(1, "hybridstore-ask") as pool, obey_signals() as stop:
        asked = pool.submit(analytics.sql, query, timeout_s=timeout_s, as_known_at=as_known_at)
        with console.status("") as shown:
            while not wait([asked], _LOOK_S).done:
                if stop.is_set():
                    analytics.cancel()
                passed_s = time.monotonic() - begun_s
                if passed_s > _SHOWN_AFTER_S:
                    shown.update(f"{passed_s:.0f} s; Ctrl-C cancels")
        if stop.is_set():
            raise KeyboardInterrupt
        return asked.result()
