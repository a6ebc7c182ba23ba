"""The market as one tape: trades and best bid/ask of several symbols in the order a bot received them.

A tape keeps its events as Arrow columns and turns them into records a batch at a time, so a long recording
costs tens of bytes an event. Prices and amounts stay the exchange's own decimal text until they become
``Decimal``; each distinct text is parsed once.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from hybridstore.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

Side = Literal["buy", "sell"]

_BATCH_EVENTS = 8192


class MarketTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade somebody made on the exchange.

    Attributes:
        symbol: ccxt unified symbol.
        trade_id: The exchange's id, unique per symbol.
        price: Price of one unit, in the symbol's quote currency.
        amount: Units of the base currency; contracts for a coin-margined future.
        side: What the taker did.
        traded_us: When the exchange matched it, microseconds UTC.
        received_us: When the recorder received it, microseconds UTC on the recorder's own clock.
    """

    symbol: str
    trade_id: int
    price: Decimal
    amount: Decimal
    side: Side
    traded_us: int
    received_us: int


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A best bid and ask.

    Attributes:
        symbol: ccxt unified symbol.
        bid: Highest price somebody buys at.
        ask: Lowest price somebody sells at.
        received_us: When the recorder received it, microseconds UTC.
    """

    symbol: str
    bid: Decimal
    ask: Decimal
    received_us: int


MarketEvent = MarketTrade | Quote


def trade_schema() -> pa.Schema:
    """Return the Arrow schema in which a tape takes trades."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
        "symbol": pa.string(),
        "trade_id": pa.int64(),
        "price": pa.string(),
        "amount": pa.string(),
        "is_sell": pa.bool_(),
        "traded_us": pa.int64(),
        "received_ns": pa.int64(),
    }
    return pa.schema(types)


def quote_schema() -> pa.Schema:
    """Return the Arrow schema in which a tape takes best bids and asks."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
        "symbol": pa.string(),
        "bid": pa.string(),
        "ask": pa.string(),
        "received_ns": pa.int64(),
    }
    return pa.schema(types)


class MarketTape:
    """Every trade and quote of a recording, in the order of reception.

    Args:
        trades: Rows of ``trade_schema()``, in any order.
        quotes: Rows of ``quote_schema()``, in any order.
        source: Where the events come from, in words for the reader.

    Raises:
        InvalidValue: There is not a single event.
    """

    def __init__(self, trades: pa.Table, quotes: pa.Table, source: str) -> None:
        self.source = source
        self.trade_count: int = trades.num_rows
        self.quote_count: int = quotes.num_rows
        if not self.trade_count + self.quote_count:
            raise InvalidValue(
                "the market data holds neither a trade nor a quote",
                operation="read market data",
                path=source,
                hint="give a file with at least one row",
            )
        self._events = _in_order_of_reception(trades, quotes)
        self.symbols: tuple[str, ...] = tuple(sorted(map(str, self._events["symbol"].unique().to_pylist())))
        self.first_us: int = self._events["received_ns"][0].as_py() // 1000
        self.last_us: int = self._events["received_ns"][-1].as_py() // 1000
        self._decimals = {name: _decimals(self._events[name]) for name in ("first", "second")}

    def __len__(self) -> int:
        """Return the number of events."""
        return self.trade_count + self.quote_count

    def batches(self, events: int = _BATCH_EVENTS) -> Iterator[list[MarketEvent]]:
        """Walk through the tape.

        At one instant trades come before quotes; beyond that the order in the recording decides.

        Args:
            events: At most so many in one batch.

        Yields:
            The next events, in order.
        """
        for start in range(0, len(self), events):
            yield self._records(self._events.slice(start, events))

    def _records(self, rows: pa.Table) -> list[MarketEvent]:
        first, second = self._decimals["first"], self._decimals["second"]
        columns = zip(
            rows["symbol"].to_pylist(),
            rows["trade_id"].to_pylist(),
            rows["first"].to_pylist(),
            rows["second"].to_pylist(),
            rows["is_sell"].to_pylist(),
            rows["traded_us"].to_pylist(),
            rows["received_ns"].to_pylist(),
            strict=True,
        )
        return [
            Quote(symbol, first[one], second[two], received_ns // 1000)
            if trade_id is None
            else MarketTrade(
                symbol,
                trade_id,
                first[one],
                second[two],
                "sell" if is_sell else "buy",
                traded_us,
                received_ns // 1000,
            )
            for symbol, trade_id, one, two, is_sell, traded_us, received_ns in columns
        ]


def _in_order_of_reception(trades: pa.Table, quotes: pa.Table) -> pa.Table:
    """Lay both kinds under each other (price or bid ``first``, amount or ask ``second``) and sort them."""
    import pyarrow as pa

    events = pa.concat_tables(
        [
            trades.rename_columns({"price": "first", "amount": "second"}),
            quotes.rename_columns({"bid": "first", "ask": "second"}),
        ],
        promote_options="default",
    )
    # A trade has an id and sorts first (nulls go last), then the recording's own order decides.
    position = pa.array(range(events.num_rows), type=pa.int64())
    order = events.select(["received_ns", "trade_id"]).append_column("position", position)
    is_quote = order["trade_id"].is_null()
    order = order.set_column(1, "is_quote", is_quote)
    order = order.sort_by(
        [("received_ns", "ascending"), ("is_quote", "ascending"), ("position", "ascending")]
    )
    return events.take(order["position"]).combine_chunks()


def _decimals(column: pa.ChunkedArray[Any]) -> dict[str, Decimal]:
    return {text: Decimal(text) for text in map(str, column.unique().to_pylist())}
