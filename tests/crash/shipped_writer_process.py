"""A writer of a store that is backed up: ``python -m tests.crash.shipped_writer_process ROOT NAME PAUSE_S``.

It says each acknowledged number aloud until its input ends; then the longest it waited for one, ms.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from decimal import Decimal
from itertools import count
from pathlib import Path

from hybridstore import HybridStore
from tests.crash.shipping import settings_of

_TEXT = "x" * 2_000


def main(root: Path, name: str, pause_s: float) -> None:
    """Write until the input ends."""
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    slowest_s = 0.0
    with HybridStore(config=settings_of(root)) as store:
        for number in count(1):
            begun_s = time.monotonic()
            store.record_balance_update("USDT", Decimal(number), Decimal(0), _TEXT, account=name)
            slowest_s = max(slowest_s, time.monotonic() - begun_s)
            os.write(1, f"{number}\n".encode())
            if ended.wait(pause_s):
                break
    os.write(1, f"{slowest_s * 1000:.1f}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
