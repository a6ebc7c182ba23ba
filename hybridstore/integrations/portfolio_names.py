"""What portfolio managers call their methods, events and state."""

from __future__ import annotations

from collections.abc import Iterable

from hybridstore.integrations.fields import plain

NOUNS = ("fill", "trade", "order_filled", "position", "position_update", "price", "mark_price")
STATES = (
    "get_open_positions", "get_positions", "get_all_positions", "positions", "open_positions", "_positions",
    "_open_positions",
)  # fmt: skip
_TOLD_VERBS = (
    "on", "record", "add", "process", "handle", "apply", "record_own", "save", "store", "receive", "ingest", "log",
    "book", "register", "update_from",
)  # fmt: skip
_FILLS = (
    "fill", "fills", "trade", "trades", "my_trade", "my_trades", "own_trade", "own_trades", "execution", "executions",
    "trade_update", "fill_update", "fill_event", "trade_event", "fill_message", "trade_message", "order_fill",
    "order_filled", "filled", "execution_report", "trade_executed", "order_executed",
)  # fmt: skip


def _products(verbs: Iterable[str], subjects: Iterable[str]) -> frozenset[str]:
    named = list(subjects)
    return frozenset(plain(f"{verb}_{subject}") for verb in verbs for subject in named)


METHODS: dict[str, frozenset[str]] = {
    "fill": _products(_TOLD_VERBS, _FILLS),
    "open": _products(
        ("open", "create", "add", "enter", "new", "start", "register", "increase", "add_to"),
        ("position", "long", "short"),
    )
    | _products(("on",), ("position_open", "position_opened", "new_position", "open_position")),
    "close": _products(
        ("close", "exit", "remove", "liquidate", "reduce", "decrease", "stop_out"), ("position", "long", "short")
    )
    | _products(("on",), ("position_close", "position_closed", "close_position")),
    "update": _products(
        ("update", "set", "on", "process", "handle", "apply", "sync", "receive"),
        ("position", "positions", "position_update", "position_updates", "position_message", "position_change",
         "position_changed"),
    ),
    "price": _products(
        ("update", "set", "on", "process", "handle", "apply", "receive"),
        ("price", "prices", "position_price", "position_prices", "market_price", "market_prices", "mark", "marks",
         "mark_price", "mark_prices", "current_price", "last_price", "tick", "ticker", "tickers", "price_update",
         "price_updates", "ticker_update", "market_data", "quote"),
    )
    | {"markprice", "marktomarket", "updatemarketvalue", "ontickerupdate"},
}  # fmt: skip
"""Methods by what they are told, in plain names."""
