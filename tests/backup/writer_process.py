"""One of several writers: ``python -m tests.backup.writer_process ROOT NUMBER SEED``.

Each line of its input is a number of operations to do; it answers with how many commits it was acknowledged.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from random import Random

from hybridstore.clock import DAY_US, SystemClock
from hybridstore.store import HybridStore

SYMBOLS = ("BTC/USDT", "ETH/USDT", "LTC/USDT")


def work(store: HybridStore, writer: int, rng: Random, number: int) -> None:
    """Do one operation; market trades are of a time long ago, so that a move finds them due."""
    account = f"exchange/{writer}"
    kind = rng.randrange(10)
    if kind < 5:
        amount = Decimal(rng.randrange(10**9)).scaleb(-8)
        store.record_balance_update(rng.choice("ABC"), amount, Decimal(0), "websocket", account=account)
    elif kind < 7:
        store.record_fill(
            rng.choice(SYMBOLS),
            rng.choice(("buy", "sell")),
            100 + number % 7,
            1,
            account=account,
            trade_id=f"{writer}-{number}",
        )
    else:
        first_us = SystemClock().now_us() - rng.choice((9, 10, 40, 41, 400)) * DAY_US
        rows = [
            (rng.choice(SYMBOLS), (writer * 10**6 + number) * 100 + n, "1.5", "2", "buy", first_us + n)
            for n in range(rng.randrange(1, 30))
        ]
        store.record_market_trades(rows)


def _main(root: Path, writer: int, seed: int) -> None:
    rng, number = Random(seed), 0
    with HybridStore(root) as store:
        print("ready", flush=True)
        for line in sys.stdin:
            for _ in range(int(line)):
                number += 1
                work(store, writer, rng, number)
            print(number, flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
