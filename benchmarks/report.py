"""The report of an account: eight years of days, and 100 000 fills of 50 000 closed trades, in all tiers.

Guards: the page is there within 3 seconds from the start of a new process, of at most 400 kB, with at most 1 GiB of
memory (A5 of analytics).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import Figure, Limit, Size, main
from hybridstore.archive.results import forget_results
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig, RetentionPolicy
from hybridstore.hot.session import WriteSession
from hybridstore.reports.page import PAGE_BYTES_MAX
from hybridstore.store import HybridStore

MARKETS = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "DOT")
TABLES = ("candles", "portfolio_snapshots", "positions", "position_events", "trades", "orders")
STRATEGIES = ("grid", "trend", "carry", None)
FIRST_DAY = 17_600
_MIB = 1 << 20
_REPORT = """
import json, resource, sys, time
begun_s = time.perf_counter()
from hybridstore.cli import main
sys.argv = ["hybridstore", "report", "--root", sys.argv[1], "-o", sys.argv[2], "--benchmark", "BTC/USDT", "--json"]
try:
    main()
except SystemExit as end:  # the command line ends its process
    assert not end.code
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"took_s": time.perf_counter() - begun_s, "resident_kib": own}))
"""


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        days: Days of the account.
        trades: Closed trades, each of two fills.
        runs: Reports that are made.
    """

    days: int
    trades: int
    runs: int


SIZES: dict[Size, Sizes] = {"small": Sizes(100, 200, 1), "full": Sizes(8 * 365 + 2, 50_000, 5)}


def measure(size: Size) -> list[Figure]:
    """Measure how long a report takes, what it weighs, and what it needs.

    Args:
        size: small or full.

    Returns:
        Their figures.
    """
    sizes = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        root, page = Path(folder) / "store", Path(folder) / "report.html"
        live(root, sizes)
        runs = sorted(_make(root, page) for _ in range(sizes.runs))
        whole_s, inner_s, resident_kib = runs[len(runs) // 2]
        return [
            Figure(
                name="report of 8 years and 100 000 fills, new process", unit="s", ours=whole_s, point="A5",
                limits=(Limit(of="ours", at_most=3),), note=f"{inner_s:.2f} s of it after Python had started",
            ),
            Figure(
                name="size of the page", unit="kB", ours=page.stat().st_size / 1000, point="A5",
                limits=(Limit(of="ours", at_most=PAGE_BYTES_MAX / 1000),),
            ),
            Figure(
                name="memory of the process that makes it", unit="MiB", ours=resident_kib / 1024, point="A5",
                limits=(Limit(of="ours", at_most=1024),),
            ),
        ]  # fmt: skip


def _make(root: Path, page: Path) -> tuple[float, float, int]:
    forget_results(root)
    begun_s = time.perf_counter()
    made = subprocess.run(  # noqa: S603  this interpreter
        [sys.executable, "-c", _REPORT, str(root), str(page)],
        check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    whole_s = time.perf_counter() - begun_s
    told = json.loads(made.stdout.splitlines()[-1])
    return whole_s, told["took_s"], told["resident_kib"]


def live(root: Path, sizes: Sizes) -> None:
    """Make a store whose account traded all those days, and move what is old into the tiers it belongs to.

    Args:
        root: Its folder.
        sizes: How much.
    """
    clock = ManualClock((FIRST_DAY + sizes.days) * DAY_US)
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), durability="normal", enable_logs=False)
    kept = [
        RetentionPolicy(name=name, table_name=name, frozen_retention_years=10)  # eight years are to stay
        for name in TABLES
    ]
    with HybridStore(config=config, clock=clock, policies=kept) as store:
        for name, rows in _history(sizes).items():
            _insert(store, name, rows)
        store.record_balance_update("USDT", 100_000)
        while store.retention.run().rows:
            pass


def _insert(store: HybridStore, name: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows as they are stored; a nullable column that is not named has no value."""
    dataset = store.database.registry[name]
    stored = [tuple(row.get(column) for column in dataset.column_names) for row in rows]

    def write(session: WriteSession) -> None:
        session.executemany(session.sql[f"insert_{name}"], stored)

    store.database.writer.call(write, durability="normal")


def _history(sizes: Sizes) -> dict[str, list[dict[str, Any]]]:
    """Draw prices, equity and trades by chance, always the same."""
    rng = random.Random(20_261_124)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    prices = dict.fromkeys(MARKETS, 100_00)
    equity = 100_000_00
    for day in range(sizes.days):
        at_us = (FIRST_DAY + day) * DAY_US
        for market in MARKETS:
            prices[market] = max(1_00, prices[market] * rng.randint(965, 1037) // 1000)
            found["candles"].append(_candle(f"{market}/USDT", prices[market], at_us))
        equity = max(1_000_00, equity * rng.randint(985, 1016) // 1000)
        found["portfolio_snapshots"].append(_snapshot(equity, at_us + DAY_US))
        trades = (day + 1) * sizes.trades // sizes.days - day * sizes.trades // sizes.days
        for number in range(trades):
            _trade(found, rng, prices, f"{day}-{number}", at_us + rng.randrange(DAY_US // 2))
    return found


def _candle(symbol: str, cents: int, at_us: int) -> dict[str, Any]:
    price = cents * 10**6
    values = dict.fromkeys(("open", "high", "low", "close"), price)
    return {
        "symbol": symbol,
        "timeframe": "1d",
        "opened_at": at_us,
        **values,
        "volume": 10**8,
        "recorded_at": at_us,
    }


def _snapshot(cents: int, at_us: int) -> dict[str, Any]:
    nothing = dict.fromkeys(("positions_value", "unrealized", "net_flow"), "0")
    worth = dict.fromkeys(("equity", "cash"), _text(cents))
    return {
        "account": "default", "base_currency": "USDT", "taken_at": at_us, **worth, **nothing, "recorded_at": at_us,
    }  # fmt: skip


def _trade(
    found: dict[str, list[dict[str, Any]]],
    rng: random.Random,
    prices: dict[str, int],
    number: str,
    at_us: int,
) -> None:
    """Open a position of one unit and close it hours later."""
    symbol, strategy = f"{(market := rng.choice(MARKETS))}/USDT:USDT", rng.choice(STRATEGIES)
    entry = prices[market] * rng.randint(990, 1010) // 1000
    leaving = entry * rng.randint(975, 1027) // 1000
    end_us = at_us + rng.randrange(1, DAY_US // 2)
    sign = rng.choice((1, -1))
    profit, fee = sign * (leaving - entry), max(1, entry // 1000)
    who = {"account": "default", "symbol": symbol, "strategy": strategy, "bot": f"bot-{rng.randrange(3)}"}
    position = f"p{number}"
    found["positions"].append({
        **who, "position_id": position, "side": "LONG" if sign > 0 else "SHORT", "status": "CLOSED", "amount": "0",
        "entry_price": _text(entry), "entry_cost": "0", "contract_size": "1", "inverse": 0,
        "realized_pnl": _text(profit), "fees": _text(2 * fee), "funding": "0", "peak_amount": "1",
        "max_favourable": _text(max(profit, 0)), "max_adverse": _text(min(profit, 0)), "opened_at": at_us,
        "updated_at": end_us, "closed_at": end_us, "event_seq": 2, "recorded_at": end_us,
    })  # fmt: skip
    steps = (("open", entry, at_us, 1, 0, sign), ("close", leaving, end_us, -1, profit, -sign))
    for seq, (kind, price, moment_us, amount, realized, direction) in enumerate(steps, start=1):
        order, fill = f"o{number}-{seq}", f"t{number}-{seq}"
        found["position_events"].append({
            "position_id": position, "seq": seq, "account": "default", "symbol": symbol, "kind": kind,
            "amount_delta": str(amount), "price": _text(price), "amount_after": str(2 - seq),
            "entry_after": _text(entry),
            "realized_delta": _text(realized), "cost_delta": _text(amount * entry), "fees_delta": _text(fee),
            "funding_delta": "0", "trade_id": fill, "order_id": order, "occurred_at": moment_us,
            "recorded_at": moment_us,
        })  # fmt: skip
        side = "buy" if direction > 0 else "sell"
        found["orders"].append({
            **who, "order_id": order, "side": side, "type": "limit", "status": "closed",
            "price": _text(price * rng.randint(999, 1001) // 1000), "amount": "1", "filled": "1",
            "updated_at": moment_us, "recorded_at": moment_us,
        })  # fmt: skip
        found["trades"].append({
            **who, "trade_id": fill, "order_id": order, "synthetic_id": 0, "side": side, "price": _text(price),
            "amount": "1", "contract_size": "1", "quote_amount": _text(price), "fee": _text(fee),
            "fee_currency": "USDT", "fee_in_quote": _text(fee), "liquidity": "taker",
            "realized_pnl": _text(realized), "net_pnl": _text(realized - fee), "position_id": position,
            "liquidation": 0, "executed_at": moment_us, "recorded_at": moment_us,
        })  # fmt: skip


def _text(cents: int) -> str:
    sign, cents = "-" if cents < 0 else "", abs(cents)
    return f"{sign}{cents // 100}.{cents % 100:02}".removesuffix(".00")


if __name__ == "__main__":
    sys.exit(main("report", measure, __doc__))
