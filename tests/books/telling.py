"""Scripts told to a real store, and what its tables say afterwards, hot rows and archives together."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Context, Decimal
from random import Random
from typing import Any

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.trade_rows import FillResult
from hybridstore.store import HybridStore
from tests.hot.books import START_US
from tests.portfolio.oracle import Books, Sums, Terms, Told, decimal_of
from tests.portfolio.scripts import Cash, Fill, Funding, Mark, Script, Step

HOUR_US = DAY_US // 24
SPAN_US = 3 * DAY_US
_LETTERS: dict[type, str] = {Fill: "t", Funding: "f"}
_WIDE = Context(prec=100)
SUMS = ("net_flow", "realized", "funding", "fees", "other", "volume")


def renamed(script: Script, number: int) -> Script:
    """Give a script assets and markets of its own, so that many can share a store: a mark is no account's."""

    def name(asset: str) -> str:
        return f"{asset}{number}"

    def terms_of(terms: Terms) -> Terms:
        base, quote = name(terms.base), name(terms.quote)
        settle = None if terms.settle is None else name(terms.settle)
        expiry = "-261225" if terms.symbol.endswith("-261225") else ""
        symbol = f"{base}/{quote}" if settle is None else f"{base}/{quote}:{settle}{expiry}"
        return Terms(symbol, base, quote, settle, terms.size)

    def step_of(step: Step) -> Step:
        if isinstance(step, Cash):
            return step._replace(asset=name(step.asset))
        if isinstance(step, Fill):
            fees = tuple((name(asset), cost) for asset, cost in step.fees)
            cost = step.told_cost
            if cost is None and not step.terms.inverse:
                cost = step.terms.worth(step.amount, step.price)  # a store keeps what it cost, told or not
            return step._replace(terms=terms_of(step.terms), fees=fees, told_cost=cost)
        return step._replace(terms=terms_of(step.terms))

    return tuple(step_of(step) for step in script)


class Teller:
    """Tells one script to a store and to the other books, step by step.

    Args:
        store: The store.
        clock: Its clock; every step is a little later.
        account: Whose script it is.
        rng: Draws what is late and what is told twice.

    Attributes:
        books: The other books.
        told: What each fill came to, by trade id.
        positions: Ids of the store's positions in the order they were opened.
        entries: How many ledger entries there must be by asset.
        last: Name and moment of what was told last.
    """

    def __init__(self, store: HybridStore, clock: ManualClock, account: str, rng: Random) -> None:
        self.store = store
        self.account = account
        self.books = Books()
        self.told: dict[str, tuple[Fill, Told, int]] = {}
        self.positions: list[str] = []
        self.entries: dict[str, int] = defaultdict(int)
        self.last = ("", 0)
        self._clock = clock
        self._rng = rng
        self._number = 0

    def tell(self, step: Step) -> None:
        """Tell a step; now and then it happened some hours ago, or is told twice."""
        self._clock.advance(1 + int(self._rng.random() * HOUR_US))
        self._number += 1
        moment_us = self._clock.now_us()
        if self._rng.random() < 0.2:
            moment_us -= int(self._rng.random() * SPAN_US)
        self.books.hour = moment_us // HOUR_US
        self.last = f"{_LETTERS.get(type(step), 'c')}{self._number}", moment_us
        if isinstance(step, Fill):
            self._fill(step, moment_us)
        elif isinstance(step, Mark):
            self.books.mark(step.terms, step.price)
            self.store.record_mark(
                step.terms.symbol, mark=decimal_of(step.price), marked_at=self._clock.now_us()
            )
        elif isinstance(step, Funding):
            self._fund(step, moment_us)
        else:
            self._move(step, moment_us)

    def _fill(self, step: Fill, moment_us: int) -> None:
        name = f"t{self._number}"
        result = record(self.store, self.account, name, step, moment_us)
        assert not result.repeated
        if result.position is not None and result.position.position_id not in self.positions:
            self.positions.append(result.position.position_id)
        if self._rng.random() < 0.1:
            assert record(self.store, self.account, name, step, moment_us).repeated
        told = self.books.fill(
            step.terms,
            step.slot,
            step.price,
            step.amount,
            step.fees,
            buys=step.buys,
            told_cost=step.told_cost,
        )
        self.told[name] = step, told, moment_us
        for _, asset, _ in told.entries:
            self.entries[asset] += 1

    def _fund(self, step: Funding, moment_us: int) -> None:
        for time in range(2 if self._rng.random() < 0.1 else 1):
            result = self.store.record_funding(
                step.terms.symbol, decimal_of(step.amount), account=self.account, position_side=step.slot or None,
                funding_id=f"f{self._number}", occurred_at=moment_us,
            )  # fmt: skip
            assert result.repeated is (time == 1)
        self.books.fund(step.terms, step.slot, step.amount)
        self.entries[step.terms.profit_asset] += 1

    def _move(self, step: Cash, moment_us: int) -> None:
        row = (
            self.account,
            f"c{self._number}",
            step.kind,
            step.asset,
            decimal_of(step.amount),
            None,
            moment_us,
        )
        counts = self.store.record_ledger_entries([row, row] if self._rng.random() < 0.1 else [row])
        assert counts.inserted == 1
        self.books.move(step.kind, step.asset, step.amount)
        self.entries[step.asset] += 1


def record(store: HybridStore, account: str, name: str, step: Fill, moment_us: int) -> FillResult:
    """Record a fill of a script."""
    return store.record_fill(
        step.terms.symbol,
        "buy" if step.buys else "sell",
        decimal_of(step.price),
        decimal_of(step.amount),
        account=account,
        trade_id=name,
        contract_size=decimal_of(step.terms.size),
        quote_amount=None if step.told_cost is None else decimal_of(step.told_cost),
        fees=[(asset, decimal_of(cost)) for asset, cost in step.fees],
        position_side=step.slot or None,
        liquidation=step.forced,
        executed_at=moment_us,
    )


class Tables:
    """Every row of the books' datasets, by account, hot and archived.

    Args:
        store: The store.
    """

    def __init__(self, store: HybridStore) -> None:
        self._store = store
        self.trades = self._read("trades", "executed_at")
        self.ledger = self._read("ledger", "occurred_at")
        self.positions = self._read("positions", "opened_at")
        self.events = self._read("position_events", "position_id, seq")
        self.held = self._read("ledger_balances", "asset")
        self.hours = self._read("portfolio_hourly", "period")
        self.days = self._read("portfolio_daily", "period")

    def _read(self, dataset: str, order: str) -> dict[str, list[dict[str, Any]]]:
        found = self._store.sql(f"SELECT * FROM {dataset} ORDER BY {order}")
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for values in found.rows():
            row = dict(zip(found.columns, values, strict=True))
            rows[row["account"]].append(row)
        return rows


Done = tuple[Decimal | int, ...]


def shown_sums(rows: list[dict[str, Any]]) -> dict[tuple[str, int], Done]:
    """Return what hours or days say, by currency and start; those that say nothing are left out."""
    shown: dict[tuple[str, int], Done] = {
        (row["currency"], us_of(row["period"])): (*(row[name] for name in SUMS), row["trade_count"])
        for row in rows
    }
    return {key: done for key, done in shown.items() if any(done)}


def sums_by(books: Books, length_us: int) -> dict[tuple[str, int], Done]:
    """Return what hours or days must say."""
    merged: dict[tuple[str, int], Sums] = defaultdict(Sums)
    for (asset, hour), sums in books.sums.items():
        into = merged[asset, hour * HOUR_US // length_us * length_us]
        for name in (*SUMS, "count"):
            setattr(into, name, getattr(into, name) + getattr(sums, name))
    wanted: dict[tuple[str, int], Done] = {
        key: (*(decimal_of(getattr(sums, name)) for name in SUMS), sums.count) for key, sums in merged.items()
    }
    return {key: done for key, done in wanted.items() if any(done)}


def summed(amounts: Iterable[Decimal]) -> Decimal:
    """Add amounts up exactly."""
    return functools.reduce(_WIDE.add, amounts, Decimal(0))


def us_of(moment: datetime) -> int:
    """Return a moment as microseconds."""
    return round(moment.timestamp() * 1_000_000)


def new_clock() -> ManualClock:
    """Return the clock scripts begin at."""
    return ManualClock(START_US)
