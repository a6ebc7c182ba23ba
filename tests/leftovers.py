"""What a test leaves behind when it fails in the middle: open stores and child processes, which would fail others."""

from __future__ import annotations

import gc
import threading
from contextlib import suppress

from hybridstore.hot.database import DatabaseManager
from hybridstore.store import HybridStore
from tests.hot.children import started

_PREFIX = "hybridstore-"


def threads_of_stores() -> set[threading.Thread]:
    """Return the threads of every store that is open in this process."""
    return {thread for thread in threading.enumerate() if thread.name.startswith(_PREFIX)}


def close_stores(threads: set[threading.Thread]) -> list[str]:
    """Close the stores that threads belong to.

    Args:
        threads: Of stores that should be closed by now.

    Returns:
        The folders of the stores that were still open.
    """
    if not threads:
        return []
    objects = gc.get_objects()  # takes 50 ms, so only where something is left
    left = [
        one
        for one in objects
        if isinstance(one, DatabaseManager) and one.is_open and one.writer._thread in threads
    ]
    for store in [one for one in objects if isinstance(one, HybridStore) and one.database in left]:
        store.close()
    for database in left:
        database.shutdown()
    return [str(database.root) for database in left]


def end_children() -> list[int]:
    """End the child processes that still run, and let go of the pipes of all.

    Returns:
        The numbers of those that still ran.
    """
    running = []
    while started:
        child = started.pop()
        if child.poll() is None:
            running.append(child.pid)
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with suppress(OSError):  # what was not said cannot be said any more
                    pipe.close()
    return running
