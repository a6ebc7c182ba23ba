"""The portfolio's present value, read in one snapshot of the hot store."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from hybridstore.hot.balances import DEFAULT_ACCOUNT
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.position_rows import held_of
from hybridstore.hot.reader import Row
from hybridstore.portfolio.summary import PortfolioSummary, price_symbols, summarize
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.schema.types import check_name

_HOLDINGS = msgspec.json.Decoder(list[tuple[str, str, str | None]])
_MARKS = msgspec.json.Decoder(list[tuple[str, str, int]])
_READ_FROM = ("balances", "positions", "marks")


class PortfolioReader:
    """Values an account.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    def summary(self, account: str = DEFAULT_ACCOUNT, base_currency: str = "USDT") -> PortfolioSummary:
        """Value an account at the latest marks.

        Args:
            account: Whose.
            base_currency: What to price everything in.

        Returns:
            The summary; see :class:`hybridstore.portfolio.summary.PortfolioSummary`.
        """
        check_name(base_currency, "base_currency")
        key = ("portfolio", account, base_currency)
        return self._database.cache.result(key, _READ_FROM, lambda: self._load(account, base_currency))

    def _load(self, account: str, base_currency: str) -> PortfolioSummary:
        database = self._database
        statements = database.statements
        timeout_ms = database.config.position_query_timeout
        with database.readers.transaction(timeout_ms) as transaction:
            found = transaction.rows(statements["holdings_of_account"], (account,))[0]
            balances, debts = database.cache.record(("holdings", account), found, _holdings)
            held = [
                held_of(database, row) for row in transaction.rows(statements["open_positions"], (account,))
            ]
            markets = [parse_symbol(position.symbol) for position in held]
            assets = {
                *(asset for asset, balance in balances.items() if balance),
                *debts,
                *(market.quote for market in markets),
                *(market.profit_asset for market in markets),
            }
            wanted = {symbol for asset in assets for symbol in price_symbols(asset, base_currency)}
            wanted.update(market.symbol for market in markets)
            listed = msgspec.json.encode(sorted(wanted)).decode()
            found = transaction.rows(statements["marks_of"], (listed,))[0]
        priced = database.cache.record(("priced", account, base_currency), found, _marks)
        marks, moments = dict(priced[0]), dict(priced[1])
        for position in held:  # one may have been marked by hand since
            mark, symbol = position.state.mark_price, position.symbol
            if mark is not None and position.updated_us > moments.get(symbol, 0):
                marks[symbol], moments[symbol] = mark, position.updated_us
        positions = [(position.position_id, position.symbol, position.state) for position in held]
        return summarize(account, balances, positions, marks, base_currency, debts)


def _holdings(row: Row) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    held = _HOLDINGS.decode(row[0])
    return (
        {asset: Decimal(balance) for asset, balance, _ in held},
        {asset: Decimal(debt) for asset, _, debt in held if debt is not None},
    )


def _marks(row: Row) -> tuple[dict[str, Decimal], dict[str, int]]:
    marked = _MARKS.decode(row[0])
    return (
        {symbol: Decimal(mark) for symbol, mark, _ in marked},
        {symbol: marked_us for symbol, _, marked_us in marked},
    )
