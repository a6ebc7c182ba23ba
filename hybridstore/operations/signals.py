"""SIGTERM and Ctrl-C as a request to end after the step that is being done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def obey_signals() -> Iterator[threading.Event]:
    """Let SIGTERM and Ctrl-C set an event for the time of a block; a second Ctrl-C interrupts at once.

    Only the main thread can be given signals; in another one the event is never set by them.

    Yields:
        The event.
    """
    stop = threading.Event()

    def end(number: int, _frame: object) -> None:
        signal.signal(number, earlier[signal.Signals(number)])
        # Not set here: the thread that is interrupted may be the one that holds the event's own lock.
        threading.Thread(target=stop.set, name="hybridstore-stop", daemon=True).start()

    earlier = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            earlier[number] = signal.signal(number, end)
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
