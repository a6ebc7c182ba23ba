"""A process that works on a store until its standard input ends: a bot that trades, or a mover."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from random import Random

from hybridstore import HybridStore
from hybridstore.clock import DAY_US
from hybridstore.errors import StoreBusy

OLD_DAYS = 12
"""Fills are told as late as this, so that they are old enough to leave the hot store at once."""


def main() -> None:
    """Do what the arguments say: folder, ``trade`` or ``move``, seed."""
    root, work, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    with HybridStore(root) as store:
        done = trade(store, seed, over) if work == "trade" else move(store, over)
    print(done, flush=True)


def trade(store: HybridStore, seed: int, over: threading.Event) -> int:
    """Record fills of the last days and of earlier ones, told late; each books two or three ledger entries."""
    rng, number = Random(seed), 0
    while not over.is_set():
        now_us = store.database.clock.now_us()
        at_us = now_us - rng.choice((0, 0, OLD_DAYS)) * DAY_US - rng.randrange(DAY_US)
        store.record_fill(
            rng.choice(("BTC/USDT", "ETH/USDT", "SOL/USDT")),
            rng.choice(("buy", "sell")),
            rng.randint(1, 10**6),
            f"0.{rng.randint(1, 10**8):018}",
            fee=f"0.{rng.randint(1, 10**6):08}",
            fee_currency="USDT",
            trade_id=f"{os.getpid()}-{number}",
            order_id="o",
            executed_at=at_us,
            durability="normal",
        )
        number += 1
    return number


def move(store: HybridStore, over: threading.Event) -> int:
    """Move what is old enough, again and again."""
    rows = 0
    while not over.wait(0.05):
        try:
            rows += store.retention.run().rows
        except StoreBusy:
            continue
    return rows


if __name__ == "__main__":
    main()
