"""What a bot tells of money: fills of every kind of market, funding, flows, corrections, voids; and what trades show.

Everything follows from the run, the task and a number. Each task of each run has an account of its own.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hybridstore.clock import DAY_US

TASKS = 6
LINEAR, INVERSE, SPOT, HEDGED = "BTC/USDT:USDT", "BTC/USD:BTC", "ETH/USDT", "SOL/USDT:USDT"
KINDS = (
    "deposit", "linear", "linear", "spot", "inverse", "hedged", "funding", "correct", "linear", "void", "spot",
    "interest", "hedged", "correct", "adjust",
)  # fmt: skip
"""What a task tells, in turns."""
_BACK = {"correct": 3, "void": 4}
"""How many numbers before it lies what a correction or a void is of."""
Call = tuple[str, tuple[Any, ...], dict[str, Any]]
Fill = tuple[str, Decimal, Decimal]
"""Side, price and amount."""


def account_of(run: int, task: int) -> str:
    """Return whose the books of a task are."""
    return f"run{run}/books{task}"


def kind_of(number: int) -> str:
    """Return what the report of a number is."""
    return KINDS[number % len(KINDS)]


def action(run: int, task: int, number: int, base_us: int) -> Call:
    """Return what a bot tells.

    Args:
        run: Which bot.
        task: Which of its tasks.
        number: 1 for the first of the task.
        base_us: The present of the whole campaign, us UTC.

    Returns:
        The call to make.
    """
    account, kind, at_us = account_of(run, task), kind_of(number), moment_us(number, base_us)
    if kind in {"deposit", "interest", "adjust"}:
        entry = (
            account,
            f"e{number}",
            kind,
            "USDT" if number % 2 else "BTC",
            Decimal(number) / 8,
            None,
            at_us,
        )
        return "record_ledger_entries", ([entry],), {}
    if kind == "funding":
        paid = Decimal(number % 9 - 4) / 16
        return "record_funding", (LINEAR, paid), {"account": account, "occurred_at": at_us}
    of = number - _BACK.get(kind, 0)
    symbol = symbol_of(of)
    if kind == "void":
        return "void_fill", (symbol, f"t{of}"), {"account": account}
    return "record_fill", (symbol, *fill_of(of, number)), {
        **_details(symbol, of, number), "account": account, "trade_id": f"t{of}",
        "executed_at": moment_us(of, base_us),
    }  # fmt: skip


def moment_us(number: int, base_us: int) -> int:
    """Return when it was; every third is of a day that is to be archived."""
    return base_us - (10 + number % 2) * DAY_US * (number % 3 == 0) + number * 1_000


def symbol_of(number: int) -> str:
    """Return the market of a fill."""
    return {"linear": LINEAR, "inverse": INVERSE, "spot": SPOT, "hedged": HEDGED}[kind_of(number)]


def fill_of(number: int, told: int) -> Fill:
    """Return a fill as it is told by a report; its correction has another price and amount."""
    side = "buy" if number * 7919 % 7 < 4 else "sell"
    return side, Decimal(100 + told % 23) + Decimal(told % 3) / 8, Decimal(number % 5 + 1 + told - number) / 4


def _details(symbol: str, number: int, told: int) -> dict[str, Any]:
    fees = [("USDT", Decimal(told % 4) / 32), ("BNB", "0.0001"), ("ETH", "0.001"), ("BTC", "-0.00001")]
    details: dict[str, Any] = {"fees": fees[: told % 4 + 1]}
    if symbol == INVERSE:
        details["contract_size"] = 100
    if symbol == HEDGED:
        details["position_side"] = "LONG" if number % 2 else "SHORT"
    return details


def trades_after(count: int) -> dict[str, Fill]:
    """Return what a task's trades say after its first reports.

    Args:
        count: How many were told.

    Returns:
        By trade id.
    """
    trades: dict[str, Fill] = {}
    for number in range(1, count + 1):
        kind = kind_of(number)
        of = number - _BACK.get(kind, 0)
        if kind == "void":
            side, price, _ = trades[f"t{of}"]
            trades[f"t{of}"] = (side, price, Decimal(0))
        elif kind == "correct" or kind_of(of) in {"linear", "inverse", "spot", "hedged"}:
            trades[f"t{of}"] = fill_of(of, number)
    return trades
