"""The thread that copies the write-ahead log back, ends readers that stay too long and looks after the guards.

Commits never pay for a checkpoint: automatic ones are off, and this thread makes passive ones, which wait for nobody
and keep nobody waiting, on a connection of its own.
"""

from __future__ import annotations

import contextlib
import threading

import apsw

from hybridstore.config import DatabaseConfig
from hybridstore.hot.connection import close_connection, open_connection, translate
from hybridstore.hot.lookout import Lookout
from hybridstore.hot.pool import ReaderPool
from hybridstore.hot.shipped_mark import is_shipped

_INTERVAL_S = 0.05
_ROUNDS_A_LOOK = 20
_MIB = 1 << 20


class Housekeeping:
    """One thread with one connection.

    Args:
        config: Where, and from which size of the log on to copy it back.
        readers: The pool whose old transactions are ended.
        lookout: Looks once a second whether the store can be trusted.
    """

    def __init__(self, config: DatabaseConfig, readers: ReaderPool, lookout: Lookout) -> None:
        self._readers = readers
        self._lookout = lookout
        self._connection = open_connection(config, write=True)
        self._connection.set_busy_handler(None)  # whoever is busy is served later
        page_size_bytes = int(self._connection.pragma("page_size"))
        self._frames_max = config.wal_checkpoint_mb * _MIB // page_size_bytes
        self._frames_limit = config.wal_limit_mb * _MIB // page_size_bytes
        self._root = config.root
        self._rounds = 0
        try:
            lookout.begin(self._connection)
        except BaseException as error:
            close_connection(self._connection, keeps_log=True)
            if isinstance(error, apsw.Error):
                raise translate(error, "open the hot store", config.path) from error
            raise
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
            self._rounds += 1
            if self._rounds % _ROUNDS_A_LOOK == 0:
                self._lookout.look(self._connection)
        self._lookout.end(self._connection)
        close_connection(self._connection, keeps_log=self._lookout.condemned)

    def _checkpoint(self) -> None:
        frames, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        # Whoever backs the log up also copies it back. Where nobody does any more it must not grow for ever.
        if frames - copied < self._frames_max or not self._lookout.may_copy():
            return
        if frames - copied >= self._frames_limit or not is_shipped(self._root):
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
