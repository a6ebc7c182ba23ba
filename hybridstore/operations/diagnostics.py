"""Measures the hot path where it runs: on this store, this disk, this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from hybridstore.hot.balances import DEFAULT_ACCOUNT, BalanceReader
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.position_rows import PositionReader
from hybridstore.hot.session import WriteSession
from hybridstore.hot.valuation import PortfolioReader

_REPEATS = 20
_PROBE = "diagnostics:last_run"
_TARGETS_MS = {
    "latest_balance": 50.0,
    "open_positions": 100.0,
    "portfolio_summary": 50.0,
    "durable_write": 10.0,
}
"""The promised times: a balance or portfolio query 50 ms, a position query 100 ms, a write 10 ms."""


def run_diagnostics(database: DatabaseManager) -> dict[str, Any]:
    """Run each hot operation several times and compare its median with the promise.

    Args:
        database: The open store. One setting of it is overwritten; books and market data are only read.

    Returns:
        tests: a list of {test, execution_time_ms, target_ms, status: "pass" or "slow"}; overall_status: "optimal"
        when all pass, else "degraded".
    """
    balances, positions, portfolio = (
        BalanceReader(database),
        PositionReader(database),
        PortfolioReader(database),
    )

    def write(session: WriteSession) -> None:
        session.run("upsert_settings", (_PROBE, str(session.ts_us)))

    actions: dict[str, Callable[[], object]] = {
        "latest_balance": lambda: balances.latest("USDT"),
        "open_positions": lambda: positions.open(DEFAULT_ACCOUNT),
        "portfolio_summary": portfolio.summary,
        "durable_write": lambda: database.writer.call(write, durability="full"),
    }
    tests = [_measure(name, action, _TARGETS_MS[name]) for name, action in actions.items()]
    slow = any(test["status"] != "pass" for test in tests)
    return {"tests": tests, "overall_status": "degraded" if slow else "optimal"}


def _measure(name: str, action: Callable[[], object], target_ms: float) -> dict[str, Any]:
    times_ms = []
    for _ in range(_REPEATS):
        begun_ns = time.perf_counter_ns()
        action()
        times_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
    median_ms = statistics.median(times_ms)
    return {
        "test": name,
        "execution_time_ms": median_ms,
        "target_ms": target_ms,
        "status": "pass" if median_ms <= target_ms else "slow",
    }
