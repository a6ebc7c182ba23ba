"""The kinds of history an exchange has of an account, each a plan of steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from hybridstore.clock import DAY_US
from hybridstore.integrations.exchange import quotes, unified
from hybridstore.integrations.exchange.job import Job
from hybridstore.integrations.exchange.paging import Form
from hybridstore.integrations.exchange.steps import HANDLED, Ask, Steps, Write, is_a
from hybridstore.schema.types import EXACT, to_decimal

_DAY_MS = DAY_US // 1000
WINDOW_MS = 7 * _DAY_MS
"""The shortest window that an exchange answers own trades, orders and funding for (Binance futures, Bybit)."""
_WALLET_WINDOW_MS = 30 * _DAY_MS
"""The same of deposits and withdrawals (Bybit)."""
_TRADES_WINDOW_MS = 3_600_000
"""The same of public trades: Binance gives one hour."""
_CANDLES_A_PAGE = 100
"""The fewest candles a page holds; a stretch without trades has none, and is stepped over."""
_DONE = {"ok"}
_FAILED = {"failed", "canceled"}


def _id(row: Any) -> str:
    return str(row.get("id"))


def _ms(row: Any) -> int | None:
    at = row.get("timestamp")
    return None if at is None else int(at)


def _by_symbol(method: str, symbol: str | None, window_ms: int = WINDOW_MS) -> Form:
    return Form(lambda since, params: Ask(method, (symbol, since, None, params)), _id, _ms, window_ms)


def trades(job: Job, symbol: str | None) -> Steps[None]:
    """Read the account's own fills of a market.

    Args:
        job: The reading.
        symbol: The market; None asks for those of all markets at once.
    """

    def writes(row: Any) -> list[Write]:
        amounts = job.filled_by_order.setdefault((row["symbol"], str(row.get("order"))), [])
        amounts.append(unified.figure(row.get("amount"), "amount") or "0")
        return [unified.fill(row, job.market(row["symbol"]), job.tags)]

    yield from job.read("trades", symbol or "", _by_symbol("fetch_my_trades", symbol), writes)


def orders(job: Job, symbol: str | None) -> Steps[None]:
    """Read orders: all that were made since the cursor, those that are open, and the end of those that were.

    Args:
        job: The reading.
        symbol: The market; None asks for those of all markets at once.
    """

    def writes(row: Any) -> list[Write]:
        job.note_order(row)
        return [unified.order(row, job.tags)]

    found = False
    for name, method in (
        ("fetchOrders", "fetch_orders"),
        ("fetchClosedOrders", "fetch_closed_orders"),
        ("fetchCanceledOrders", "fetch_canceled_orders"),
    ):
        if job.can(name):
            part = symbol or ""
            stream = "orders" if name == "fetchOrders" else f"orders {method.removeprefix('fetch_')}"
            yield from job.read(stream, part, _by_symbol(method, symbol), writes)
            found = True
            if name == "fetchOrders":
                break
    if job.can("fetchOpenOrders"):
        rows = yield Ask("fetch_open_orders", (symbol,))
        yield from job.put("orders", symbol or "", rows, writes)
        found = True
    if not found:
        job.note_unsupported("orders")
    elif job.can("fetchOrder"):
        yield from _ended_orders(job, symbol, writes)


def _ended_orders(job: Job, symbol: str | None, writes: Callable[[Any], list[Write]]) -> Steps[None]:
    """Ask what became of orders that the store takes for open and that the exchange did not name."""
    for known in job.desk.get_open_orders(symbol, job.account):
        if (known.symbol, known.order_id) in job.orders_seen or known.symbol not in job.markets:
            continue
        try:
            row = yield Ask("fetch_order", (known.order_id, known.symbol))
        except Exception as error:
            if not is_a(error, *HANDLED):
                raise
            job.problem(
                "differences", "orders", known.symbol,
                f"order {known.order_id!r} is open in the store, and {job.exchange_id} does not know it",
            )  # fmt: skip
        else:
            yield from job.put("orders", known.symbol, [row], writes)


def unfilled_orders(job: Job) -> Steps[None]:
    """Compare what orders say is filled with their fills; where fills are missing, ask for those of the order."""
    for (symbol, order_id), filled in list(job.filled_orders().items()):
        if _sum(job.filled_by_order.get((symbol, order_id), [])) >= filled:
            continue
        if job.can("fetchOrderTrades"):
            rows = yield Ask("fetch_order_trades", (order_id, symbol))
            yield from job.put(
                "trades", symbol, rows, lambda row: [unified.fill(row, job.market(row["symbol"]), job.tags)]
            )
            job.filled_by_order[symbol, order_id] = [
                unified.figure(row.get("amount"), "amount") or "0" for row in rows
            ]
        told = _sum(job.filled_by_order.get((symbol, order_id), []))
        if told < filled:
            job.problem(
                "gaps", "trades", symbol,
                f"of order {order_id!r} {filled} are filled, and {job.exchange_id} tells fills of {told}",
            )  # fmt: skip


def _sum(amounts: list[str]) -> Any:
    total = to_decimal("0", "amount")
    for amount in amounts:
        total = EXACT.add(total, to_decimal(amount, "amount"))
    return total


def funding(job: Job, symbol: str | None) -> Steps[None]:
    """Read funding payments.

    Args:
        job: The reading.
        symbol: The contract; None asks for those of all at once.
    """
    form = Form(
        lambda since, params: Ask("fetch_funding_history", (symbol, since, None, params)),
        lambda row: f"{row.get('symbol')} {row.get('id')} {row.get('timestamp')}",
        _ms,
        WINDOW_MS,
    )
    yield from job.read("funding", symbol or "", form, lambda row: [unified.funding(row, job.tags)])


def transfers(job: Job) -> Steps[None]:
    """Read deposits and withdrawals that have arrived, and what else moved the account's assets."""
    asked = False
    for kind, name in (("deposit", "fetchDeposits"), ("withdrawal", "fetchWithdrawals")):
        if job.can(name):
            yield from _transactions(job, kind, f"fetch_{kind}s")
            asked = True
    if job.can("fetchLedger"):
        yield from _ledger(job, tells_transactions=asked)
    elif not asked:
        job.note_unsupported("transfers")


def _transactions(job: Job, kind: str, method: str) -> Steps[None]:
    waiting: list[int] = []

    def writes(row: Any) -> list[Write]:
        status = row.get("status")
        if status in _FAILED:
            return []
        if status not in _DONE:  # it is read again until it has arrived, or failed
            waiting.append(_ms(row) or job.now_ms)
            return []
        return [Write("record_ledger_entries", (unified.transaction(row, kind, job.account),))]

    form = Form(lambda since, params: Ask(method, (None, since, None, params)), _id, _ms, _WALLET_WINDOW_MS)
    yield from job.read(f"{kind}s", "", form, writes, held_back=waiting)


def _ledger(job: Job, *, tells_transactions: bool) -> Steps[None]:
    types = dict(unified.LEDGER_TYPES)

    def writes(row: Any) -> list[Write]:
        told = str(row.get("type"))
        kind = types.get(told)
        if told == "transaction" and not tells_transactions:
            kind = "withdrawal" if row.get("direction") == "out" else "deposit"
        if kind is None:
            job.leave_out(told)
            return []
        return [Write("record_ledger_entries", ([unified.ledger_entry(row, kind, job.account)],))]

    form = Form(
        lambda since, params: Ask("fetch_ledger", (None, since, None, params)),
        lambda row: f"{row.get('id')} {row.get('timestamp')} {row.get('currency')} {row.get('amount')}",
        _ms,
        WINDOW_MS,
    )
    yield from job.read("ledger", "", form, writes)


def balances(job: Job) -> Steps[None]:
    """Read what the account holds of each asset; what is nothing and was nothing is not told again."""
    found = yield Ask("fetch_balance")
    yield from job.put("balances", "", list(unified.balances(found).items()), partial(balance_writes, job))


def balance_writes(job: Job, item: tuple[str, dict[str, Any]]) -> list[Write]:
    """Give what to record of an asset's balance.

    Args:
        job: The reading.
        item: The asset, and what was told of it.

    Returns:
        One call; none where nothing is held and nothing was.
    """
    asset, parts = item
    known = job.desk.get_latest_balance(asset, job.account)
    figures = [value for name, value in parts.items() if name != "changed_at" and value is not None]
    if known is not None and not known.balance and not any(to_decimal(one, asset) for one in figures):
        return []
    details = {**parts, "account": job.account}
    balance, held = details.pop("balance"), details.pop("hold_trade")
    return [Write("record_balance_update", (asset, balance, held, job.exchange_id), details)]


def candles(job: Job, symbol: str, timeframe: str, length_ms: int) -> Steps[None]:
    """Read candles of a market, and tell which are missing between the first and the last.

    Args:
        job: The reading.
        symbol: The market.
        timeframe: Their length, in ccxt's notation.
        length_ms: The same, ms.
    """
    form = Form(
        lambda since, params: Ask("fetch_ohlcv", (symbol, timeframe, since, None, params)),
        lambda row: str(row[0]),
        lambda row: int(row[0]),
        _CANDLES_A_PAGE * length_ms,
    )
    # The last one was still forming: it is read again, until one after it is there.
    read = yield from job.read(
        "candles", f"{symbol} {timeframe}", form,
        lambda row: [Write("record_candles", ([quotes.candle(symbol, timeframe, row)],))],
        overlap_ms=2 * length_ms,
    )  # fmt: skip
    opened = sorted(int(one) for one in read.ids)
    for before, after in itertools.pairwise(opened):
        missing = (after - before) // length_ms - 1
        if missing > 0:
            job.problem(
                "gaps", "candles", f"{symbol} {timeframe}",
                f"{missing} candles between {before} and {after} ms: {job.exchange_id} lost them, or no trade",
            )  # fmt: skip


def market_trades(job: Job, symbol: str) -> Steps[None]:
    """Read public trades of a market; without a cursor the newest page only.

    Args:
        job: The reading.
        symbol: The market.
    """
    read = yield from job.read(
        "market_trades", symbol, _by_symbol("fetch_trades", symbol, _TRADES_WINDOW_MS),
        lambda row: [Write("record_market_trades", ([quotes.market_trade(row)],))], newest=True,
    )  # fmt: skip
    numbers = sorted(int(one) for one in read.ids if one.isdigit())
    if len(numbers) > 1 and numbers[-1] - numbers[0] + 1 != len(numbers):
        missing = numbers[-1] - numbers[0] + 1 - len(numbers)
        job.problem(
            "gaps", "market_trades", symbol, f"{missing} numbers between {numbers[0]} and {numbers[-1]}"
        )


def marks(job: Job) -> Steps[None]:
    """Read the present prices of the markets."""
    found = yield Ask("fetch_tickers", (list(job.symbols),))
    told = [mark for mark in map(quotes.mark, found.values()) if mark is not None]
    yield from job.put("marks", "", told, mark_writes)


def mark_writes(told: dict[str, Any]) -> list[Write]:
    """Give what to record of a ticker.

    Args:
        told: Arguments of ``record_mark``.

    Returns:
        The call.
    """
    return [Write("record_mark", (told["symbol"],), {k: v for k, v in told.items() if k != "symbol"})]
