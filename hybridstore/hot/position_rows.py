"""Positions as records and rows: what callers see, what the writer remembers, what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT, Moment, Money
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.fills import check_contract
from hybridstore.hot.reader import listed
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.position import PositionState, unrealized_pnl
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.records import Record
from hybridstore.schema.books import POSITIONS
from hybridstore.schema.types import check_name, check_timestamp, moment, money_text, to_decimal

_TERMS = ("leverage", "margin_mode", "liquidation_price")
_COLUMN = {name: place for place, name in enumerate(POSITIONS.stored_names)}


class Position(Record, frozen=True, gc=False):
    """A position.

    Attributes:
        position_id: Its id.
        account: Whose.
        symbol: Its market.
        side: LONG or SHORT.
        status: OPEN or CLOSED.
        amount: Units of base, or contracts.
        entry_price: Average entry, in quote.
        entry_cost: Exact cost of what is open.
        mark_price: Last mark, in quote.
        unrealized_pnl: Profit it would realise at the mark, in the settle asset; zero where no mark is known.
        realized_pnl: Realised, gross of fees, in the settle asset.
        fees: Fees, in quote.
        funding: Funding received (+) or paid (-).
        contract_size: Units a contract.
        inverse: Whether profit is in the base asset.
        leverage: Leverage.
        margin_mode: cross or isolated.
        liquidation_price: Where the exchange would liquidate.
        peak_amount: Largest amount it ever had.
        max_favourable: Largest unrealised profit seen.
        max_adverse: Largest unrealised loss seen.
        opened_at: When it was opened, UTC.
        updated_at: When it last changed, UTC.
        closed_at: When it was closed, UTC.
        close_reason: Why it was closed.
        strategy: The strategy that acted.
        bot: The bot that acted.
    """

    position_id: str
    account: str
    symbol: str
    side: str
    status: str
    amount: Decimal
    entry_price: Decimal
    entry_cost: Decimal
    mark_price: Decimal | None
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    contract_size: Decimal
    inverse: bool
    leverage: Decimal | None
    margin_mode: str | None
    liquidation_price: Decimal | None
    peak_amount: Decimal
    max_favourable: Decimal
    max_adverse: Decimal
    opened_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    strategy: str | None
    bot: str | None


class Held(NamedTuple):
    """A position as the writer remembers it: its arithmetic and the columns that arithmetic does not touch."""

    position_id: str
    account: str
    symbol: str
    state: PositionState
    event_seq: int
    opened_us: int
    updated_us: int
    closed_us: int | None = None
    close_reason: str | None = None
    leverage: Decimal | None = None
    margin_mode: str | None = None
    liquidation_price: Decimal | None = None
    strategy: str | None = None
    bot: str | None = None


class PositionOrder(NamedTuple):
    """A checked position on its way to the writer."""

    position_id: str
    account: str
    symbol: str
    side: str
    fill: FillInput
    opened_us: int | None
    leverage: Decimal | None
    margin_mode: str | None
    liquidation_price: Decimal | None
    strategy: str | None
    bot: str | None


def prepare_position(
    position_id: str,
    symbol: str,
    side: str,
    amount: Money,
    entry_price: Money,
    *,
    account: str = DEFAULT_ACCOUNT,
    contract_size: Money = 1,
    inverse: bool | None = None,
    leverage: Money | None = None,
    margin_mode: str | None = None,
    liquidation_price: Money | None = None,
    strategy: str | None = None,
    bot: str | None = None,
    opened_at: Moment | None = None,
) -> PositionOrder:
    """Take a position through the door.

    Args:
        position_id: Its id, unique in the store.
        symbol: Its market in unified form.
        side: LONG or SHORT.
        amount: Units of base, or contracts, positive.
        entry_price: In quote, positive.
        account: Whose.
        contract_size: Units of base (linear) or quote (inverse) a contract.
        inverse: Whether profit is in the base asset. The symbol says so; another opinion is refused.
        leverage: Leverage.
        margin_mode: cross or isolated.
        liquidation_price: Where the exchange would liquidate.
        strategy: The strategy that acted.
        bot: The bot that acted.
        opened_at: When; None means the commit's time.

    Returns:
        The checked position.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    market = parse_symbol(check_name(symbol, "symbol"))
    check_contract(market, contract_size, inverse=inverse)
    POSITIONS.column("side").check(side)
    POSITIONS.column("margin_mode").check(margin_mode)
    numbers = {"amount": amount, "entry_price": entry_price, "contract_size": contract_size}
    exact = {name: to_decimal(value, name) for name, value in numbers.items()}
    for name, value in exact.items():
        money_text(value, name)
        if value <= 0:
            raise InvalidValue(f"{name}={value}: must be more than zero")
    return PositionOrder(
        check_name(position_id, "position_id"),
        check_name(account, "account"),
        symbol,
        side,
        FillInput(
            "buy" if side == "LONG" else "sell",
            exact["entry_price"],
            exact["amount"],
            exact["contract_size"],
            market.inverse,
        ),
        None if opened_at is None else check_timestamp(opened_at, "opened_at"),
        _optional(leverage, "leverage"),
        margin_mode,
        _optional(liquidation_price, "liquidation_price"),
        None if strategy is None else check_name(strategy, "strategy"),
        None if bot is None else check_name(bot, "bot"),
    )


def prepare_terms(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Take new terms of a position through the door.

    Args:
        terms: leverage, margin_mode, liquidation_price: those that change.

    Returns:
        The checked terms.

    Raises:
        InvalidValue: A value does not fit, or none or another is given.
    """
    wrong = [name for name in terms if name not in _TERMS]
    if wrong or not terms:
        raise InvalidValue(
            f"{wrong[0]} is no term of a position" if wrong else "no term to change was given",
            hint=f"give {', '.join(_TERMS)}, those that change",
        )
    POSITIONS.column("margin_mode").check(terms.get("margin_mode"))
    return {name: value if name == "margin_mode" else _optional(value, name) for name, value in terms.items()}


def _optional(value: Money | None, column: str) -> Decimal | None:
    if value is None:
        return None
    number = to_decimal(value, column)
    money_text(number, column)
    return number


def _text(amount: Decimal | None, column: str) -> str | None:
    return None if amount is None else money_text(amount, column)


def encode(held: Held, recorded_us: int) -> tuple[Any, ...]:
    """Turn a position into its row.

    Args:
        held: The position.
        recorded_us: Time of the commit, us UTC.

    Returns:
        Stored forms in declared order.
    """
    state = held.state
    return (
        held.position_id, held.account, held.symbol, state.side, state.status,
        money_text(state.amount, "amount"), money_text(state.entry_price, "entry_price"),
        money_text(state.entry_cost, "entry_cost"), _text(state.mark_price, "mark_price"),
        money_text(state.contract_size, "contract_size"), int(state.inverse), _text(held.leverage, "leverage"),
        held.margin_mode, _text(held.liquidation_price, "liquidation_price"),
        money_text(state.realized_pnl, "realized_pnl"), money_text(state.fees, "fees"),
        money_text(state.funding, "funding"), money_text(state.peak_amount, "peak_amount"),
        money_text(state.max_favourable, "max_favourable"), money_text(state.max_adverse, "max_adverse"),
        held.opened_us, held.updated_us, held.closed_us, held.close_reason, held.event_seq, held.strategy, held.bot,
        recorded_us,
    )  # fmt: skip


def decode(row: tuple[Any, ...]) -> Held:
    """Turn a row into a position.

    Args:
        row: The stored columns of ``positions``.

    Returns:
        The position.
    """
    (
        _id, position_id, account, symbol, side, status, amount, entry_price, entry_cost, mark_price, contract_size,
        inverse, leverage, margin_mode, liquidation_price, realized_pnl, fees, funding, peak_amount, max_favourable,
        max_adverse, opened_us, updated_us, closed_us, close_reason, event_seq, strategy, bot, _recorded_us,
    ) = row  # fmt: skip
    state = PositionState(
        side,
        status,
        Decimal(amount),
        Decimal(entry_price),
        Decimal(entry_cost),
        Decimal(contract_size),
        bool(inverse),
        None if mark_price is None else Decimal(mark_price),
        Decimal(realized_pnl),
        Decimal(fees),
        Decimal(funding),
        Decimal(peak_amount),
        Decimal(max_favourable),
        Decimal(max_adverse),
    )
    return Held(
        position_id,
        account,
        symbol,
        state,
        event_seq,
        opened_us,
        updated_us,
        closed_us,
        close_reason,
        None if leverage is None else Decimal(leverage),
        margin_mode,
        None if liquidation_price is None else Decimal(liquidation_price),
        strategy,
        bot,
    )


def present(held: Held) -> Position:
    """Turn what the writer remembers into a record.

    Args:
        held: The position.

    Returns:
        The record, with its unrealised profit at the last mark.
    """
    state = held.state
    return Position(
        held.position_id, held.account, held.symbol, state.side, state.status, state.amount, state.entry_price,
        state.entry_cost, state.mark_price, unrealized_pnl(state, state.mark_price), state.realized_pnl, state.fees,
        state.funding, state.contract_size, state.inverse, held.leverage, held.margin_mode, held.liquidation_price,
        state.peak_amount, state.max_favourable, state.max_adverse, moment(held.opened_us), moment(held.updated_us),
        None if held.closed_us is None else moment(held.closed_us), held.close_reason, held.strategy, held.bot,
    )  # fmt: skip


def held_of(database: DatabaseManager, row: tuple[Any, ...]) -> Held:
    """Return what a row of ``positions`` says; one that is as it was is not decoded again.

    Args:
        database: The open store.
        row: The stored columns.

    Returns:
        The position.
    """
    return database.cache.part(("held", row[_COLUMN["position_id"]]), row, decode)


def _show(row: tuple[Any, ...]) -> Position:
    return present(decode(row))


class PositionReader:
    """Point reads of positions; they run inline, in any thread.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    def get(self, position_id: str) -> Position | None:
        """Return a position of the hot store.

        Args:
            position_id: Its id.

        Returns:
            The position, open or closed in the last days; None where there is none.
        """
        database = self._database
        timeout_ms = database.config.position_query_timeout
        rows = database.readers.rows(database.statements["find_positions"], (position_id,), timeout_ms)
        return database.cache.record(("position", position_id), rows[0], _show) if rows else None

    def open(self, account: str = DEFAULT_ACCOUNT) -> list[Position]:
        """Return every open position of an account.

        Args:
            account: Whose.

        Returns:
            Positions in the order they were opened.
        """
        key = ("positions", account)
        return list(self._database.cache.result(key, ("positions",), lambda: self._load(account)))

    def _load(self, account: str) -> tuple[Position, ...]:
        return tuple([present(held) for held in self.held(account)])

    def held(self, account: str) -> list[Held]:
        """Return open positions with their arithmetic.

        Args:
            account: Whose.

        Returns:
            Positions in the order they were opened.
        """
        database = self._database
        timeout_ms = database.config.position_query_timeout
        rows = database.readers.rows(database.statements["open_positions"], (account,), timeout_ms)
        return sorted(
            (held_of(database, row) for row in listed(rows)),
            key=lambda held: (held.opened_us, held.position_id),
        )
