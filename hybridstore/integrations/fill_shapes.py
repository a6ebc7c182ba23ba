"""The shapes fills and prices come in: ccxt's trades and orders, objects, arguments of a call, tickers, mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from hybridstore.errors import InvalidValue
from hybridstore.integrations.calls import Call
from hybridstore.integrations.events import FillSeen, MarkSeen
from hybridstore.integrations.exact import Exact
from hybridstore.integrations.fields import (
    AMOUNT,
    CONTRACT_SIZE,
    COST,
    ENTRY,
    FEE,
    FEE_CURRENCY,
    LIQUIDITY,
    MARK,
    ORDER_ID,
    PAYLOAD,
    PRICE,
    SIDE,
    SYMBOL,
    TIME,
    TRADE_ID,
    Fields,
    from_json,
    is_container,
    is_number,
    word,
)
from hybridstore.integrations.market_names import MarketNames
from hybridstore.schema.types import EXACT, MONEY_PLACES

_BUY = {"buy", "b", "bid", "long", "bought"}
_SELL = {"sell", "s", "ask", "short", "sold"}
_ORDER_MARKS = ("remaining", "filled")
_DONE = {"closed", "filled"}
_PRICES = {
    "bid": ("bid", "best_bid", "bid_price"),
    "ask": ("ask", "best_ask", "ask_price", "offer"),
    "last": ("last", "last_price", "close", "price", "current_price", "new_price"),
    "mark": ("mark", "mark_price", "mark_px"),
}
_NO_MARKETS = {"timestamp", "time", "datetime", "info", "type", "event"}


def items_of(call: Call) -> list[Fields]:
    """Return the things a call is about: the payloads it was given, else its own arguments.

    Args:
        call: The call, or a notification.

    Returns:
        Each with the arguments beside it, asked second.
    """
    arguments = {name: from_json(value) for name, value in call.arguments.items()}
    found = [
        Fields(item, arguments)
        for value in arguments.values()
        if is_container(value)
        for item in _payloads(value, 0)
    ]
    return found or ([Fields(arguments)] if call.name else [])


def first_item(call: Call) -> Fields:
    """Return the first thing a call is about.

    Args:
        call: The call.

    Returns:
        It, or the call's own arguments.
    """
    items = items_of(call)
    return items[0] if items else Fields(call.arguments)


def _payloads(value: Any, depth: int) -> Iterator[Any]:
    """Yield what in a value, or inside the messages around it, has a symbol."""
    if isinstance(value, list | tuple | set) and not hasattr(value, "_fields"):
        for item in value:
            if is_container(item) and depth < 4:  # noqa: PLR2004  messages nest no deeper
                yield from _payloads(item, depth + 1)
        return
    fields = Fields(value)
    if fields.has(SYMBOL):
        yield value
        return
    for name in PAYLOAD:
        inner = from_json(fields.get((name,)))
        if is_container(inner) and depth < 4:  # noqa: PLR2004  messages nest no deeper
            yield from _payloads(inner, depth + 1)
            return


def is_fill(fields: Fields) -> bool:
    """Return whether a thing looks like a fill, and not like a position or a price.

    Args:
        fields: It.

    Returns:
        Whether it has a market, a side or a sign, a price and an amount.
    """
    if not fields.has(SYMBOL) or Fields(fields.source).has(ENTRY[:4]):
        return False
    return is_number(fields.get(PRICE)) and is_number(fields.get(AMOUNT)) and _side_of(fields) is not None


def _side_of(fields: Fields) -> str | None:
    for name in SIDE:
        text = (word(fields.get((name,))) or "").lower().rpartition(".")[2]
        if text in _BUY or text in _SELL:
            return "buy" if text in _BUY else "sell"
    buyer = fields.get(("is_buyer", "is_buy"))
    if isinstance(buyer, bool):
        return "buy" if buyer else "sell"
    amount = fields.get(AMOUNT)
    if is_number(amount) and str(amount).startswith("-"):
        return "sell"
    return None


class FillShapes:
    """Reads fills and prices.

    Args:
        exact: Takes figures and times.
        names: Takes names of markets.
        tags: Arguments of ``record_fill`` that every fill gets: account, strategy, bot.
    """

    def __init__(self, exact: Exact, names: MarketNames, tags: dict[str, str]) -> None:
        self._exact = exact
        self._names = names
        self._tags = tags

    def fills(self, fields: Fields, seen_at: Any) -> list[FillSeen]:
        """Read a fill, or the fills of an order.

        Args:
            fields: The fill or order.
            seen_at: When it was seen, if it does not say when it was.

        Returns:
            The fills; empty for an order that says nothing exact of its fills yet.

        Raises:
            InvalidValue: It is a fill, and a value of it is missing or wrong.
        """
        if not all(fields.has((name,)) for name in _ORDER_MARKS):
            return [self._fill(fields, seen_at)]
        trades = fields.get(("trades", "fills"))
        if trades and isinstance(trades, list | tuple):
            return [self._fill(Fields(trade, fields.source), seen_at) for trade in trades]
        if (word(fields.get(("status",))) or "").lower() not in _DONE:
            return []
        order_id = fields.get(("id", *ORDER_ID))
        whole = {
            "id": f"order-{order_id}",  # told again, it is the same fill
            "order": order_id,
            "amount": fields.get(("filled",)),
            "price": fields.get(("average", "price")),
        }
        return [self._fill(Fields(whole, fields.source), seen_at)]

    def _fill(self, fields: Fields, seen_at: Any) -> FillSeen:
        exact = self._exact
        symbol = word(fields.get(SYMBOL))
        if symbol is None:
            raise InvalidValue("a fill without its market", hint="give extract= that returns it, as 'symbol'")
        side = _side_of(fields)
        if side is None:
            amount = fields.get(AMOUNT)
            raise InvalidValue(f"side={fields.get(SIDE)!r}, amount={amount!r}: neither buy nor sell")
        price = exact.amount(fields.get(PRICE), "price")
        amount = exact.amount(fields.get(AMOUNT), "amount").copy_abs()
        details: dict[str, Any] = dict(self._tags)
        for name, names in (("trade_id", TRADE_ID), ("order_id", ORDER_ID)):
            value = fields.get(names)
            if value not in {None, ""}:
                details[name] = str(value)
        if fields.get(CONTRACT_SIZE) is not None:
            details["contract_size"] = exact.amount(fields.get(CONTRACT_SIZE), "contract_size")
        details |= self._fees(fields) | self._cost(fields, price, amount, details)
        liquidity = _liquidity(fields)
        if liquidity is not None:
            details["liquidity"] = liquidity
        for name in ("strategy", "bot"):
            own = word(fields.get((name,)))
            if own and name not in details:
                details[name] = own
        details["executed_at"] = exact.moment(fields.get(TIME)) or seen_at
        unified = self._names.unified(
            symbol, contract=fields.has(("reduce_only", "contract_size", "leverage"))
        )
        return FillSeen(unified, side, price, amount, details)

    def _fees(self, fields: Fields) -> dict[str, Any]:
        several = fields.get(("fees",))
        if isinstance(several, list | tuple) and several:
            pairs = [pair for pair in map(self._fee, several) if pair is not None]
            return {"fees": pairs} if pairs else {}
        fee = fields.get(FEE)
        if is_container(fee):
            pair = self._fee(fee)
            return {} if pair is None else {"fees": [pair]}
        if fee is None:
            return {}
        currency = word(fields.get(FEE_CURRENCY))
        known = {"fee": self._exact.amount(fee, "fee")}
        return known if currency is None else known | {"fee_currency": currency}

    def _fee(self, fee: Any) -> tuple[str, Decimal] | None:
        fields = Fields(fee)
        cost, currency = (
            fields.get(("cost", "amount", "fee")),
            word(fields.get(("currency", "asset", "coin"))),
        )
        if cost is None or currency is None:  # ccxt gives a fee it does not know as nothing but Nones
            return None
        return currency, self._exact.amount(cost, "fee")

    def _cost(
        self, fields: Fields, price: Decimal, amount: Decimal, details: dict[str, Any]
    ) -> dict[str, Decimal]:
        """Give the cost only where price * amount has more places than the store holds."""
        product = EXACT.multiply(EXACT.multiply(price, amount), details.get("contract_size", Decimal(1)))
        exponent = product.normalize(EXACT).as_tuple().exponent
        if not isinstance(exponent, int) or exponent >= -MONEY_PLACES:
            return {}
        cost = fields.get(COST)
        return {"quote_amount": self._exact.amount(cost if is_number(cost) else product, "quote_amount")}

    def marks(self, call: Call, seen_at: Any) -> list[MarkSeen]:
        """Read prices of markets.

        Args:
            call: (symbol, price), a ticker, a mapping by symbol, or several.
            seen_at: When it was seen, if it does not say when it was.

        Returns:
            The prices; empty where there are none.

        Raises:
            InvalidValue: A price is wrong.
        """
        found: list[MarkSeen] = []
        for fields in items_of(call):
            if fields.has(SYMBOL):
                prices = self._prices(fields)
                if prices:
                    found.append(self._mark(str(word(fields.get(SYMBOL))), prices, fields.get(TIME), seen_at))
        if found:
            return found
        for value in call.values:
            if isinstance(value, Mapping):
                found.extend(self._by_symbol(value, seen_at))
        if not found and len(call.values) > 1 and word(call.values[0]) and is_number(call.values[1]):
            price = self._exact.amount(call.values[1], "price")
            found.append(self._mark(str(word(call.values[0])), {"mark": price}, None, seen_at))
        return found

    def _by_symbol(self, value: Mapping[Any, Any], seen_at: Any) -> Iterator[MarkSeen]:
        for symbol, price in value.items():
            if not isinstance(symbol, str) or symbol in _NO_MARKETS:
                continue
            prices = (
                {"mark": self._exact.amount(price, "price")} if is_number(price)
                else self._prices(Fields(price)) if is_container(price) else {}
            )  # fmt: skip
            if prices:
                yield self._mark(symbol, prices, Fields(price).get(TIME), seen_at)

    def _prices(self, fields: Fields) -> dict[str, Decimal]:
        found = {name: fields.get(names) for name, names in _PRICES.items()}
        return {name: self._exact.amount(value, name) for name, value in found.items() if is_number(value)}

    def _mark(self, symbol: str, prices: dict[str, Decimal], at: Any, seen_at: Any) -> MarkSeen:
        if "last" in prices and not {"mark", "bid", "ask"} & prices.keys():
            prices = {"mark": prices["last"]}
        return MarkSeen(self._names.unified(symbol), prices, self._exact.moment(at) or seen_at)


def _liquidity(fields: Fields) -> str | None:
    text = (word(fields.get(LIQUIDITY)) or "").lower()
    if text in {"maker", "taker"}:
        return text
    maker = fields.get(("is_maker", "maker"))
    return None if not isinstance(maker, bool) else "maker" if maker else "taker"


def price_of(fields: Fields, exact: Exact, names: tuple[str, ...] = (*MARK, *PRICE)) -> Decimal | None:
    """Return the price a thing names.

    Args:
        fields: The thing.
        exact: Takes figures.
        names: Where it may stand.

    Returns:
        The price; None where there is none.
    """
    value = fields.get(names)
    return exact.amount(value, "price") if is_number(value) else None
