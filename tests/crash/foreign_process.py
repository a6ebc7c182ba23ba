"""Another SQLite library in another process: ``python -m tests.crash.foreign_process DATABASE WORK ...``.

Each WORK is a mode of a checkpoint, a statement, or ``wait SECONDS``; what a statement answers is printed.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing


def main(database: str, works: list[str]) -> None:
    """Do it."""
    with closing(sqlite3.connect(database, timeout=5, isolation_level=None)) as connection:
        for work in works:
            if work.startswith("wait "):
                time.sleep(float(work.removeprefix("wait ")))
            elif work in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
                begun_s = time.monotonic()
                busy = connection.execute(f"PRAGMA wal_checkpoint({work})").fetchone()[0]
                print(work, busy, round((time.monotonic() - begun_s) * 1000), flush=True)
            else:
                print(connection.execute(work).fetchall(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
