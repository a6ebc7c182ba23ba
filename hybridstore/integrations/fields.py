"""Fields of anything: a mapping, a named tuple or an object, asked for by the names people give them."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from numbers import Real
from typing import Any, cast

_FIGURE = re.compile(r"[+-]?(\d|\.\d)[\d.]*([eE][+-]?\d+)?\Z", re.ASCII)

ASSET = ("asset", "currency", "coin", "ccy", "token", "symbol", "asset_symbol", "a")
TOTAL = (
    "balance", "total", "new_balance", "total_balance", "balance_total", "wallet_balance", "current_balance",
    "cash_bal", "bal", "wb", "total_amount", "total_asset", "amount", "quantity", "qty", "equity",
)  # fmt: skip
FREE = (
    "free",
    "available",
    "available_balance",
    "free_balance",
    "avail",
    "avail_bal",
    "available_amount",
    "available_funds",
    "available_margin",
    "f",
)
USED = (
    "hold_trade", "hold", "used", "locked", "frozen", "held", "on_hold", "reserved", "in_orders", "in_order",
    "used_balance", "locked_balance", "frozen_bal", "frozen_balance", "hold_balance", "hold_amount", "holds",
    "freeze", "l",
)  # fmt: skip
DEBT = ("debt", "borrowed", "borrow_amount", "borrow", "liability", "liab", "total_liab")
DELTA = (
    "delta",
    "change",
    "diff",
    "difference",
    "adjustment",
    "increment",
    "balance_delta",
    "balance_change",
)
SOURCE = ("source", "origin", "provider")
REASON = ("reason", "close_reason", "exit_reason", "note", "comment")
TIME = (
    "timestamp", "ts", "time", "datetime", "updated_at", "update_time", "changed_at", "executed_at", "trade_time",
    "event_time", "u_time", "last_updated", "last_update", "at", "when", "ts_us", "ts_ms",
)  # fmt: skip
EXCHANGE_TIME = ("exchange_at", "exchange_time", "exchange_timestamp")
PAYLOAD = (
    "balances", "balance", "positions", "position", "trades", "trade", "fills", "fill", "data", "result", "payload",
    "params", "update", "account", "event", "message", "msg", "body", "content", "b",
)  # fmt: skip

SYMBOL = ("symbol", "market", "pair", "instrument", "ticker", "inst_id", "product_id")
SIDE = ("side", "direction", "position_side", "trade_side", "action", "type")
PRICE = (
    "price",
    "exec_price",
    "fill_price",
    "executed_price",
    "execution_price",
    "average",
    "avg_price",
    "fill_px",
)
AMOUNT = (
    "amount", "quantity", "qty", "size", "exec_qty", "fill_size", "fill_qty", "filled_quantity", "filled_qty",
    "base_amount", "volume", "contracts", "units", "fill_sz",
)  # fmt: skip
TRADE_ID = ("trade_id", "id", "exec_id", "fill_id", "execution_id", "tid")
ORDER_ID = ("order_id", "order", "ord_id")
LIQUIDITY = ("taker_or_maker", "liquidity", "maker_taker", "role")
FEE = ("fee", "commission", "fee_cost", "fee_amount", "exec_fee")
FEE_CURRENCY = ("fee_currency", "commission_asset", "fee_asset", "fee_coin", "commission_currency")
CONTRACT_SIZE = ("contract_size", "ct_val")
COST = ("cost", "quote_amount", "quote_qty", "quote_volume", "notional")

POSITION_ID = ("position_id", "pos_id", "id", "key", "uid")
POSITION_AMOUNT = (
    "contracts", "amount", "quantity", "qty", "size", "position_size", "position_amt", "net_quantity", "units",
    "volume", "base_amount", "pos",
)  # fmt: skip
ENTRY = (
    "entry_price", "avg_entry_price", "average_entry_price", "avg_entry", "average_entry", "avg_price", "average_price",
    "open_price", "avg_px", "entry",
)  # fmt: skip
MARK = ("mark_price", "current_price", "last_price", "market_price", "mark", "mark_px")
EXIT = (
    "exit_price",
    "close_price",
    "exit",
    "price",
    "fill_price",
    "current_price",
    "mark_price",
    "last_price",
)
LEVERAGE = ("leverage", "lever")
MARGIN_MODE = ("margin_mode", "margin_type", "mgn_mode")
LIQUIDATION = ("liquidation_price", "liq_price", "liq_px")
OPENED = ("opened_at", "open_time", "entry_time", "opened", "created_at", "timestamp")
STATUS = ("status", "state")


@functools.lru_cache(maxsize=8192)
def plain(name: str) -> str:
    """Return a name without what people write differently: ``entryPrice`` and ``entry_price`` are one.

    Args:
        name: A field's or a method's name.

    Returns:
        Its letters and digits in lower case.
    """
    return name.replace("_", "").replace("-", "").lower()


@functools.lru_cache(maxsize=512)
def _plain_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(plain(name) for name in names)


@functools.lru_cache(maxsize=512)
def _declared(kind: Hashable) -> dict[str, str]:
    """Return the fields a class declares (properties, slots, struct fields) by plain name."""
    found: dict[str, str] = {}
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        if not name.startswith("_") and (inspect.isdatadescriptor(member) or not callable(member)):
            found[plain(name)] = name
    return found


def is_number(value: object) -> bool:
    """Return whether a value is meant as a figure: a number, or decimal text.

    Args:
        value: Anything.

    Returns:
        Whether it is one; NaN and infinity are figures too, wrong ones.
    """
    if isinstance(value, str):
        return _FIGURE.match(value) is not None
    return isinstance(value, Real | Decimal) and not isinstance(value, bool)


def is_container(value: object) -> bool:
    """Return whether a value has fields or items.

    Args:
        value: Anything.

    Returns:
        False for numbers, text, times, enumerations and callables.
    """
    if value is None or isinstance(value, str | bytes | Real | Decimal | datetime | Enum | type):
        return False
    return not callable(value)


def from_json(value: object) -> object:
    """Return what a JSON text says, with exact numbers; anything else as it is.

    Args:
        value: Anything.

    Returns:
        The parsed object, or the value.
    """
    if isinstance(value, str | bytes) and value[:1] in {"{", "[", b"{", b"["}:
        try:
            parsed: object = json.loads(value, parse_float=Decimal)
        except ValueError:
            return value
        return parsed
    return value


def word(value: object) -> str | None:
    """Return the text of a name-like value: an enumeration's, or text itself.

    Args:
        value: Anything.

    Returns:
        The text; None for anything else.
    """
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name
    return value if isinstance(value, str) else None


class Fields:
    """The fields of a thing, by any of their usual names; one that is None is as good as absent.

    Args:
        source: A mapping, a named tuple or an object.
        *others: Asked in turn for what the first does not have.
    """

    def __init__(self, source: object, *others: object) -> None:
        self.source = source
        self._others = tuple(Fields(other) for other in others)
        fields = getattr(source, "_asdict", None) if isinstance(source, tuple) else None
        content = fields() if fields is not None else source
        self._values: dict[str, Any] | None = None
        self._names: dict[str, str] = {}
        if isinstance(content, Mapping):
            self._values = {plain(key): value for key, value in content.items() if isinstance(key, str)}
        elif is_container(source):
            own = {plain(name): name for name in getattr(source, "__dict__", ()) if not name.startswith("_")}
            self._names = _declared(cast("Hashable", type(source))) | own

    def get(self, names: tuple[str, ...]) -> Any:
        """Return the first field there is of some names.

        Args:
            names: In order of preference.

        Returns:
            Its value; None where there is none.
        """
        if self._values is not None:
            for name in _plain_names(names):
                value = self._values.get(name)
                if value is not None:
                    return value
        else:
            for name in _plain_names(names):
                attribute = self._names.get(name)
                value = None if attribute is None else getattr(self.source, attribute, None)
                if value is not None and not callable(value):
                    return value
        for other in self._others:
            value = other.get(names)
            if value is not None:
                return value
        return None

    def has(self, names: Iterable[str]) -> bool:
        """Return whether there is a field of any of some names.

        Args:
            names: The names.

        Returns:
            Whether one has a value.
        """
        return self.get(tuple(names)) is not None
