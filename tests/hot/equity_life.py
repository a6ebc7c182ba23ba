"""A random life of an account, and what its equity snapshots must say, reckoned from what no sum is made of."""

from __future__ import annotations

from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Context, Decimal
from random import Random
from typing import Any

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.equity import EquitySnapshot
from hybridstore.schema.types import moment
from hybridstore.store import HybridStore

HOUR_US = DAY_US // 24
ACCOUNT, BASE = "kraken/main", "USDT"
PERP, SPOT = "BTC/USDT:USDT", "ETH/USDT"
PERIODS = {"portfolio_hourly": HOUR_US, "portfolio_daily": DAY_US}
_WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)
_PLACE = Decimal(1).scaleb(-18)


def rounded(amount: Decimal) -> Decimal:
    """Round to what money can hold."""
    return _WIDE.quantize(amount, _PLACE)


class Reckoning:
    """What a snapshot must say, from what the test itself knows and from rows no sum is made of."""

    def __init__(self, store: HybridStore) -> None:
        self.store = store
        self.marks: dict[str, Decimal] = {}
        self.balances: dict[str, Decimal] = {}
        self.counted: dict[str, Decimal] = defaultdict(Decimal)
        self.net_flows: dict[int, Decimal] = {}

    def price(self, asset: str) -> Decimal | None:
        """Return an asset's price."""
        if asset == BASE:
            return Decimal(1)
        if f"{asset}/{BASE}" in self.marks:
            return self.marks[f"{asset}/{BASE}"]
        if f"{asset}/{BASE}:{BASE}" in self.marks:
            return self.marks[f"{asset}/{BASE}:{BASE}"]
        other = self.marks.get(f"{BASE}/{asset}")
        return None if other is None else rounded(_WIDE.divide(Decimal(1), other))

    def value(self, amounts: dict[str, Decimal]) -> Decimal | None:
        """Value amounts; None where one has no price."""
        total = Decimal(0)
        for asset, amount in amounts.items():
            price = self.price(asset)
            if amount and price is None:
                return None
            if amount and price is not None:
                total = _WIDE.add(total, rounded(_WIDE.multiply(amount, price)))
        return total

    def sums(self, kinds: str) -> dict[str, Decimal]:
        """Add up ledger entries of some types by asset."""
        asked = f"SELECT asset, sum(amount) FROM ledger WHERE account = $account AND type IN ({kinds}) GROUP BY asset"
        return dict(self.store.sql(asked, account=ACCOUNT).rows())

    def check(self, taken: EquitySnapshot) -> None:
        """Compare a snapshot that was just recorded."""
        unrealized: dict[str, Decimal] = defaultdict(Decimal)
        for position in self.store.get_open_positions(ACCOUNT):
            mark = self.marks[position.symbol]
            worth = _WIDE.subtract(_WIDE.multiply(mark, position.amount), position.entry_cost)
            profit = worth if position.side == "LONG" else -worth
            unrealized[position.symbol] = _WIDE.add(unrealized[position.symbol], profit)
        lacking = {asset for asset, amount in self.balances.items() if amount and self.price(asset) is None}
        held = {asset: amount for asset, amount in self.balances.items() if asset not in lacking}
        assert set(taken.unpriced) == lacking
        assert taken.cash == self.value(held)
        assert taken.unrealized == _WIDE.add(unrealized[PERP], unrealized[SPOT])
        assert taken.positions_value == unrealized[PERP], "a spot position is a view of a balance"
        assert taken.equity == _WIDE.add(taken.cash, unrealized[PERP])
        realized = self.store.sql(
            "SELECT sum(realized_pnl) FROM trades WHERE account = $account", account=ACCOUNT
        )
        assert taken.realized_cumulative == (realized.rows()[0][0] or 0)
        fees = self.value({asset: -amount for asset, amount in self.sums("'fee', 'rebate'").items()})
        assert taken.fees_cumulative == fees
        assert taken.funding_cumulative == self.value(self.sums("'funding'"))
        self.check_flows(taken)

    def check_flows(self, taken: EquitySnapshot) -> None:
        """Count flows that no snapshot counted, and compare."""
        net_flow = Decimal(0)
        flowed = self.sums("'deposit', 'withdrawal', 'transfer'")
        for asset in sorted({*flowed, *self.counted}):  # an entry may have been corrected to be of another
            price, flows = self.price(asset), flowed.get(asset, Decimal(0))
            since = flows - self.counted[asset]
            if price is not None:
                net_flow = _WIDE.add(net_flow, rounded(_WIDE.multiply(since, price)))
                self.counted[asset] = flows
            elif since:
                assert asset in taken.unpriced_sums
        key = int(taken.taken_at.timestamp() * 1_000_000)
        self.net_flows[key] = _WIDE.add(self.net_flows.get(key, Decimal(0)), net_flow)
        assert taken.net_flow == self.net_flows[key]


def check_periods(store: HybridStore) -> None:
    """Compare the equity of every hour and day with all snapshots, hot and archived."""
    asked = "SELECT account, base_currency, taken_at, equity FROM portfolio_snapshots WHERE unpriced IS NULL"
    taken = sorted(store.sql(asked).rows(), key=lambda row: row[2])
    for name, length_us in PERIODS.items():
        expected: dict[Any, list[Decimal]] = defaultdict(list)
        for account, currency, at, equity in taken:
            at_us = round(at.timestamp() * 1_000_000)
            expected[account, currency, moment(at_us - at_us % length_us)].append(equity)
        figures = "equity_open, equity_high, equity_low, equity_close"
        kept = store.sql(
            f"SELECT account, currency, period, {figures} FROM {name} WHERE equity_open IS NOT NULL"
        )
        assert {row[:3]: row[3:] for row in kept.rows()} == {
            key: (inside[0], max(inside), min(inside), inside[-1]) for key, inside in expected.items()
        }, name


class Life:
    """A random life of an account, one step after another."""

    def __init__(self, store: HybridStore, clock: ManualClock, rng: Random) -> None:
        self.store, self.clock, self.rng = store, clock, rng
        self.reckoning = Reckoning(store)
        self.entries: list[str] = []
        self.trades: list[tuple[str, str]] = []
        self.taken: list[EquitySnapshot] = []
        self.by_hand: list[int] = []
        self.number = 0
        for symbol in (PERP, SPOT):
            self.mark(symbol)

    def step(self) -> None:
        """Do something."""
        self.clock.advance(self.rng.randrange(1, HOUR_US // 2))
        self.number += 1
        steps = [
            self.mark_one,
            self.flow,
            self.void_one,
            self.balance,
            self.fill,
            self.fund,
            self.snap,
            self.snap,
        ]
        self.rng.choice([*steps, self.again, self.snap_late, self.import_one])()

    def earlier(self) -> int:
        """Return a moment of the last days, now and then far back."""
        return self.clock.now_us() - self.rng.randrange(
            self.rng.choice((1, HOUR_US, 2 * DAY_US, 12 * DAY_US)) + 1
        )

    def money(self, most: int) -> Decimal:
        """Return an amount."""
        return Decimal(self.rng.randrange(1, most * 10_000)).scaleb(-4)

    def mark(self, symbol: str) -> None:
        """Give a market a price."""
        price = self.money(1_000)
        self.store.record_mark(symbol, mark=price, marked_at=self.clock.now_us())
        self.reckoning.marks[symbol] = price

    def mark_one(self) -> None:
        """Give some market a price; that of FOO comes late in life."""
        symbols = [PERP, SPOT, "USDT/EUR", *(["FOO/USDT"] if self.number > 150 else [])]
        self.mark(self.rng.choice(symbols))

    def flow(self) -> None:
        """Deposit, withdraw or transfer, perhaps long ago; or correct an earlier one."""
        again = bool(self.entries) and self.rng.random() < 0.2
        entry = self.rng.choice(self.entries) if again else f"e{self.number}"
        kind, asset = (
            self.rng.choice(("deposit", "withdrawal", "transfer")),
            self.rng.choice((BASE, "ETH", "EUR", "FOO")),
        )
        row = (ACCOUNT, entry, kind, asset, self.money(100) - 40, None, self.earlier())
        self.store.record_ledger_entries([row])
        if not again:
            self.entries.append(entry)

    def void_one(self) -> None:
        """Take something back."""
        if self.entries and self.rng.random() < 0.5:
            self.store.void_ledger_entry(self.rng.choice(self.entries), ACCOUNT)
        elif self.trades:
            symbol, trade_id = self.trades.pop(self.rng.randrange(len(self.trades)))
            self.store.void_fill(symbol, trade_id, account=ACCOUNT)

    def balance(self) -> None:
        """Report a balance."""
        asset = self.rng.choice((BASE, "ETH", "EUR", *(["FOO"] if self.number > 100 else [])))
        amount = self.rng.choice((Decimal(0), self.money(50)))
        self.store.record_balance_update(asset, amount, account=ACCOUNT, changed_at=self.clock.now_us())
        self.reckoning.balances[asset] = amount

    def fill(self) -> None:
        """Trade; spot only where the account has a balance of the base asset on record."""
        symbol = self.rng.choice([PERP, *([SPOT] if "ETH" in self.reckoning.balances else [])])
        self.store.record_fill(
            symbol, self.rng.choice(("buy", "sell")), self.money(500), self.money(5), account=ACCOUNT,
            trade_id=f"t{self.number}", executed_at=self.clock.now_us(), fee=self.money(2) - 1,
            fee_currency=self.rng.choice((BASE, BASE, "EUR")),
        )  # fmt: skip
        self.trades.append((symbol, f"t{self.number}"))

    def fund(self) -> None:
        """Be paid funding, or pay it."""
        self.store.record_funding(PERP, self.money(3) - 1, account=ACCOUNT, occurred_at=self.clock.now_us())

    def keep(self, taken: EquitySnapshot) -> None:
        """Check a snapshot."""
        self.reckoning.check(taken)
        self.taken.append(taken)

    def snap(self) -> None:
        """Take a snapshot."""
        self.keep(self.store.record_portfolio_snapshot(ACCOUNT, BASE))

    def snap_late(self) -> None:
        """Take a snapshot of an earlier moment."""
        self.keep(self.store.record_portfolio_snapshot(ACCOUNT, taken_at=self.earlier()))

    def again(self) -> None:
        """Take a snapshot of a moment that has one."""
        if self.taken:
            at = self.rng.choice(self.taken).taken_at
            again = self.store.record_portfolio_snapshot(ACCOUNT, taken_at=at)
            assert again.outcome in ("repeated", "corrected")
            self.keep(again)

    def import_one(self) -> None:
        """Insert a row by hand, of another account: a new one, one known, or another version of it."""
        at = self.earlier() if not self.by_hand or self.rng.random() < 0.6 else self.rng.choice(self.by_hand)
        self.by_hand.append(at)
        row = dict.fromkeys(("cash", "positions_value", "unrealized", "net_flow"), 0)
        unpriced = self.rng.choice((None, None, ["FOO"]))
        known = {"account": "imported", "base_currency": "EUR", "taken_at": at}
        self.store.insert(
            "portfolio_snapshots", [{**row, **known, "equity": self.rng.randrange(5), "unpriced": unpriced}]
        )
