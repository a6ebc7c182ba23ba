"""Reading recorded market data: Binance websocket trades and best bid/ask kept as Parquet files.

A file is recognised by its columns, not by its name. Whatever does not fit is refused with the file and the
column: a replay of half-understood data would look right and be wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hybridstore.demo.market import MarketTape, quote_schema, trade_schema
from hybridstore.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

TRADE_COLUMNS = ("market", "symbol", "trade_id", "price", "qty", "is_buyer_maker", "trade_ms", "local_ns")
"""Columns that make a file one of trades."""
QUOTE_COLUMNS = ("market", "symbol", "bid", "ask", "local_ns")
"""Columns that make a file one of best bids and asks."""

_QUOTE_CURRENCIES = "USDT|USDC|FDUSD|TUSD|BUSD|USD|BTC|ETH|BNB|EUR|TRY|BRL|JPY|GBP"
_SYMBOL = re.compile(rf"(?P<base>[A-Z0-9]+?)(?P<quote>{_QUOTE_CURRENCIES})(?:_(?P<expiry>PERP|\d{{6}}))?")
# What a tick column holds: DECIMAL(18,8).
_PLAIN_DECIMAL = r"^[0-9]{1,10}(\.[0-9]{1,8})?$"
_OPERATION = "read market data"


def read_market(paths: Sequence[Path]) -> MarketTape:
    """Read recorded trades and quotes into one tape.

    Args:
        paths: Parquet files, or folders of them. A file named twice is read once.

    Returns:
        All events of all files in the order of reception (``local_ns``).

    Raises:
        InvalidValue: A file is missing, is not Parquet, lacks columns or holds a value that does not fit.
    """
    import pyarrow as pa

    files = _files(paths)
    trades, quotes = [trade_schema().empty_table()], [quote_schema().empty_table()]
    for file in files:
        table = _read(file)
        if not _lacking(table, TRADE_COLUMNS):
            trades.append(_trades(table, file))
        elif not _lacking(table, QUOTE_COLUMNS):
            quotes.append(_quotes(table, file))
        else:
            raise _unrecognised(table, file)
    source = ", ".join(file.name for file in files)
    return MarketTape(pa.concat_tables(trades), pa.concat_tables(quotes), source)


def unified_symbol(market: str, symbol: str) -> str:
    """Translate one of Binance's own symbols into ccxt's unified form.

    Args:
        market: ``spot``, ``usdm`` (linear futures) or ``cm`` (coin-margined, inverse futures).
        symbol: Binance's name, such as ``BTCUSDT`` or ``BTCUSD_PERP``.

    Returns:
        Such as ``BTC/USDT``, ``BTC/USDT:USDT`` or ``BTC/USD:BTC``; a dated future ends in ``-YYMMDD``.

    Raises:
        InvalidValue: The market or the symbol is not understood.
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None or market not in {"spot", "usdm", "cm"}:
        raise InvalidValue(
            f"cannot name symbol {symbol!r} of market {market!r}",
            operation=_OPERATION,
            hint="markets are spot, usdm and cm; symbols look like BTCUSDT or BTCUSD_PERP",
        )
    base, quote, expiry = match["base"], match["quote"], match["expiry"]
    if market == "spot":
        return f"{base}/{quote}"
    dated = f"-{expiry}" if expiry and expiry != "PERP" else ""
    return f"{base}/{quote}:{quote if market == 'usdm' else base}{dated}"


def _files(paths: Sequence[Path]) -> list[Path]:
    files: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found = sorted(path.glob("*.parquet"))
            if not found:
                raise InvalidValue("the folder holds no .parquet file", operation=_OPERATION, path=str(path))
            files.update(dict.fromkeys(file.resolve() for file in found))
        elif path.is_file():
            files[path.resolve()] = None
        else:
            raise InvalidValue(
                "there is no such file or folder",
                operation=_OPERATION,
                path=str(path),
                hint="leave --market-data out to replay a simulated market",
            )
    return list(files)


def _read(file: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = {*TRADE_COLUMNS, *QUOTE_COLUMNS}
    try:
        with pq.ParquetFile(file) as parquet:
            return parquet.read(columns=[name for name in parquet.schema_arrow.names if name in wanted])
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidValue(
            f"not a readable Parquet file: {error}", operation=_OPERATION, path=str(file)
        ) from error


def _lacking(table: pa.Table, columns: tuple[str, ...]) -> list[str]:
    return [name for name in columns if name not in table.column_names]


def _unrecognised(table: pa.Table, file: Path) -> InvalidValue:
    as_trades, as_quotes = _lacking(table, TRADE_COLUMNS), _lacking(table, QUOTE_COLUMNS)
    return InvalidValue(
        f"neither trades (lacks {', '.join(as_trades)}) nor best bid/ask (lacks {', '.join(as_quotes)})",
        operation=_OPERATION,
        path=str(file),
        hint="give Parquet files with the columns of recorded Binance trades or book tickers",
    )


def _trades(table: pa.Table, file: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = {
        "symbol": _symbols(table, file),
        "trade_id": _integers(table, "trade_id", file),
        "price": _decimal_texts(table, "price", file),
        "amount": _decimal_texts(table, "qty", file),
        # The buyer waited in the book, so the taker sold.
        "is_sell": _complete(table, "is_buyer_maker", file).cast(pa.bool_()),
        "traded_us": pc.multiply(_integers(table, "trade_ms", file), 1000),
        "received_ns": _integers(table, "local_ns", file),
    }
    return pa.table(columns, schema=trade_schema())


def _quotes(table: pa.Table, file: Path) -> pa.Table:
    import pyarrow as pa

    columns = {
        "symbol": _symbols(table, file),
        "bid": _decimal_texts(table, "bid", file),
        "ask": _decimal_texts(table, "ask", file),
        "received_ns": _integers(table, "local_ns", file),
    }
    return pa.table(columns, schema=quote_schema())


def _symbols(table: pa.Table, file: Path) -> list[str]:
    """Translate the distinct (market, symbol) pairs once and spread them over the rows."""
    markets, symbols = (_complete(table, name, file).to_pylist() for name in ("market", "symbol"))
    pairs = list(zip(markets, symbols, strict=True))
    try:
        names = {pair: unified_symbol(str(pair[0]), str(pair[1])) for pair in set(pairs)}
    except InvalidValue as error:
        raise InvalidValue(error.message, operation=_OPERATION, path=str(file), hint=error.hint) from error
    return [names[pair] for pair in pairs]


def _complete(table: pa.Table, name: str, file: Path) -> pa.ChunkedArray[Any]:
    column = table[name]
    if column.null_count:
        raise InvalidValue(
            f"column {name} is empty in {column.null_count} of {len(column)} rows",
            operation=_OPERATION,
            path=str(file),
        )
    return column


def _integers(table: pa.Table, name: str, file: Path) -> pa.ChunkedArray[Any]:
    import pyarrow as pa

    column = _complete(table, name, file)
    if not pa.types.is_integer(column.type):
        raise InvalidValue(
            f"column {name} is {column.type}, not whole numbers", operation=_OPERATION, path=str(file)
        )
    return column.cast(pa.int64())


def _decimal_texts(table: pa.Table, name: str, file: Path) -> pa.ChunkedArray[Any]:
    """Check that a column is plain decimal text that fits a tick."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _complete(table, name, file)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InvalidValue(
            f"column {name} is {column.type}, not decimal text",
            operation=_OPERATION,
            path=str(file),
            hint="record prices and amounts as the exchange's own text: a float has already lost digits",
        )
    distinct = column.unique()
    fits = pc.match_substring_regex(distinct, _PLAIN_DECIMAL)
    if not pc.all(fits, min_count=0).as_py():
        value = distinct.filter(pc.invert(fits))[0].as_py()
        raise InvalidValue(
            f"column {name} holds {value!r}",
            operation=_OPERATION,
            path=str(file),
            hint="expected plain decimal text of at most 10 digits before and 8 after the point",
        )
    return column.cast(pa.string())
