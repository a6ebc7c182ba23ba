"""Fills at the door: what a caller says of a fill, checked, with everything that is computed once from it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment, Money
from hybridstore.portfolio.fill import FeeTotals, fee_totals
from hybridstore.portfolio.symbols import Market, parse_symbol
from hybridstore.schema.books import TRADES
from hybridstore.schema.types import EXACT, check_name, check_timestamp, money_text, to_decimal

NO_ORDER = "-"
"""Stands for the order id where the exchange named none: part of a key cannot be absent."""
_ONE = Decimal(1)
_CHECKS = {column.name: column.check for column in TRADES.columns}


class Fee(NamedTuple):
    """One fee of a fill.

    Attributes:
        currency: The asset it was paid in.
        cost: How much; a rebate is negative.
    """

    currency: str
    cost: Decimal


class FillOrder(NamedTuple):
    """A checked fill on its way to the writer.

    Attributes:
        account: Whose.
        market: The parsed symbol.
        side: buy or sell.
        price: Price in quote.
        amount: Units of base, or contracts.
        contract_size: Units a contract.
        inverse: Whether profit is in the base asset.
        quote_amount: Exact notional in quote.
        fees: Every fee.
        totals: What the fees come to.
        position_id: The position it is for; None finds the open one.
        position_side: LONG or SHORT where both may be open at once.
        is_liquidation: Whether the exchange forced it.
        executed_us: When, us UTC; None means the commit's time.
        trade_id: The exchange's id, or a generated one.
        is_new_id: Whether it was generated for this call, so that no fill can be known by it.
        columns: Stored forms of the columns that need no more computing, by name.
    """

    account: str
    market: Market
    side: str
    price: Decimal
    amount: Decimal
    contract_size: Decimal
    inverse: bool
    quote_amount: Decimal
    fees: tuple[Fee, ...]
    totals: FeeTotals
    position_id: str | None
    position_side: str | None
    is_liquidation: bool
    executed_us: int | None
    trade_id: str
    is_new_id: bool
    columns: dict[str, Any]


def prepare_fill(
    symbol: str,
    side: str,
    price: Money,
    amount: Money,
    *,
    account: str = DEFAULT_ACCOUNT,
    trade_id: str | None = None,
    order_id: str | None = None,
    fee: Money | None = None,
    fee_currency: str | None = None,
    fees: Sequence[Any] | None = None,
    liquidity: str | None = None,
    contract_size: Money = 1,
    inverse: bool | None = None,
    quote_amount: Money | None = None,
    realized_pnl_exchange: Money | None = None,
    strategy: str | None = None,
    bot: str | None = None,
    position_id: str | None = None,
    position_side: str | None = None,
    synthetic_id: bool = False,
    liquidation: bool = False,
    executed_at: Moment | None = None,
    info: object = None,
) -> FillOrder:
    """Take a fill through the door.

    Args:
        symbol: The market in unified form, for example BTC/USDT or BTC/USDT:USDT.
        side: buy or sell.
        price: Price in quote, positive.
        amount: Units of base, or contracts, positive.
        account: Whose.
        trade_id: The exchange's id; None generates one and flags it.
        order_id: The order it filled.
        fee: The fee, in ``fee_currency``; a rebate is negative.
        fee_currency: The fee's asset; None means the quote asset.
        fees: Several fees, as (currency, cost) pairs or {currency, cost} mappings, instead of ``fee``.
        liquidity: maker or taker.
        contract_size: Units of base (linear) or quote (inverse) a contract.
        inverse: Whether profit is in the base asset. The symbol says so (it is settled in base); another opinion is
            refused.
        quote_amount: The exchange's own cost, needed only where price * amount has more than 18 places.
        realized_pnl_exchange: What the exchange says it realised.
        strategy: The strategy that acted.
        bot: The bot that acted.
        position_id: The position it is for; None finds the open one of the account and symbol.
        position_side: LONG or SHORT on an account that may hold both at once (hedge mode); leave it out otherwise.
        synthetic_id: Whether ``trade_id`` is not the exchange's, but made up by the caller, the same each time.
        liquidation: Whether the exchange forced it.
        executed_at: When; None means the commit's time.
        info: The exchange's own record, JSON text or an object.

    Returns:
        The checked fill.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    market = parse_symbol(check_name(symbol, "symbol"))
    check_contract(market, contract_size, inverse=inverse)
    exact_price, exact_amount = _positive(price, "price"), _positive(amount, "amount")
    size = _ONE if contract_size == 1 else _positive(contract_size, "contract_size")
    all_fees = _fees(market, fee, fee_currency, fees)
    notional = _notional(exact_price, exact_amount, size, quote_amount, inverse=market.inverse)
    columns: dict[str, Any] = {
        "account": account,
        "symbol": symbol,
        "trade_id": f"local-{uuid.uuid4().hex}" if trade_id is None else trade_id,
        "order_id": order_id or NO_ORDER,
        "synthetic_id": synthetic_id or trade_id is None,
        "side": side,
        "price": exact_price,
        "amount": exact_amount,
        "contract_size": size,
        "quote_amount": notional,
        **_fee_columns(all_fees),
        "liquidity": liquidity,
        "realized_pnl_exchange": realized_pnl_exchange,
        "position_side": position_side,
        "liquidation": liquidation,
        "strategy": strategy,
        "bot": bot,
        "info": info,
    }
    totals = fee_totals(market, exact_price, all_fees)
    stored = {name: _CHECKS[name](value) for name, value in columns.items()}
    stored["fee_in_quote"] = None if totals.in_quote is None else money_text(totals.in_quote, "fee_in_quote")
    return FillOrder(
        account, market, side, exact_price, exact_amount, size, market.inverse, notional, all_fees, totals,
        None if position_id is None else check_name(position_id, "position_id"),
        position_side, liquidation,
        None if executed_at is None else check_timestamp(executed_at, "executed_at"),
        stored["trade_id"], trade_id is None, stored,
    )  # fmt: skip


def check_contract(market: Market, contract_size: Money, *, inverse: bool | None) -> None:
    """Refuse terms that contradict the symbol: ledger and position would count in different assets.

    Args:
        market: The parsed symbol.
        contract_size: Units a contract.
        inverse: Whether profit is said to be in the base asset; None says nothing.

    Raises:
        InvalidValue: They contradict it.
    """
    if inverse is not None and inverse is not market.inverse:
        raise InvalidValue(
            f"inverse={inverse} on {market.symbol}: its profit is in {market.profit_asset}",
            hint="leave inverse out and give the symbol with what it is settled in, as BTC/USD:BTC",
        )
    if market.is_spot and contract_size != 1 and to_decimal(contract_size, "contract_size") != 1:
        raise InvalidValue(
            f"contract_size={contract_size} on {market.symbol}: a spot market has no contracts",
            hint="leave contract_size out, or give the contract's symbol, as BTC/USDT:USDT",
        )


def check_side(position_side: str) -> str:
    """Check which side of a hedge something is for.

    Args:
        position_side: What the caller gave.

    Returns:
        LONG or SHORT.

    Raises:
        InvalidValue: It is neither.
    """
    if position_side not in {"LONG", "SHORT"}:
        raise InvalidValue(
            f"position_side={position_side!r}: unknown",
            hint="use LONG or SHORT, and leave it out on an account that holds one position a market",
        )
    return position_side


def _positive(value: Money, column: str) -> Decimal:
    number = to_decimal(value, column)
    if number <= 0:
        raise InvalidValue(f"{column}={number}: must be more than zero")
    money_text(number, column)  # what does not fit is not computed with
    return number


def _notional(
    price: Decimal, amount: Decimal, size: Decimal, given: Money | None, *, inverse: bool
) -> Decimal:
    if given is not None:
        return _positive(given, "quote_amount")
    contracts = EXACT.multiply(amount, size)
    notional = contracts if inverse else EXACT.multiply(price, contracts)
    try:
        money_text(notional, "quote_amount")
    except InvalidValue as error:
        raise InvalidValue(
            f"price={price} * amount={amount} is {notional}, which does not fit",
            hint="give quote_amount= as the exchange reports it (its 'cost')",
        ) from error
    return notional


def _fees(
    market: Market, fee: Money | None, currency: str | None, fees: Sequence[Any] | None
) -> tuple[Fee, ...]:
    if fees is not None:
        if fee is not None:
            raise InvalidValue("both fee and fees were given", hint="put every fee into fees")
        try:
            pairs = [_pair(item) for item in fees]
        except (KeyError, TypeError, ValueError):
            raise InvalidValue(
                f"fees={fees!r}: not a list of fees",
                hint="give (currency, cost) pairs or {currency, cost} mappings",
            ) from None
    elif fee is None:
        return ()
    else:
        pairs = [(currency or market.quote, fee)]
    return tuple(Fee(check_name(asset, "fee_currency"), _fee(cost)) for asset, cost in pairs)


def _fee_columns(fees: tuple[Fee, ...]) -> dict[str, Any]:
    if len(fees) == 1:
        return {"fee": fees[0].cost, "fee_currency": fees[0].currency, "fees": None}
    return {"fee": None, "fee_currency": None, "fees": _fees_json(fees) if fees else None}


def _fee(cost: Money) -> Decimal:
    number = to_decimal(cost, "fee")
    money_text(number, "fee")
    return number


def _pair(item: Any) -> tuple[Any, Any]:
    currency, cost = (item["currency"], item["cost"]) if isinstance(item, Mapping) else item
    return currency, cost


def _fees_json(fees: tuple[Fee, ...]) -> str:
    return msgspec.json.encode(
        [{"currency": fee.currency, "cost": money_text(fee.cost, "fee")} for fee in fees]
    ).decode()
