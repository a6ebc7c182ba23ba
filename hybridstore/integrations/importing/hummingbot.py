"""hummingbot's database as rows of the store, with what it cut off.

hummingbot writes prices and amounts as whole millionths: what an exchange tells with more places is cut off there, for
good. Rows that may have lost something are counted, and their fills are best read again from the exchange itself.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from hybridstore.errors import InvalidValue
from hybridstore.hot.foreign_rows import ForeignRow
from hybridstore.integrations.exchange.steps import Write
from hybridstore.integrations.importing.recording import Item
from hybridstore.integrations.importing.report import Loss
from hybridstore.portfolio.money import ZERO, add, multiply, round_money

_PLACES = 6
_S_MAX = 10**11
_SHORT = 1000
"""Millionths: a figure below keeps three digits or fewer."""
_SIDES = {"BUY": "buy", "SELL": "sell"}
_STATUSES = {
    "completed": "closed",
    "filled": "closed",
    "cancel": "canceled",
    "fail": "rejected",
    "expired": "expired",
}
"""Words in hummingbot's ``last_status``, as ours."""


def number_of(value: object, column: str) -> Decimal:
    """Take a figure of the database.

    Args:
        value: Whole millionths; of old versions and of funding a float.
        column: Its name, for messages.

    Returns:
        The figure.

    Raises:
        InvalidValue: It is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidValue(f"{column}={value!r}: no number")
    return Decimal(value).scaleb(-_PLACES) if isinstance(value, int) else Decimal(repr(value))


def symbol_of(row: ForeignRow) -> str:
    """Return the market of a row in unified form.

    Args:
        row: Of fills or orders; a connector named perpetual trades contracts that are settled in quote.

    Returns:
        For example BTC/USDT, or BTC/USDT:USDT.
    """
    base, _, quote = str(row["symbol"]).partition("-")
    base, quote = row.get("base_asset") or base, row.get("quote_asset") or quote
    return f"{base}/{quote}:{quote}" if "perpetual" in str(row["market"]) else f"{base}/{quote}"


def items_of(rows: Mapping[str, Sequence[ForeignRow]], tags: Mapping[str, Any]) -> list[Item]:
    """Return what is to be recorded, as it happened.

    Args:
        rows: Rows by table.
        tags: account and bot.

    Returns:
        Orders, fills and funding.

    Raises:
        InvalidValue: A row is not what hummingbot writes; it is named.
    """
    found: list[tuple[int, int, Item]] = []
    filled: Counter[str] = Counter()
    for table, place, make in (("tradefill", 1, _fill), ("fundingpayment", 0, _funding)):
        found += [(_at_us(row["timestamp"]), place, _named(table, row, make, tags)) for row in rows[table]]
    for row in rows["tradefill"]:
        filled[str(row["order_id"])] += int(number_of(row["amount"], "amount").scaleb(_PLACES))
    for row in rows["order"]:
        done = Decimal(filled[str(row["id"])]).scaleb(-_PLACES)
        item = _named("order", row, lambda one, own, done=done: _order(one, own, done), tags)
        found.append((_at_us(row["creation_timestamp"]), 0, item))
    return [item for _, _, item in sorted(found, key=lambda one: one[:2])]


def _named(table: str, row: ForeignRow, make: Any, tags: Mapping[str, Any]) -> Item:
    try:
        return make(row, {**tags, "strategy": row.get("strategy")})  # type: ignore[no-any-return]
    except (InvalidValue, KeyError, TypeError, ValueError) as error:
        name = row.get("exchange_trade_id") or row.get("id")
        raise InvalidValue(f"{table} {name}: {error}", hint="is this a database of hummingbot?") from error


def _at_us(timestamp: object) -> int:
    """Milliseconds; of old versions, seconds."""
    value = int(str(timestamp))
    return value * 1000 if value > _S_MAX else value * 1_000_000


def _fill(row: ForeignRow, tags: Mapping[str, Any]) -> Item:
    price, amount = number_of(row["price"], "price"), number_of(row["amount"], "amount")
    details = {
        **tags,
        "trade_id": str(row["exchange_trade_id"]),
        "order_id": str(row["order_id"]),
        "fees": _fees(row, price, amount),
        "executed_at": _at_us(row["timestamp"]),
        "info": {"hummingbot_market": row["market"], "config": row.get("config_file_path")},
    }
    side = _SIDES[str(row["trade_type"]).upper()]
    return Item(
        "fills",
        str(row["exchange_trade_id"]),
        Write("record_fill", (symbol_of(row), side, price, amount), details),
    )


def _fees(row: ForeignRow, price: Decimal, amount: Decimal) -> list[tuple[str, Decimal]]:
    fee = _fee_of(row)
    sums: dict[str, Decimal] = {}
    percent = Decimal(str(fee.get("percent") or 0))
    if percent:
        base, quote = str(row["base_asset"]), str(row["quote_asset"])
        share = multiply(amount, percent)
        in_base = _is_paid_in_base(row, fee)
        sums[base if in_base else quote] = round_money(share if in_base else multiply(price, share))
    for flat in fee.get("flat_fees") or ():
        sums[flat["token"]] = add(sums.get(flat["token"], ZERO), Decimal(str(flat["amount"])))
    return [(asset, cost) for asset, cost in sums.items() if cost]


def _fee_of(row: ForeignRow) -> Mapping[str, Any]:
    told = json.loads(str(row["trade_fee"]), parse_float=Decimal)
    if not isinstance(told, dict):
        raise InvalidValue(f"trade_fee={row['trade_fee']!r}: no JSON object")
    return told


def _is_paid_in_base(row: ForeignRow, fee: Mapping[str, Any]) -> bool:
    """A fee is taken from what a trade returns, which of a spot purchase is the base asset, or added to its cost.

    One that is a ratio of a third asset counts in quote: at which price that asset was taken is not kept.
    """
    if fee.get("percent_token"):
        return bool(fee["percent_token"] == row["base_asset"])
    is_bought = str(row["trade_type"]).upper() == "BUY" and "perpetual" not in str(row["market"])
    return is_bought and fee.get("fee_type") == "DeductedFromReturns"


def _order(row: ForeignRow, tags: Mapping[str, Any], filled: Decimal) -> Item:
    said = str(row.get("last_status") or "").lower()
    status = next((ours for word, ours in _STATUSES.items() if word in said), "open")
    amount = number_of(row["amount"], "amount")
    columns = {
        **tags,
        "symbol": symbol_of(row),
        "order_id": str(row["id"]),
        "side": _side_of_order(row),
        "type": str(row["order_type"]).lower(),
        "status": status,
        "price": number_of(row["price"], "price") or None,
        "amount": amount,
        "filled": filled,
        "created_at": _at_us(row["creation_timestamp"]),
        "updated_at": _at_us(row["last_update_timestamp"]),
    }
    return Item("orders", str(row["id"]), Write("record_order", (), columns))


def _side_of_order(row: ForeignRow) -> str:
    """Orders do not keep their side, but the ids that hummingbot gives them, and their status, begin with it."""
    said = f"{row['id']} {row.get('last_status')}".lower()
    buys, sells = said.find("buy"), said.find("sell")
    if buys < 0 and sells < 0:
        raise InvalidValue("neither its id nor its status says whether it bought or sold")
    return "buy" if sells < 0 or 0 <= buys < sells else "sell"


def _funding(row: ForeignRow, tags: Mapping[str, Any]) -> Item:
    base, _, quote = str(row["symbol"]).partition("-")
    details = {
        **tags,
        "funding_id": f"hummingbot-{row['market']}-{row['symbol']}-{row['timestamp']}",
        "occurred_at": _at_us(row["timestamp"]),
    }
    amount = Decimal(repr(row["amount"]))
    write = Write("record_funding", (f"{base}/{quote}:{quote}", amount), details)
    return Item("funding", f"{row['symbol']} {row['timestamp']}", write)


def losses_of(rows: Mapping[str, Sequence[ForeignRow]]) -> Iterator[Loss]:
    """List what hummingbot's database does not hold.

    Args:
        rows: Rows by table.

    Yields:
        Each kind of loss with how many rows it is about.
    """
    count: Counter[str] = Counter()
    for row in rows["tradefill"]:
        figures = [row["price"], row["amount"]]
        whole = [value for value in figures if isinstance(value, int)]
        # What ends in the last place that is kept may have gone on; what ends before it has not been cut.
        count["cut"] += any(value % 10 for value in whole)
        count["short"] += any(0 < abs(value) < _SHORT for value in whole)
        count["nothing"] += any(value == 0 for value in whole)
        count["float"] += len(whole) < len(figures)
        fee = _fee_of(row)
        count["percent"] += Decimal(str(fee.get("percent") or 0)) != 0
        own = {None, "", row["base_asset"], row["quote_asset"]}
        count["third"] += fee.get("percent_token") not in own and Decimal(str(fee.get("percent") or 0)) != 0
    for name, what, said in _LOSSES:
        if count[name]:
            yield Loss(what, count[name], said)
    if rows["position"]:
        yield Loss("positions", len(rows["position"]), "they are not imported: positions follow from fills")


_LOSSES = (
    ("cut", "numbers", "price or amount goes to hummingbot's sixth place: what the exchange told beyond it is cut off"),
    ("short", "numbers", ("price or amount has three digits or fewer left of six places: its relative error may be a "
     "thousandth and more; read these fills from the exchange: hybridstore sync")),
    ("nothing", "numbers", "price or amount was cut to zero; these fills are refused"),
    ("float", "numbers", "price or amount is a float of an old version"),
    ("percent", "fees", "the fee is kept as a ratio; it is computed from price and amount as they were cut"),
    ("third", "fees", "the fee is a ratio that a third asset paid; how much of it is not kept, so it counts in quote"),
)  # fmt: skip
