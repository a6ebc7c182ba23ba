"""A process that reads an exchange into a store, to be killed: ``python -m tests.crash.sync_child ROOT URL MARKET``."""

from __future__ import annotations

import importlib
import sys

from hybridstore import HybridStore
from tests.exchanges.server import binance


def main(root: str, url: str, *markets: str) -> None:
    """Read everything the account has; say so when it is done."""
    exchange = binance(importlib.import_module("ccxt"), url)
    with HybridStore(root) as store:
        print("ready", flush=True)
        report = store.sync(exchange, markets=markets, timeframes=())
    print(f"done {report.is_clean}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
