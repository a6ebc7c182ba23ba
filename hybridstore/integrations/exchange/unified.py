"""ccxt's unified structures as calls of the store: every figure as its text, every time as the exchange told it.

The structures are those of https://docs.ccxt.com (trade, order, balance, position, funding, transaction, ledger entry,
candle). Their figures must be text (``exchange.number = str``): a float is refused, for what it stood for is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybridstore.errors import InvalidValue
from hybridstore.integrations.exchange.steps import Write
from hybridstore.schema.types import EXACT, MONEY_PLACES, to_decimal

Structure = Mapping[str, Any]
NUMBER_HINT = (
    "set exchange.number = str before the first call: ccxt then hands figures on as they were written"
)
_MS_US = 1000
_SIDES = ("LONG", "SHORT")
_REALIZED = ("realizedPnl", "closedPnl", "realisedPnl", "fillPnl")
"""How exchanges call what a fill realised, in their own records."""
_FINAL = {"closed", "canceled", "expired", "rejected"}
_STATUSES = {"canceling": "open", "cancelled": "canceled", "filled": "closed"}
LEDGER_TYPES = {
    "transfer": "transfer",
    "rebate": "rebate",
    "cashback": "rebate",
    "referral": "rebate",
    "interest": "interest",
    "airdrop": "adjust",
}
"""Types of ccxt's ledger entries that nothing else tells, as ours. Trades and fees come from fills."""


def figure(value: object, name: str) -> str | None:
    """Take a figure.

    Args:
        value: Text or int; None or empty where the exchange told none.
        name: What it is, for the message.

    Returns:
        The text; None where there is none.

    Raises:
        InvalidValue: A float.
    """
    if value is None or value == "":
        return None
    if isinstance(value, float):
        raise InvalidValue(f"{name}={value!r}: a float has lost what the exchange wrote", hint=NUMBER_HINT)
    return str(value)


def moment_us(value: object) -> int | None:
    """Take a time of ccxt.

    Args:
        value: ms since 1970; None where there is none.

    Returns:
        us since 1970.
    """
    return None if value is None else int(value) * _MS_US  # type: ignore[call-overload]


def fill(trade: Structure, market: Structure, tags: Mapping[str, Any]) -> Write:
    """Turn a trade of the account into a fill.

    Args:
        trade: ccxt's trade structure.
        market: ccxt's market structure of its symbol.
        tags: account, strategy and bot.

    Returns:
        The call.

    Raises:
        InvalidValue: It has no id or no time, or a figure is a float.
    """
    info = trade.get("info")
    details: dict[str, Any] = {
        **tags,
        "trade_id": needed(trade, "id", "a trade"),
        "order_id": _text(trade.get("order")),
        "executed_at": moment_us(needed(trade, "timestamp", "a trade")),
        "liquidity": trade.get("takerOrMaker"),
        "position_side": _position_side(info),
        "realized_pnl_exchange": _realized(info),
        "liquidation": bool(isinstance(info, Mapping) and info.get("liquidation")),
        "info": info,
    }
    fees = _fees(trade)
    if fees:
        details["fees"] = fees
    size = figure(market.get("contractSize"), "contractSize") if market.get("contract") else None
    if size is not None:
        details["contract_size"] = size
    price, amount = figure(trade.get("price"), "price"), figure(trade.get("amount"), "amount")
    if price is None or amount is None:
        raise InvalidValue(f"trade {trade.get('id')!r} has no {'price' if price is None else 'amount'}")
    details |= _quote_amount(trade, price, amount, size)
    return Write("record_fill", (trade["symbol"], trade.get("side"), price, amount), details)


def _quote_amount(trade: Structure, price: str, amount: str, size: str | None) -> dict[str, str]:
    """Give the exchange's cost only where price * amount has more places than the store holds."""
    product = EXACT.multiply(to_decimal(price, "price"), to_decimal(amount, "amount"))
    if size is not None:
        product = EXACT.multiply(product, to_decimal(size, "contractSize"))
    exponent = product.normalize(EXACT).as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MONEY_PLACES:
        cost = figure(trade.get("cost"), "cost")
        return {} if cost is None else {"quote_amount": cost}
    return {}


def _fees(structure: Structure) -> list[tuple[str, str]]:
    told = structure.get("fees") or [structure.get("fee")]
    found = []
    for fee in told:
        cost, currency = figure((fee or {}).get("cost"), "fee"), (fee or {}).get("currency")
        if cost is not None and (currency or to_decimal(cost, "fee")):
            if not currency:
                raise InvalidValue(f"fee={cost}: in which currency is not told")
            found.append((currency, cost))
    return found


def _position_side(info: object) -> str | None:
    if isinstance(info, Mapping):
        for name in ("positionSide", "posSide"):
            side = str(info.get(name, "")).upper()
            if side in _SIDES:
                return side
    return None


def _realized(info: object) -> str | None:
    if isinstance(info, Mapping):
        for name in _REALIZED:
            value = info.get(name)
            if isinstance(value, str) and value:
                return value
    return None


def order(found: Structure, tags: Mapping[str, Any]) -> Write:
    """Turn an order into a report of it.

    Args:
        found: ccxt's order structure.
        tags: account, strategy and bot.

    Returns:
        The call.

    Raises:
        InvalidValue: It has no id or no status, or a figure is a float.
    """
    figures = {
        name: figure(found.get(key), key)
        for name, key in (
            ("price", "price"),
            ("amount", "amount"),
            ("filled", "filled"),
            ("average", "average"),
        )
    }
    filled = figures["filled"] or "0"
    updated = found.get("lastUpdateTimestamp") or found.get("lastTradeTimestamp") or found.get("timestamp")
    columns = {
        **tags,
        **figures,
        "amount": figures["amount"] or filled,  # of a market order by cost only what was filled is known
        "filled": filled,
        "symbol": found["symbol"],
        "order_id": needed(found, "id", "an order"),
        "client_order_id": _text(found.get("clientOrderId")),
        "side": found.get("side"),
        "type": found.get("type") or "unknown",
        "time_in_force": _text(found.get("timeInForce")),
        "status": _status(found, filled),
        "trigger_price": _trigger(found),
        "cost": figure(found.get("cost"), "cost"),
        "reduce_only": found.get("reduceOnly"),
        "post_only": found.get("postOnly"),
        "created_at": moment_us(found.get("timestamp")),
        "updated_at": moment_us(updated),
        "last_trade_at": moment_us(found.get("lastTradeTimestamp")),
    }
    return Write("record_order", (), columns)


def _trigger(found: Structure) -> str | None:
    price = figure(found.get("triggerPrice") or found.get("stopPrice"), "triggerPrice")
    return price if price is not None and to_decimal(price, "triggerPrice") else None  # 0 stands for none


def _status(found: Structure, filled: str) -> str:
    status = str(found.get("status") or "").lower()
    status = _STATUSES.get(status, status)
    if status == "open" or status in _FINAL:
        return status
    amount = figure(found.get("amount"), "amount")
    if not status and amount is not None:
        return "closed" if to_decimal(filled, "filled") >= to_decimal(amount, "amount") else "open"
    raise InvalidValue(f"order {found.get('id')!r} has status {found.get('status')!r}")


def balances(found: Structure) -> dict[str, dict[str, Any]]:
    """Take a balance structure apart.

    Args:
        found: ccxt's balance structure.

    Returns:
        For each asset balance, hold_trade, available, debt and changed_at, those that were told.

    Raises:
        InvalidValue: A figure is a float.
    """
    told_us = moment_us(found.get("timestamp"))
    by_asset = {}
    for asset in found.get("total") or {}:
        entry = found.get(asset)
        if not isinstance(entry, Mapping):
            continue
        parts = {
            name: figure(entry.get(key), f"{asset} {key}")
            for name, key in (
                ("balance", "total"), ("hold_trade", "used"), ("available", "free"), ("debt", "debt"),
            )
        }  # fmt: skip
        by_asset[asset] = {**parts, "changed_at": told_us}
    return by_asset


def funding(paid: Structure, tags: Mapping[str, Any]) -> Write:
    """Turn a funding payment into its record.

    Args:
        paid: ccxt's funding history structure; received is positive.
        tags: account, strategy and bot.

    Returns:
        The call.

    Raises:
        InvalidValue: It has no time or amount.
    """
    details = {
        **tags,
        "asset": paid.get("code"),
        "funding_id": _text(paid.get("id")),
        "position_side": _position_side(paid.get("info")),
        "occurred_at": moment_us(needed(paid, "timestamp", "a funding payment")),
    }
    amount = figure(needed(paid, "amount", "a funding payment"), "amount")
    return Write("record_funding", (paid["symbol"], amount), details)


def transaction(found: Structure, kind: str, account: str) -> list[dict[str, Any]]:
    """Turn a deposit or withdrawal into entries of the ledger: the amount, and its fee.

    Args:
        found: ccxt's transaction structure.
        kind: deposit or withdrawal.
        account: Whose.

    Returns:
        Rows of ``ledger``.

    Raises:
        InvalidValue: It has no id, time or amount.
    """
    entry_id = f"{kind}:{needed(found, 'id', f'a {kind}')}"
    amount = figure(needed(found, "amount", f"a {kind}"), "amount") or "0"
    row = {
        "account": account,
        "entry_id": entry_id,
        "type": kind,
        "asset": found.get("currency"),
        "amount": f"-{amount.lstrip('-')}" if kind == "withdrawal" else amount,
        "reference": _text(found.get("txid")),
        "occurred_at": moment_us(needed(found, "timestamp", f"a {kind}")),
    }
    rows = [row]
    for place, (currency, cost) in enumerate(_fees(found)):
        if to_decimal(cost, "fee"):
            number = f":{place}" if place else ""
            fee = {
                "entry_id": f"{entry_id}:fee{number}",
                "type": "fee",
                "asset": currency,
                "amount": _negated(cost),
            }
            rows.append({**row, **fee, "reference": entry_id})
    return rows


def ledger_entry(found: Structure, kind: str, account: str) -> dict[str, Any]:
    """Turn an entry of the exchange's ledger into one of ours.

    Args:
        found: ccxt's ledger entry structure.
        kind: Its type here.
        account: Whose.

    Returns:
        A row of ``ledger``.

    Raises:
        InvalidValue: It has no time or amount.
    """
    at_us = moment_us(needed(found, "timestamp", "a ledger entry"))
    amount = figure(needed(found, "amount", "a ledger entry"), "amount") or "0"
    own_id = _text(found.get("id"))
    if own_id is None:  # then what it says is what it is known by
        own_id = f"{at_us}:{found.get('type')}:{found.get('currency')}:{found.get('direction')}:{amount}"
    return {
        "account": account,
        "entry_id": f"ledger:{own_id}",
        "type": kind,
        "asset": found.get("currency"),
        "amount": f"-{amount.lstrip('-')}" if found.get("direction") == "out" else amount,
        "reference": _text(found.get("referenceId")),
        "occurred_at": at_us,
    }


def _negated(cost: str) -> str:
    return cost[1:] if cost.startswith("-") else f"-{cost}"


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def needed(structure: Structure, name: str, what: str) -> Any:
    """Take what a structure must have.

    Args:
        structure: It.
        name: Of the value.
        what: What the structure is, for the message.

    Returns:
        The value.

    Raises:
        InvalidValue: It has none.
    """
    value = structure.get(name)
    if value is None or value == "":
        raise InvalidValue(f"{what} without {name}: {str(dict(structure))[:200]}")
    return value
