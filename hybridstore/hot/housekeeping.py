"""The thread that copies the write-ahead log back into the database and ends readers that stay too long.

Commits never pay for a checkpoint: automatic ones are off, and this thread makes passive ones, which wait for nobody
and keep nobody waiting, on a connection of its own.
"""

from __future__ import annotations

import contextlib
import threading

import apsw

from hybridstore.config import DatabaseConfig
from hybridstore.hot.connection import open_connection
from hybridstore.hot.pool import ReaderPool

_INTERVAL_S = 0.05
_MIB = 1 << 20


class Housekeeping:
    """One thread with one connection.

    Args:
        config: Where, and from which size of the log on to copy it back.
        readers: The pool whose old transactions are ended.
    """

    def __init__(self, config: DatabaseConfig, readers: ReaderPool) -> None:
        self._readers = readers
        self._connection = open_connection(config, write=True)
        self._connection.set_busy_handler(None)  # whoever is busy is served later
        page_size_bytes = int(self._connection.pragma("page_size"))
        self._frames_max = config.wal_checkpoint_mb * _MIB // page_size_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hybridstore-housekeeping", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and close its connection."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self._readers.expire_old()
            self._readers.renew()
            # A full disk or a busy moment: the log stays, and the next round tries again.
            with contextlib.suppress(apsw.Error):
                self._checkpoint()
        self._connection.close(True)  # noqa: FBT003  positional in apsw

    def _checkpoint(self) -> None:
        frames, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        if frames - copied >= self._frames_max:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
