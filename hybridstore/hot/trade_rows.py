"""Fills as records and rows: what callers see, what is stored, what is counted of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.known import Stored
from hybridstore.hot.position_rows import Position
from hybridstore.portfolio.fill import FillInput, fee_totals, net_pnl
from hybridstore.portfolio.money import ZERO
from hybridstore.portfolio.symbols import Market
from hybridstore.records import Record
from hybridstore.schema.books import TRADES
from hybridstore.schema.types import moment, money_text

PLACE = {name: place for place, name in enumerate(TRADES.stored_names)}
"""Where each stored column is."""
COUNTED = frozenset(
    {
        "side",
        "price",
        "amount",
        "contract_size",
        "quote_amount",
        "fee",
        "fee_currency",
        "fees",
        "executed_at",
        "position_side",
        "liquidation",
    }
)
"""What ledger entries, positions and sums are computed from."""


class _Fee(msgspec.Struct, frozen=True, gc=False):
    currency: str
    cost: str


_FEES = msgspec.json.Decoder(list[_Fee])


class Trade(Record, frozen=True, gc=False):
    """One of the bot's own fills, as recorded.

    Attributes:
        account: Whose.
        symbol: The market.
        trade_id: The exchange's id, or a generated one.
        order_id: The order it filled; "-" where none was named.
        synthetic_id: Whether trade_id is not the exchange's own: generated here, or made up by an importer.
        side: buy or sell.
        price: In quote.
        amount: Units of base, or contracts.
        contract_size: Units a contract.
        quote_amount: Exact notional in quote.
        fee: The fee where there was one; None for none or several.
        fee_currency: Its asset.
        fee_in_quote: All fees in quote; None where one is in a third asset.
        realized_pnl: Realised by it, gross, in the settle asset; None where it changed no position.
        net_pnl: realized_pnl less its fees; None where it changed no position, or a fee is in another asset.
        position_id: The position it changed.
        strategy: The strategy that acted.
        bot: The bot that acted.
        executed_at: When, UTC.
        recorded_at: When the store took it, UTC.
    """

    account: str
    symbol: str
    trade_id: str
    order_id: str
    synthetic_id: bool
    side: str
    price: Decimal
    amount: Decimal
    contract_size: Decimal
    quote_amount: Decimal
    fee: Decimal | None
    fee_currency: str | None
    fee_in_quote: Decimal | None
    realized_pnl: Decimal | None
    net_pnl: Decimal | None
    position_id: str | None
    strategy: str | None
    bot: str | None
    executed_at: datetime
    recorded_at: datetime


class FillResult(Record, frozen=True, gc=False):
    """What recording a fill did.

    Attributes:
        trade: The fill as it stands in the books.
        position: The position it changed, as it is now; None where it changed none.
        repeated: Whether the fill was known before; then nothing else was changed.
        corrected: Columns of a known fill that were told differently this time. The trade was changed and its old
            version kept; ledger, position and sums count what is right now.
    """

    trade: Trade
    position: Position | None
    repeated: bool = False
    corrected: tuple[str, ...] = ()


class CountedFill(NamedTuple):
    """What is counted of a recorded fill.

    Attributes:
        side: buy or sell.
        price: In quote.
        amount: Units of base, or contracts; zero where the fill was voided.
        contract_size: Units a contract.
        quote_amount: Notional in quote.
        fees: (asset, cost) pairs.
        realized: Realised by it, gross; zero where it changed no position.
        executed_us: When, us UTC.
        is_liquidation: Whether the exchange forced it.
    """

    side: str
    price: Decimal
    amount: Decimal
    contract_size: Decimal
    quote_amount: Decimal
    fees: tuple[tuple[str, Decimal], ...]
    realized: Decimal
    executed_us: int
    is_liquidation: bool

    def as_input(self, market: Market, *, inverse: bool) -> FillInput:
        """Return what positions are computed from.

        Args:
            market: Where it was.
            inverse: Whether profit is in the base asset.

        Returns:
            The fill.
        """
        totals = fee_totals(market, self.price, self.fees)
        cost = None if inverse else self.quote_amount
        return FillInput(
            self.side, self.price, self.amount, self.contract_size, inverse, totals.known_in_quote, totals.in_base,
            cost, self.is_liquidation,
        )  # fmt: skip


def counted(row: Stored) -> CountedFill:
    """Return what is counted of a row of ``trades``.

    Args:
        row: The stored columns.

    Returns:
        The fill.
    """
    fees: tuple[tuple[str, Decimal], ...] = ()
    if row[PLACE["fees"]] is not None:
        fees = tuple([(fee.currency, Decimal(fee.cost)) for fee in _FEES.decode(row[PLACE["fees"]])])
    elif row[PLACE["fee"]] is not None:
        fees = ((row[PLACE["fee_currency"]], Decimal(row[PLACE["fee"]])),)
    realized = row[PLACE["realized_pnl"]]
    return CountedFill(
        row[PLACE["side"]],
        Decimal(row[PLACE["price"]]),
        Decimal(row[PLACE["amount"]]),
        Decimal(row[PLACE["contract_size"]]),
        Decimal(row[PLACE["quote_amount"]]),
        fees,
        ZERO if realized is None else Decimal(realized),
        row[PLACE["executed_at"]],
        bool(row[PLACE["liquidation"]]),
    )


def realized_columns(
    market: Market,
    price: Decimal,
    position_id: str | None,
    realized: Decimal,
    fees: Iterable[tuple[str, Decimal]],
) -> dict[str, Any]:
    """Return the columns of ``trades`` that say what a fill did to positions.

    Args:
        market: Where it was.
        price: Its price, in quote.
        position_id: The position it belongs to; None where it changed none.
        realized: What it realised, gross.
        fees: (asset, cost) pairs.

    Returns:
        Stored forms by name.
    """
    net = None if position_id is None else net_pnl(market, price, realized, fees)
    return {
        "position_id": position_id,
        "realized_pnl": None if position_id is None else money_text(realized, "realized_pnl"),
        "net_pnl": None if net is None else money_text(net, "net_pnl"),
    }


def decode_trade(row: tuple[Any, ...]) -> Trade:
    """Turn a row of ``trades`` into a record.

    Args:
        row: The stored columns.

    Returns:
        The record.
    """
    fields = {name: row[PLACE[name]] for name in Trade.__struct_fields__}
    for name in (
        "price",
        "amount",
        "contract_size",
        "quote_amount",
        "fee",
        "fee_in_quote",
        "realized_pnl",
        "net_pnl",
    ):
        if fields[name] is not None:
            fields[name] = Decimal(fields[name])
    fields["synthetic_id"] = bool(fields["synthetic_id"])
    for name in ("executed_at", "recorded_at"):
        fields[name] = moment(fields[name])
    return Trade(**fields)


class TradeReader:
    """Point reads of the bot's own fills; they run inline, in any thread.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    def archived(self) -> bool:
        """Say whether some fills are archived, so that the hot store does not know all."""
        return bool(self._database.readers.rows(self._database.statements["archived_until"], (TRADES.name,)))

    def last(self, symbol: str, account: str = DEFAULT_ACCOUNT) -> Trade | None:
        """Return the fill of a market that was executed last, if the hot store can tell.

        Args:
            symbol: The market.
            account: Whose.

        Returns:
            The fill; None where the hot store holds none, or only one so old that a later one may be archived.
        """
        database = self._database
        timeout_ms = database.config.position_query_timeout
        rows = database.readers.rows(database.statements["last_trade"], (account, symbol), timeout_ms)
        return database.cache.record(("trade", account, symbol), rows[0], decode_trade) if rows else None
