"""A subscriber in a process of its own: ``python -m tests.crash.subscriber_process ROOT JOURNAL``.

It follows everything that is committed and keeps each event with its token in one line, written at once. Killed at any
moment and started again, it goes on behind its last whole line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hybridstore.store import HybridStore
from tests.crash.told import line_of, resume


def main() -> None:
    """Follow, without end."""
    root, journal = map(Path, sys.argv[1:])
    token = resume(journal)
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
    with HybridStore(root) as store, store.subscribe(token=token, from_start=token is None) as events:
        os.write(1, b"ready\n")
        for event in events:
            os.write(descriptor, line_of(event))


if __name__ == "__main__":
    main()
