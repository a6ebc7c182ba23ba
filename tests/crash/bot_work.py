"""What a bot of these suites tells its store, and what the store must show of it.

Everything follows from the bot's run, the stream and a number: the bot that tells and the judge who looks need nothing
of each other. Each stream of each run has an account of its own, so that its rows are known by it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hybridstore.clock import DAY_US

STREAMS = ("balance", "dated", "batch", "spot", "perp", "order", "deposit", "mark")
"""Concurrent tasks of a bot, each telling its own kind of thing, one after the other."""
KEYED = ("dated", "spot", "perp", "order", "deposit")
"""Streams whose reports have an id or a moment: told again, they change nothing."""
SPOT, PERP = "ETH/USDT", "BTC/USDT:USDT"
BATCH_ROWS = 5
REPORTS_EACH = 3
"""Reports of one order."""
CORRECTS_EVERY = 5
_CORRECTS_BACK = 3
_FEE = Decimal("0.05")
_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
Action = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method of the storage system with its arguments."""
State = dict[str, dict[str, Any]]
"""By table: what counts there, by whatever its rows are known by."""


def account_of(run: int, stream: str) -> str:
    """Return whose the rows of a stream are."""
    return f"run{run}/{stream}"


def mark_symbol(run: int) -> str:
    """Return the market whose marks a run tells."""
    return f"RUN{run}/USDT"


def moment_us(number: int, base_us: int) -> int:
    """Return a moment, unique among the numbers of a stream; every third is of days that are to be archived."""
    return base_us - (10 + number % 2) * DAY_US * (number % 3 == 0) - (number * 7919 % 10_007) * 1_000


def action(stream: str, run: int, number: int, base_us: int) -> Action:
    """Return what a bot tells.

    Args:
        stream: One of :data:`STREAMS`.
        run: Which bot.
        number: 1 for the first of the stream.
        base_us: The present of the whole campaign, us UTC.

    Returns:
        The call to make.
    """
    return _ACTIONS[stream](account_of(run, stream), run, number, base_us)


def expected(stream: str, run: int, count: int, base_us: int) -> State:
    """Return what the store must show of a stream's first reports.

    Args:
        stream: One of :data:`STREAMS`.
        run: Which bot.
        count: How many were told.
        base_us: The present of the whole campaign, us UTC.

    Returns:
        The state, in the form :class:`tests.crash.bot_judge.Judge` reads it.
    """
    return _EXPECTED[stream](run, count, base_us)


# -- balances ---------------------------------------------------------------------------------------------------


def _asset(number: int) -> str:
    return f"A{number % 4}"


def _balance(account: str, run: int, number: int, base_us: int) -> Action:
    return "record_balance_update", (_asset(number), number, 0, str(number)), {"account": account}


def _balances(run: int, count: int, base_us: int) -> State:
    numbers = range(1, count + 1)
    return {
        "balance_history": {str(number): (_asset(number), Decimal(number)) for number in numbers},
        "balances": {_asset(number): Decimal(number) for number in numbers},
    }


def _dated(account: str, run: int, number: int, base_us: int) -> Action:
    method, arguments, details = _balance(account, run, number, base_us)
    return method, arguments, {**details, "changed_at": moment_us(number, base_us)}


def _dated_balances(run: int, count: int, base_us: int) -> State:
    """The latest is the one of the latest moment, whenever it was told."""
    by_moment = sorted(range(1, count + 1), key=lambda number: moment_us(number, base_us))
    latest = {_asset(number): Decimal(number) for number in by_moment}
    return {**_balances(run, count, base_us), "balances": latest}


def _batch(account: str, run: int, number: int, base_us: int) -> Action:
    rows = [
        (f"B{place}", number, 0, f"{number}-{place}", None, None, None, None, None, None)
        for place in range(BATCH_ROWS)
    ]
    return "batch_update_balances", (rows,), {"account": account}


def _batches(run: int, count: int, base_us: int) -> State:
    told = [(number, place) for number in range(1, count + 1) for place in range(BATCH_ROWS)]
    return {
        "balance_history": {f"{number}-{place}": (f"B{place}", Decimal(number)) for number, place in told},
        "balances": {f"B{place}": Decimal(number) for number, place in told},
    }


# -- fills ------------------------------------------------------------------------------------------------------


def _spot_fill(number: int) -> tuple[str, Decimal, Decimal]:
    """Return side, price and amount; less is sold than was bought before."""
    return ("buy", Decimal(100 + number % 7), Decimal(2)) if number % 2 else ("sell", Decimal(90), Decimal(1))


def _perp_fill(number: int) -> tuple[str, Decimal, Decimal]:
    """Return side, price and amount; the position is opened, reduced, closed and turned over."""
    side = "buy" if number * 7919 % 5 < 2 else "sell"
    return side, Decimal(50_000 + number % 11), Decimal(number % 4 + 1) / 4


def _fill(symbol: str, fill: tuple[str, Decimal, Decimal], account: str, number: int, base_us: int) -> Action:
    details = {
        "trade_id": f"t{number}",
        "account": account,
        "fee": _FEE,
        "fee_currency": "USDT",
        "executed_at": moment_us(number, base_us),
    }
    return "record_fill", (symbol, *fill), details


def _spot(account: str, run: int, number: int, base_us: int) -> Action:
    return _fill(SPOT, _spot_fill(number), account, number, base_us)


def _perp(account: str, run: int, number: int, base_us: int) -> Action:
    return _fill(PERP, _perp_fill(number), account, number, base_us)


def _fills(
    symbol: str, fill: Callable[[int], tuple[str, Decimal, Decimal]], count: int
) -> tuple[State, Decimal]:
    """Return what every fill leaves behind, and the position that is open in the end, negative where it is short."""
    trades, fees, held = {}, {}, Decimal(0)
    for number in range(1, count + 1):
        side, price, amount = fill(number)
        trades[f"t{number}"] = (side, price, amount)
        fees[f"{symbol}|t{number}|-|fee0"] = ("USDT", -_FEE)
        held += amount if side == "buy" else -amount
    changes = dict.fromkeys(trades, True)
    return {"trades": trades, "ledger": fees, "position_events": changes}, held


def _spot_fills(run: int, count: int, base_us: int) -> State:
    state, held = _fills(SPOT, _spot_fill, count)
    for number in range(1, count + 1):
        side, price, amount = _spot_fill(number)
        sign = 1 if side == "buy" else -1
        state["ledger"][f"{SPOT}|t{number}|-|base"] = ("ETH", sign * amount)
        state["ledger"][f"{SPOT}|t{number}|-|quote"] = ("USDT", -sign * amount * price)
    return {**state, "positions": {SPOT: held} if held else {}}


def _perp_fills(run: int, count: int, base_us: int) -> State:
    state, held = _fills(PERP, _perp_fill, count)
    return {**state, "positions": {PERP: held} if held else {}}


# -- orders, ledger entries, marks ------------------------------------------------------------------------------


def _report(number: int, base_us: int) -> tuple[str, str, int, int]:
    """Return order, status, what is filled, and when; the reports of an order come in every order."""
    order, place = divmod(number - 1, REPORTS_EACH)
    stage = _ORDERS[order % len(_ORDERS)][place]
    return f"o{order}", "closed" if stage == 2 else "open", stage, moment_us(order, base_us) + stage


def _order(account: str, run: int, number: int, base_us: int) -> Action:
    order, status, filled, updated_us = _report(number, base_us)
    details = {"symbol": SPOT, "order_id": order, "side": "buy", "type": "limit", "amount": 2, "price": 100}
    return "record_order", (), {
        **details, "account": account, "status": status, "filled": filled, "updated_at": updated_us
    }  # fmt: skip


def _orders(run: int, count: int, base_us: int) -> State:
    reports = sorted((_report(number, base_us) for number in range(1, count + 1)), key=lambda told: told[3])
    return {"orders": {order: (status, Decimal(filled)) for order, status, filled, _ in reports}}


def _entry(number: int) -> tuple[str, Decimal]:
    """Return id and amount; now and then an earlier one is corrected, which may be archived by then."""
    if number % CORRECTS_EVERY == 0:
        return f"d{number - _CORRECTS_BACK}", Decimal(number) + Decimal("0.5")
    return f"d{number}", Decimal(number)


def _deposit(account: str, run: int, number: int, base_us: int) -> Action:
    entry, amount = _entry(number)
    moment = moment_us(int(entry[1:]), base_us)
    return "record_ledger_entries", ([(account, entry, "deposit", "USDT", amount, None, moment)],), {}


def _deposits(run: int, count: int, base_us: int) -> State:
    entries = [_entry(number) for number in range(1, count + 1)]
    return {"ledger": {entry: ("USDT", amount) for entry, amount in entries}}


def _mark(account: str, run: int, number: int, base_us: int) -> Action:
    return "record_mark", (mark_symbol(run),), {"mark": number}


def _marks(run: int, count: int, base_us: int) -> State:
    return {"marks": {mark_symbol(run): Decimal(count)} if count else {}}


_ACTIONS: dict[str, Callable[[str, int, int, int], Action]] = {
    "balance": _balance,
    "dated": _dated,
    "batch": _batch,
    "spot": _spot,
    "perp": _perp,
    "order": _order,
    "deposit": _deposit,
    "mark": _mark,
}
_EXPECTED: dict[str, Callable[[int, int, int], State]] = {
    "balance": _balances,
    "dated": _dated_balances,
    "batch": _batches,
    "spot": _spot_fills,
    "perp": _perp_fills,
    "order": _orders,
    "deposit": _deposits,
    "mark": _marks,
}
