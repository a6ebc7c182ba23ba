"""The store against a twin in plain Python: whatever is done in whatever order, also after reopening, they agree."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hybridstore.clock import ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.hot.rows import RowCounts
from hybridstore.store import HybridStore
from tests.hot.books import START_US, rows

PERPS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
ACCOUNTS = ("default", "kraken/главный")
ASSETS = ("BTC", "USDT", "比特")
BALANCES = st.integers(-(10**24), 10**24).map(lambda units: Decimal(units).scaleb(-12))
PRICES = st.integers(1, 10**6).map(lambda units: Decimal(units).scaleb(-2))
AMOUNTS = st.sampled_from([Decimal("0.001"), Decimal("0.5"), Decimal(1), Decimal(2), Decimal(3)])
MOMENTS = st.integers(START_US - 50, START_US + 50)


class Twin:
    """What the store should hold."""

    def __init__(self) -> None:
        self.latest: dict[tuple[str, str], tuple[int, Decimal]] = {}
        self.history: dict[tuple[str, str, int], tuple[Decimal, Decimal | None]] = {}
        self.versions: dict[tuple[str, str, int], list[Decimal]] = {}
        self.net: dict[tuple[str, str], Fraction] = {}
        self.cash: dict[tuple[str, str], Fraction] = {}
        self.marks: dict[str, tuple[int, Decimal]] = {}
        self.ticks: dict[int, tuple[Decimal, Decimal]] = {}
        self.old_ticks: set[tuple[int, Decimal, Decimal]] = set()
        self.fills: dict[tuple[str, str, str], list[tuple[Decimal, Decimal]]] = {}

    def balance(self, account: str, asset: str, amount: Decimal, moment: int) -> bool:
        """Record a balance of one moment, once; return whether it was new or a correction."""
        key = (account, asset, moment)
        if amount in self.versions.get(key, ()):
            return False
        self.versions.setdefault(key, []).append(amount)
        last = self.latest.get((account, asset))
        if key in self.history:
            known, change = self.history[key]
            self.history[key] = (amount, None if change is None else change + amount - known)
        elif last is None or moment < last[0]:
            self.history[key] = (amount, None)
        else:
            self.history[key] = (amount, amount - last[1])
        if last is None or moment >= last[0]:
            self.latest[account, asset] = (moment, amount)
        return True

    def fill(self, account: str, symbol: str, trade_id: str, signed: Decimal, price: Decimal) -> bool:
        """Record a fill, or its correction, once; return whether it was either."""
        versions = self.fills.setdefault((account, symbol, trade_id), [])
        if (signed, price) in versions:
            return False
        if versions:
            self.trade(account, symbol, -versions[-1][0], versions[-1][1])
        versions.append((signed, price))
        self.trade(account, symbol, signed, price)
        return True

    def trade(self, account: str, symbol: str, signed: Decimal, price: Decimal) -> None:
        """Add to the signed amount and to the cash it cost."""
        key = (account, symbol)
        self.net[key] = self.net.get(key, Fraction(0)) + Fraction(signed)
        self.cash[key] = self.cash.get(key, Fraction(0)) - Fraction(signed) * Fraction(price)


class StoreAgainstTwin(RuleBasedStateMachine):
    """Does the same to both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock(START_US + 1000)
        config = DatabaseConfig(
            database_path=str(Path(self.folder.name) / DATABASE_NAME), durability="normal", reserve_mb=0
        )
        self.store = HybridStore(config=config, clock=self.clock)
        self.twin = Twin()

    @initialize()
    def begin(self) -> None:
        self.store.open()

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(account=st.sampled_from(ACCOUNTS), asset=st.sampled_from(ASSETS), amount=BALANCES, moment=MOMENTS)
    def record_balance(self, account: str, asset: str, amount: Decimal, moment: int) -> None:
        self.store.record_balance_update(asset, amount, account=account, changed_at=moment)
        self.twin.balance(account, asset, amount, moment)

    @rule(updates=st.lists(st.tuples(st.sampled_from(ASSETS), BALANCES, MOMENTS), max_size=6))
    def record_balances(self, updates: list[tuple[str, Decimal, int]]) -> None:
        given = [
            (asset, amount, 0, "", None, moment, None, None, None, None) for asset, amount, moment in updates
        ]
        recorded = sum(self.twin.balance("default", *update) for update in updates)
        assert self.store.batch_update_balances(given) == recorded

    @rule(
        account=st.sampled_from(ACCOUNTS), symbol=st.sampled_from(PERPS), side=st.sampled_from(["buy", "sell"]),
        price=PRICES, amount=AMOUNTS, trade_id=st.integers(1, 30).map(str),
    )  # fmt: skip
    def record_fill(
        self, account: str, symbol: str, side: str, price: Decimal, amount: Decimal, trade_id: str
    ) -> None:
        known = (account, symbol, trade_id) in self.twin.fills
        result = self.store.record_fill(symbol, side, price, amount, account=account, trade_id=trade_id)
        recorded = self.twin.fill(account, symbol, trade_id, amount if side == "buy" else -amount, price)
        assert result.repeated is not recorded
        assert bool(result.corrected) is (known and recorded)
        assert recorded or result.position is None, "a fill told again changes no position"

    @rule(symbol=st.sampled_from(PERPS), price=PRICES, moment=MOMENTS)
    def record_mark(self, symbol: str, price: Decimal, moment: int) -> None:
        changed = rows(
            self.store, "SELECT updated_at FROM positions WHERE symbol = ? AND status = 'OPEN'", (symbol,)
        )
        assert len(changed) == sum(
            1 for (_, held), amount in self.twin.net.items() if held == symbol and amount
        )
        marked = self.store.record_mark(symbol, mark=price, marked_at=moment)
        taken = moment >= self.twin.marks.get(symbol, (0, price))[0]
        assert marked == (sum(last_us <= moment for (last_us,) in changed) if taken else 0)
        if taken:
            self.twin.marks[symbol] = (moment, price)

    @rule(ticks=st.lists(st.tuples(st.integers(1, 40), PRICES, AMOUNTS), max_size=8))
    def record_ticks(self, ticks: list[tuple[int, Decimal, Decimal]]) -> None:
        given = [("BTC/USDT", number, price, amount, "buy", START_US) for number, price, amount in ticks]
        inserted = corrected = 0
        first: dict[int, tuple[Decimal, Decimal]] = {}
        for number, price, amount in ticks:
            if number not in self.twin.ticks:
                self.twin.ticks[number] = first[number] = (price, amount)
                inserted += 1
        for number, price, amount in ticks:
            known = self.twin.ticks[number]
            if known != (price, amount) and (number, price, amount) not in self.twin.old_ticks:
                self.twin.old_ticks.add((number, *known))
                self.twin.ticks[number] = (price, amount)
                corrected += 1
        counts = self.store.record_market_trades(given)
        assert counts == RowCounts(inserted, len(ticks) - inserted - corrected, corrected)

    @precondition(lambda self: any(self.twin.net.values()))
    @rule(price=PRICES, data=st.data())
    def close_by_hand(self, price: Decimal, data: st.DataObject) -> None:
        account, symbol = data.draw(
            st.sampled_from(sorted(key for key, amount in self.twin.net.items() if amount))
        )
        (held,) = [one for one in self.store.get_open_positions(account) if one.symbol == symbol]
        assert self.store.close_position(held.position_id, price).amount == 0
        amount = self.twin.net[account, symbol]
        self.twin.net[account, symbol] = Fraction(0)
        self.twin.cash[account, symbol] += amount * Fraction(price)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store.open()

    @rule(seconds=st.integers(-5, 5))
    def move_the_clock(self, seconds: int) -> None:
        self.clock.advance(seconds * 1_000_000)

    @invariant()
    def latest_balances_agree(self) -> None:
        for account in ACCOUNTS:
            found = {one.asset: one.balance for one in self.store.get_all_balances(account)}
            wanted = {
                asset: amount for (owner, asset), (_, amount) in self.twin.latest.items() if owner == account
            }
            assert found == wanted

    @invariant()
    def positions_agree(self) -> None:
        for account in ACCOUNTS:
            held = {one.symbol: one for one in self.store.get_open_positions(account)}
            wanted = {
                symbol: net for (owner, symbol), net in self.twin.net.items() if owner == account and net
            }
            assert {
                symbol: Fraction(one.amount) * (1 if one.side == "LONG" else -1)
                for symbol, one in held.items()
            } == wanted
            for symbol in PERPS:
                realized = [
                    Fraction(Decimal(text))
                    for (text,) in rows(
                        self.store,
                        "SELECT realized_pnl FROM positions WHERE account = ? AND symbol = ?",
                        (account, symbol),
                    )
                ]
                cost = Fraction(0)
                if symbol in held:
                    cost = Fraction(held[symbol].entry_cost) * (1 if held[symbol].side == "LONG" else -1)
                # What came in less what went out is what was realised less what the open position cost.
                assert sum(realized) - cost == self.twin.cash.get((account, symbol), 0)

    def check_all(self) -> None:
        """Compare what grows, once at the end."""
        history = rows(self.store, "SELECT account, asset, changed_at, balance, change FROM balance_history")
        assert len(history) == len(self.twin.history)
        assert {
            (account, asset, moment): (Decimal(balance), None if change is None else Decimal(change))
            for account, asset, moment, balance, change in history
        } == self.twin.history
        ticks = rows(self.store, "SELECT trade_id, price, amount FROM market_trades")
        assert {number: (Decimal(price), Decimal(amount)) for number, price, amount in ticks} == {
            number: (price * 10**8, amount * 10**8) for number, (price, amount) in self.twin.ticks.items()
        }
        for symbol, (_, price) in self.twin.marks.items():
            found = self.store.get_mark(symbol)
            assert found is not None
            assert found.mark == price
        self.store.schema.verify()


class CheckedAtTheEnd(StoreAgainstTwin):
    """Compares everything before it leaves."""

    def teardown(self) -> None:
        try:
            if self.store.database.is_open:
                self.check_all()
        finally:
            super().teardown()


TestStoreAgainstTwin = CheckedAtTheEnd.TestCase
TestStoreAgainstTwin.settings = hypothesis.settings(max_examples=35, stateful_step_count=25, deadline=None)
