"""The portfolio's present value, read in one snapshot of the hot store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.reader import Row
from hybridstore.portfolio.money import ONE, ZERO
from hybridstore.portfolio.position import OPEN, PositionState
from hybridstore.portfolio.summary import PortfolioSummary, price_symbols, summarize
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.schema.types import check_name

_HOLDINGS = msgspec.json.Decoder(list[tuple[str, str, str | None]])
_POSITIONS = msgspec.json.Decoder(
    list[tuple[str, str, int, str, str, str, str, str | None, str, int, str, str, str]]
)
_MARKS = msgspec.json.Decoder(list[tuple[str, str, int]])
_READ_FROM = ("balances", "positions", "marks")


class HeldPosition(NamedTuple):
    """An open position, as far as its value depends on it.

    Attributes:
        position_id: Its id.
        symbol: Its market.
        state: What arithmetic needs; its peak and excursions are not read.
        updated_us: When it was changed last, us UTC.
    """

    position_id: str
    symbol: str
    state: PositionState
    updated_us: int


class _Asked(NamedTuple):
    """Which marks the last valuation of an account needed.

    Attributes:
        assets: What had to be priced.
        symbols: Markets of its positions.
        listed: Every market whose mark may price one of them, as a JSON list.
    """

    assets: frozenset[str]
    symbols: frozenset[str]
    listed: str


_NOTHING_ASKED = _Asked(frozenset(), frozenset(), "[]")


class PortfolioReader:
    """Values an account.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database
        self._asked: dict[tuple[str, str], _Asked] = {}

    def summary(self, account: str = DEFAULT_ACCOUNT, base_currency: str = "USDT") -> PortfolioSummary:
        """Value an account at the latest marks.

        Args:
            account: Whose.
            base_currency: What to price everything in.

        Returns:
            The summary; see :class:`hybridstore.portfolio.summary.PortfolioSummary`.

        Raises:
            QueryTimeout: It took longer than position_query_timeout.
        """
        check_name(account, "account")
        check_name(base_currency, "base_currency")
        key = ("portfolio", account, base_currency)
        return self._database.cache.result(key, _READ_FROM, lambda: self._load(account, base_currency))

    def _load(self, account: str, base_currency: str) -> PortfolioSummary:
        database, key = self._database, (account, base_currency)
        sql, timeout_ms = database.statements["what_is_held"], database.config.position_query_timeout
        part = database.cache.part
        asked = self._asked.get(key, _NOTHING_ASKED)
        while True:
            given = {"account": account, "asked": asked.listed}
            holdings, positions, priced = database.readers.rows(sql, given, timeout_ms)[0]
            balances, debts = part(("holdings", account), (holdings,), holdings_of)
            held = part(("held by", account), (positions,), positions_of)
            needed = _needed(balances, debts, held, base_currency, asked)
            if needed is asked:
                break
            # What is held decides which marks are needed; it is asked again with these, which is rarely so.
            asked = self._asked[key] = needed
        marks = latest_marks(part(("priced", *key), (priced,), marks_of), held)
        return summarize(account, balances, valued_positions(held), marks, base_currency, debts)


def _needed(
    balances: Mapping[str, Decimal],
    debts: Mapping[str, Decimal],
    held: list[HeldPosition],
    base_currency: str,
    asked: _Asked,
) -> _Asked:
    """Return which marks are needed; what was asked itself, where that is all."""
    assets, symbols = what_to_price(balances, debts, held)
    if assets == asked.assets and symbols == asked.symbols:
        return asked
    return _Asked(frozenset(assets), frozenset(symbols), list_markets(assets, symbols, base_currency))


def what_to_price(
    balances: Mapping[str, Decimal], debts: Mapping[str, Decimal], held: Iterable[HeldPosition]
) -> tuple[set[str], set[str]]:
    """Say what must have a price for an account to be valued.

    Args:
        balances: Total of each asset.
        debts: What is borrowed of each asset.
        held: Its open positions.

    Returns:
        Assets, and markets of the positions.
    """
    symbols = {symbol for _, symbol, _, _ in held}
    assets = {asset for asset, balance in balances.items() if balance}
    assets.update(debts)
    for market in map(parse_symbol, symbols):
        assets.add(market.quote)
        assets.add(market.profit_asset)
    return assets, symbols


def list_markets(assets: Iterable[str], symbols: Iterable[str], base_currency: str) -> str:
    """List every market whose mark may be needed.

    Args:
        assets: What must be priced.
        symbols: Markets of positions.
        base_currency: In what.

    Returns:
        Symbols as a JSON list.
    """
    wanted = {symbol for asset in assets for symbol in price_symbols(asset, base_currency)}.union(symbols)
    return msgspec.json.encode(sorted(wanted)).decode()


def latest_marks(
    priced: tuple[Mapping[str, Decimal], Mapping[str, int]], held: Iterable[HeldPosition]
) -> dict[str, Decimal]:
    """Return the price of each market.

    Args:
        priced: What :func:`marks_of` returned.
        held: Open positions; one may have been marked by hand since.

    Returns:
        Prices by symbol.
    """
    marks, moments = dict(priced[0]), dict(priced[1])
    for _, symbol, state, updated_us in held:
        if updated_us > moments.get(symbol, 0) and state.mark_price is not None:
            marks[symbol], moments[symbol] = state.mark_price, updated_us
    return marks


def valued_positions(held: Iterable[HeldPosition]) -> list[tuple[str, str, PositionState]]:
    """Return open positions as :func:`hybridstore.portfolio.summary.summarize` takes them.

    Args:
        held: The positions.

    Returns:
        position_id, symbol and state of each.
    """
    return [(position_id, symbol, state) for position_id, symbol, state, _ in held]


def holdings_of(row: Row) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Read balances.

    Args:
        row: Their JSON list.

    Returns:
        Totals and debts by asset.
    """
    held = _HOLDINGS.decode(row[0])
    return (
        {asset: Decimal(balance) for asset, balance, _ in held},
        {asset: Decimal(debt) for asset, _, debt in held if debt is not None},
    )


def positions_of(row: Row) -> list[HeldPosition]:
    """Read open positions.

    Args:
        row: Their JSON list.

    Returns:
        The positions.
    """
    return [
        HeldPosition(
            position_id,
            symbol,
            PositionState(
                side,
                OPEN,
                Decimal(amount),
                Decimal(entry_price),
                Decimal(entry_cost),
                ONE if contract_size == "1" else Decimal(contract_size),
                bool(inverse),
                None if mark_price is None else Decimal(mark_price),
                ZERO if realized_pnl == "0" else Decimal(realized_pnl),
                ZERO if fees == "0" else Decimal(fees),
                ZERO if funding == "0" else Decimal(funding),
            ),
            updated_us,
        )
        for (
            position_id, symbol, updated_us, side, amount, entry_price, entry_cost, mark_price, contract_size, inverse,
            realized_pnl, fees, funding,
        ) in _POSITIONS.decode(row[0])
    ]  # fmt: skip


def marks_of(row: Row) -> tuple[dict[str, Decimal], dict[str, int]]:
    """Read marks.

    Args:
        row: Their JSON list.

    Returns:
        Price, and moment it was told, us UTC, by symbol.
    """
    marked = _MARKS.decode(row[0])
    return (
        {symbol: Decimal(mark) for symbol, mark, _ in marked},
        {symbol: marked_us for symbol, _, marked_us in marked},
    )
