"""The whole reading of an exchange: which markets and which kinds of history, in which order."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, get_args

from hybridstore.errors import ExchangeError, ExchangeUnreachable, InvalidValue
from hybridstore.integrations.exchange import streams, unified
from hybridstore.integrations.exchange.cursor import parse_name
from hybridstore.integrations.exchange.job import Job
from hybridstore.integrations.exchange.positions import positions
from hybridstore.integrations.exchange.report import SyncReport
from hybridstore.integrations.exchange.steps import Ask, Steps, is_a
from hybridstore.schema.types import to_decimal

Stream: TypeAlias = Literal[
    "orders", "trades", "funding", "transfers", "positions", "marks", "candles", "market_trades", "balances"
]
STREAMS: tuple[Stream, ...] = get_args(Stream)
"""Every kind, in the order they are read: fills before what they explain, balances when all is there."""
PRIVATE: tuple[Stream, ...] = ("orders", "trades", "funding", "transfers", "positions", "balances")
"""What is read unless a call says otherwise: what belongs to the account."""
_METHODS = {
    "trades": "fetchMyTrades",
    "funding": "fetchFundingHistory",
    "positions": "fetchPositions",
    "marks": "fetchTickers",
    "candles": "fetchOHLCV",
    "market_trades": "fetchTrades",
    "balances": "fetchBalance",
}
_CONTRACTS = {"swap", "future", "delivery", "linear", "inverse"}


def check_exchange(exchange: Any) -> None:
    """Refuse what is no exchange of ccxt, or one that hands on figures as floats.

    Args:
        exchange: The object.

    Raises:
        InvalidValue: It cannot be used; the message says why.
    """
    if not isinstance(getattr(exchange, "has", None), dict) or not hasattr(exchange, "load_markets"):
        raise InvalidValue(
            f"{type(exchange).__name__} is no exchange of ccxt",
            hint="give one, as ccxt.binance({'apiKey': ..., ...})",
        )
    if exchange.number is not str:
        raise InvalidValue(
            f"{exchange.id}.number is {getattr(exchange.number, '__name__', exchange.number)}: digits would be lost",
            hint=unified.NUMBER_HINT,
        )


def check_streams(what: Iterable[str] | None, *, timeframes: Iterable[str] = ()) -> tuple[Stream, ...]:
    """Check which kinds of history are wanted.

    Args:
        what: Their names; None means what belongs to the account.
        timeframes: Candles that are wanted.

    Returns:
        The kinds in the order they are read.

    Raises:
        InvalidValue: There is no such kind.
    """
    wanted: set[str] = set(PRIVATE if what is None else [what] if isinstance(what, str) else what)
    wrong = wanted - set(STREAMS)
    if wrong:
        raise InvalidValue(f"what={min(wrong)!r}", hint=f"of {', '.join(STREAMS)}")
    if list(timeframes):
        wanted.add("candles")
    elif "candles" in wanted:
        raise InvalidValue("candles of which length?", hint="give timeframes=, for example ['1h']")
    return tuple(stream for stream in STREAMS if stream in wanted)


def read_exchange(
    job: Job,
    wanted: tuple[Stream, ...],
    markets: tuple[str, ...] | None,
    lengths_ms: dict[str, int],
    local_ms: int,
    base_currency: str,
) -> Steps[SyncReport]:
    """Read everything that is wanted.

    Args:
        job: The reading.
        wanted: Kinds of history.
        markets: Markets; None finds those the account is known to trade.
        lengths_ms: Timeframes of candles, each with its length, ms.
        local_ms: The present by this machine's clock, ms; used where the exchange does not tell its own.
        base_currency: What the account is valued in; markets of held assets against it are asked about.

    Returns:
        What was found.
    """
    job.markets = yield Ask("load_markets")
    job.now_ms = yield from _now(job, local_ms)
    asks_all = False
    if markets is None:
        asks_all = "trades" in wanted and job.can("fetchMyTrades") and (yield from _answers_for_all(job))
        job.symbols = yield from _find_markets(job, wanted, base_currency)
    else:
        job.symbols = _known(job, markets)
    plans = _plans(job, asks_all=asks_all, lengths_ms=lengths_ms)
    for stream in wanted:
        method = _METHODS.get(stream)
        if method is not None and not job.can(method):
            job.note_unsupported(stream)
            continue
        for steps in plans[stream]:
            yield from _survive(job, stream, steps)
    if "trades" in wanted and "orders" in wanted:
        yield from _survive(job, "trades", streams.unfilled_orders(job))
    return job.report()


def _survive(job: Job, stream: Stream, steps: Steps[None]) -> Steps[None]:
    """Read a kind; that the exchange refuses to tell it, or does not answer once, keeps no other from being read."""
    try:
        yield from steps
    except ExchangeError as error:
        is_second = bool(job.failures) and isinstance(job.failures[-1], ExchangeUnreachable)
        if is_second and isinstance(error, ExchangeUnreachable):
            raise
        job.fail(error)
    except Exception as error:
        if not is_a(error, "NotSupported"):
            raise
        job.note_unsupported(stream)


def _plans(job: Job, *, asks_all: bool, lengths_ms: dict[str, int]) -> dict[Stream, list[Steps[None]]]:
    """Return the plans of each kind; none of them has begun."""
    symbols = job.symbols
    contracts = [symbol for symbol in symbols if job.market(symbol).get("contract")]
    has_positions = bool(contracts) or job.default_type in _CONTRACTS
    return {
        "orders": [streams.orders(job, symbol) for symbol in symbols],
        "trades": [streams.trades(job, symbol) for symbol in ((None,) if asks_all else symbols)],
        "funding": [streams.funding(job, one) for one in contracts if job.market(one).get("swap")],
        "transfers": [streams.transfers(job)],
        "positions": [positions(job)] if has_positions else [],
        "marks": [streams.marks(job)] if symbols else [],
        "candles": [
            streams.candles(job, symbol, name, length)
            for symbol in symbols
            for name, length in lengths_ms.items()
        ],
        "market_trades": [streams.market_trades(job, symbol) for symbol in symbols],
        "balances": [streams.balances(job)],
    }


def _now(job: Job, local_ms: int) -> Steps[int]:
    if not job.can("fetchTime"):
        return local_ms
    try:
        return int((yield Ask("fetch_time")))
    except (ExchangeError, TypeError):  # a local clock that is ahead is what the overlap is for
        return local_ms


def _answers_for_all(job: Job) -> Steps[bool]:
    """Find out whether fills of all markets can be asked for at once."""
    try:
        yield Ask("fetch_my_trades", (None, job.now_ms, 1))
    except Exception as error:
        if is_a(error, "ArgumentsRequired", "NotSupported", "BadSymbol") or isinstance(error, ExchangeError):
            return False
        raise
    return True


def _known(job: Job, markets: tuple[str, ...]) -> tuple[str, ...]:
    for symbol in markets:
        if symbol not in job.markets:
            by_id = [name for name, market in job.markets.items() if market.get("id") == symbol]
            near = by_id or difflib.get_close_matches(symbol, job.markets, 1)
            raise InvalidValue(
                f"{job.exchange_id} lists no market {symbol!r}",
                hint=f"is {near[0]!r} meant?" if near else "give symbols in ccxt's unified form, as BTC/USDT",
            )
    return tuple(dict.fromkeys(markets))


def _find_markets(job: Job, wanted: tuple[Stream, ...], base_currency: str) -> Steps[tuple[str, ...]]:
    """Find the markets the account is known to trade: what was read before, what is open, and what is held."""
    found: dict[str, None] = {}
    for name in job.cursor_names:
        parsed = parse_name(name)
        if parsed is not None and parsed[:2] == (job.account, job.exchange_id):
            found[parsed[3].partition(" ")[0]] = None
    found |= dict.fromkeys(position.symbol for position in job.desk.get_open_positions(job.account))
    found |= dict.fromkeys(order.symbol for order in job.desk.get_open_orders(None, job.account))
    if "orders" in wanted and job.can("fetchOpenOrders"):
        try:
            rows = yield Ask("fetch_open_orders")
        except Exception as error:
            if not is_a(error, "ArgumentsRequired") and not isinstance(error, ExchangeError):
                raise
        else:
            found |= dict.fromkeys(row["symbol"] for row in rows)
    if job.can("fetchBalance"):
        held = unified.balances((yield Ask("fetch_balance")))
        assets = [asset for asset, parts in held.items() if to_decimal(parts["balance"] or "0", asset)]
        quotes = {base_currency, *assets}
        found |= {
            symbol: None for symbol, market in job.markets.items()
            if market.get("spot") and market.get("base") in assets and market.get("quote") in quotes
        }  # fmt: skip
    return tuple(symbol for symbol in found if symbol in job.markets)
