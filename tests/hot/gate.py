"""Holds the writer back, so that what is queued meanwhile becomes one batch."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from decimal import Decimal

from hybridstore.hot.balance_updates import prepare_balance
from hybridstore.hot.balances import Balance, write_balance
from hybridstore.hot.session import WriteSession
from hybridstore.store import HybridStore


class Gate:
    """Holds the writer thread in an operation, so that what is queued meanwhile becomes one batch."""

    def __init__(self, store: HybridStore) -> None:
        self._entered, self._open = threading.Event(), threading.Event()
        self._held = store.database.writer.submit(None, self._wait)
        assert self._entered.wait(10)

    def _wait(self, _: WriteSession) -> None:
        self._entered.set()
        assert self._open.wait(30)

    def release(self) -> None:
        """Let the writer go on."""
        self._open.set()
        self._held.result(10)


def put(store: HybridStore, asset: str, balance: object = 1) -> Future[Balance]:
    """Queue a balance."""
    return store.database.writer.submit(None, write_balance, prepare_balance(asset, Decimal(str(balance))))
