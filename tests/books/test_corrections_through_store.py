"""Random corrections, voids and late news of random lives: what is stored is always what the final fills come to.

Positions need not be what a recompute in another order gives (what a partial close took at the old average stays
taken), but nothing may be lost: amounts, cash, fees and every sum are exactly those of the fills as they stand.
"""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict
from decimal import Context, Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import HybridStoreError
from hybridstore.store import HybridStore
from tests.books.correcting import Corrector, covered
from tests.books.telling import HOUR_US, SUMS, Done, Tables, new_clock, renamed, shown_sums, us_of
from tests.portfolio.oracle import ONE, Sums, Terms, decimal_of, nearest
from tests.portfolio.scripts import Fill, make_script

ACCOUNTS = 40
SOAK_ACCOUNTS = 2000
PROVED = 10
_WIDE = Context(prec=100)
Entry = tuple[str, str, int, int]
"""Type, asset, units, moment."""


def units(amount: Decimal) -> int:
    """Return an amount as a whole number of 1e-18."""
    return int(amount.scaleb(18, _WIDE))


def compare(tables: Tables, teller: Corrector, *, is_covered: bool) -> None:
    """Compare what is stored of an account with its fills, entries and funding as they stand."""
    own = teller.account
    trades, ledger = tables.trades[own], tables.ledger[own]
    markets = {step.terms.symbol: step.terms for step, _, _ in teller.told.values()}
    for row in trades:
        compare_trade(row, *teller.final[row["trade_id"]])
    assert len(trades) == len(teller.final)
    legs = Counter(entry for row in trades for entry in legs_of(markets[row["symbol"]], row))
    other = [row for row in ledger if "|" not in row["entry_id"] or row["entry_id"].startswith("funding|")]
    made = Counter(entry_of(row) for row in ledger if row not in other and row["amount"])
    assert made == legs, "entries that fills make"
    assert Counter(entry_of(row) for row in other if row["amount"]) == Counter(given(teller)), "other entries"
    held: dict[str, int] = defaultdict(int)
    for row in ledger:
        held[row["asset"]] += units(row["amount"])
    entries = Counter(row["asset"] for row in ledger)
    for row in tables.held[own]:
        assert (units(row["amount"]), row["entries"]) == (held[row["asset"]], entries[row["asset"]]), row
    assert {row["asset"] for row in tables.held[own]} >= set(entries)
    for rows, length_us in ((tables.hours[own], HOUR_US), (tables.days[own], DAY_US)):
        assert shown_sums(rows) == recomputed(markets, trades, other, length_us), "sums by hour or day"
    compare_positions(tables, own)
    compare_funding(tables, own)
    for terms in markets.values():
        hedged = any(step.slot for step, _, _ in teller.told.values() if step.terms == terms)
        prove_market(tables, teller, terms, whole=is_covered or not (terms.spot or hedged))
    if is_covered:
        prove_assets(tables, own, held)


def compare_trade(row: dict[str, Any], step: Fill | None, moment_us: int) -> None:
    assert us_of(row["executed_at"]) == moment_us
    if step is None:
        assert (row["amount"], row["quote_amount"], row["fee"], row["fees"]) == (0, 0, None, None), row
        return
    assert (row["side"] == "buy", units(row["price"]), units(row["amount"])) == (
        step.buys,
        step.price,
        step.amount,
    )
    assert fees_of(row) == [*step.fees]


def fees_of(row: dict[str, Any]) -> list[tuple[str, int]]:
    if row["fees"] is not None:
        return [(fee["currency"], units(Decimal(fee["cost"]))) for fee in json.loads(row["fees"])]
    return [] if row["fee"] is None else [(row["fee_currency"], units(row["fee"]))]


def legs_of(terms: Terms, row: dict[str, Any]) -> list[Entry]:
    """Return the entries a trade makes as it stands."""
    at_us = us_of(row["executed_at"])
    sign = 1 if row["side"] == "buy" else -1
    if terms.spot:
        legs = [
            ("trade", terms.base, sign * units(row["amount"]), at_us),
            ("trade", terms.quote, -sign * units(row["quote_amount"]), at_us),
        ]
    else:
        legs = [("trade", terms.profit_asset, units(row["realized_pnl"] or Decimal(0)), at_us)]
    legs += [("fee" if cost > 0 else "rebate", asset, -cost, at_us) for asset, cost in fees_of(row)]
    return [leg for leg in legs if leg[2]]


def entry_of(row: dict[str, Any]) -> Entry:
    return row["type"], row["asset"], units(row["amount"]), us_of(row["occurred_at"])


def given(teller: Corrector) -> list[Entry]:
    cash = [(one.kind, one.asset, one.amount, at_us) for one, at_us in teller.entered.values() if one]
    paid = [
        ("funding", one.terms.profit_asset, one.amount, at_us)
        for one, at_us in teller.funded.values()
        if one.amount
    ]
    return cash + paid


def recomputed(
    markets: dict[str, Terms], trades: list[dict[str, Any]], other: list[dict[str, Any]], length_us: int
) -> dict[tuple[str, int], Done]:
    """Sum up what was done from trades and entries as they stand."""
    sums: dict[tuple[str, int], Sums] = defaultdict(Sums)
    for row in trades:
        terms, start_us = markets[row["symbol"]], us_of(row["executed_at"]) // length_us * length_us
        sums[terms.profit_asset, start_us].realized += units(row["realized_pnl"] or Decimal(0))
        quote = sums[terms.quote, start_us]
        quote.volume += units(row["quote_amount"])
        quote.count += 1 if row["amount"] else 0
        for asset, cost in charged(terms, row):
            sums[asset, start_us].fees += cost
    for row in other:
        into = sums[row["asset"], us_of(row["occurred_at"]) // length_us * length_us]
        name = {
            "deposit": "net_flow",
            "withdrawal": "net_flow",
            "transfer": "net_flow",
            "funding": "funding",
        }.get(row["type"], "other")
        setattr(into, name, getattr(into, name) + units(row["amount"]))
    shown: dict[tuple[str, int], Done] = {
        key: (*(decimal_of(getattr(done, name)) for name in SUMS), done.count) for key, done in sums.items()
    }
    return {key: done for key, done in shown.items() if any(done)}


def charged(terms: Terms, row: dict[str, Any]) -> list[tuple[str, int]]:
    """Return a trade's fees as they count: one in the base of a spot market in quote, at its price."""
    fees = fees_of(row)
    if not terms.spot:
        return fees
    in_base = sum(cost for asset, cost in fees if asset == terms.base)
    return [
        *((asset, cost) for asset, cost in fees if asset != terms.base),
        (terms.quote, nearest(units(row["price"]) * in_base, ONE)),
    ]


def compare_positions(tables: Tables, own: str) -> None:
    """Every position is the sum of its events, and there is one open at most where there may be one."""
    events: dict[str, dict[str, int]] = defaultdict(functools.partial(defaultdict, int))
    for event in tables.events[own]:
        for name, value in event.items():
            if name.endswith("_delta"):
                events[event["position_id"]][name] += units(value)
    for row in tables.positions[own]:
        sums = events[row["position_id"]]
        assert sums["amount_delta"] == units(row["amount"]), row
        assert sums["cost_delta"] == units(row["entry_cost"]), row
        assert sums["realized_delta"] == units(row["realized_pnl"]), row
        assert sums["fees_delta"] == units(row["fees"]), row
        assert sums["funding_delta"] == units(row["funding"]), row
        assert row["amount"] >= 0
        assert row["entry_cost"] >= 0
        assert (row["status"] == "CLOSED") is (row["amount"] == 0) is (row["closed_at"] is not None), row
        assert row["status"] == "OPEN" or row["entry_cost"] == 0
        assert row["peak_amount"] >= row["amount"]


def compare_funding(tables: Tables, own: str) -> None:
    """At every moment a position counts the funding the ledger has of it, unless it was archived when corrected."""
    paid: dict[str, Counter[int]] = defaultdict(Counter)
    for row in tables.ledger[own]:
        if row["type"] == "funding":
            paid[row["reference"]][us_of(row["occurred_at"])] += units(row["amount"])
    added: dict[str, Counter[int]] = defaultdict(Counter)
    for event in tables.events[own]:
        added[event["position_id"]][us_of(event["occurred_at"])] += units(event["funding_delta"])
    for row in tables.positions[own]:
        wanted, found = paid[row["position_id"]], added[row["position_id"]]
        differing = {at_us for at_us in {*wanted, *found} if wanted[at_us] != found[at_us]}
        assert not differing or row["status"] == "CLOSED", row["position_id"]


def prove_market(tables: Tables, teller: Corrector, terms: Terms, *, whole: bool) -> None:
    """Amounts, cash and profit of a market's positions are those of its fills."""
    positions = [row for row in tables.positions[teller.account] if row["symbol"] == terms.symbol]
    trades = [row for row in tables.trades[teller.account] if row["symbol"] == terms.symbol]
    realized = sum(units(row["realized_pnl"]) for row in positions)
    assert realized == sum(units(row["realized_pnl"] or Decimal(0)) for row in trades), terms.symbol
    open_ = Counter(row["side"] for row in positions if row["status"] == "OPEN")
    hedged = any(step.slot for step, _, _ in teller.told.values() if step.terms == terms)
    assert (max(open_.values(), default=0) if hedged else open_.total()) <= 1, (
        f"several open on {terms.symbol}"
    )
    if not whole:
        return
    amount = cash = 0
    for row in trades:
        sign = 1 if row["side"] == "buy" else -1
        cost = units(row["quote_amount"])
        if terms.inverse:
            cost = terms.worth(units(row["amount"]), units(row["price"]))
        amount += sign * units(row["amount"])
        cash -= sign * cost
        if terms.spot:
            in_base = sum(cost for asset, cost in fees_of(row) if asset == terms.base)
            amount -= in_base
            cash += nearest(units(row["price"]) * in_base, ONE)
    signs = {row["position_id"]: 1 if row["side"] == "LONG" else -1 for row in positions}
    assert sum(signs[row["position_id"]] * units(row["amount"]) for row in positions) == amount, terms.symbol
    cost = sum(signs[row["position_id"]] * units(row["entry_cost"]) for row in positions)
    assert realized == (-(cash + cost) if terms.inverse else cash + cost), f"cash of {terms.symbol}"


def prove_assets(tables: Tables, own: str, held: dict[str, int]) -> None:
    """Prove every asset without a price; nothing was sold that no position held, so nothing is left over."""
    reasons: dict[str, int] = defaultdict(int)
    for row in tables.days[own]:
        gained = units(row["net_flow"]) + units(row["realized"]) + units(row["funding"]) + units(row["other"])
        reasons[row["currency"]] += gained - units(row["fees"])
    for row in tables.positions[own]:
        if ":" not in row["symbol"]:
            base, quote = row["symbol"].split("/")
            reasons[base] += units(row["amount"])
            reasons[quote] -= units(row["entry_cost"])
    assert {asset: amount for asset, amount in held.items() if amount} == {
        asset: amount for asset, amount in reasons.items() if amount
    }


class Life:
    """One account's script, told in two halves with corrections between the steps."""

    def __init__(self, store: HybridStore, clock: ManualClock, seed: int, number: int) -> None:
        rng = Random(seed + number)
        self.seed = seed + number
        self.is_covered = number % 2 == 0
        script = renamed(make_script(rng, storable=True, steps=(6, 40)), number)
        self._script = covered(script) if self.is_covered else script
        self._rng = rng
        self.teller = Corrector(store, clock, f"a{number}", rng)
        self.teller.protected = len(self._script) - len(script)

    def live(self, half: int) -> None:
        """Tell a half of the script, and correct what was told until then."""
        middle = max(len(self._script) // 2, self.teller.protected)
        for step in self._script[:middle] if half == 0 else self._script[middle:]:
            self.teller.tell(step)
            while self._rng.random() < 0.3:
                self.teller.correct()

    def check(self, tables: Tables) -> None:
        compare(tables, self.teller, is_covered=self.is_covered)

    def prove(self, store: HybridStore) -> None:
        """Let the store prove the account's books itself."""
        proof = store.books.prove(self.teller.account)
        assert proof.holds, proof.faults

    def words(self) -> str:
        return f"life {self.seed}:\n" + "\n".join(self.teller.said)


def run(folder: Path, seed: int, accounts: int) -> None:
    """Tell every life's first half, archive it, tell the rest; look at everything after each."""
    clock = new_clock()
    with HybridStore(folder, clock=clock) as store:
        lives = [Life(store, clock, seed, number) for number in range(accounts)]
        for half in (0, 1):
            for life in lives:
                _guarded(life, functools.partial(life.live, half))
            _check(store, lives)
            clock.advance(20 * DAY_US)
            assert store.retention.run().rows
            _check(store, lives)
            for life in lives[:PROVED]:
                _guarded(life, functools.partial(life.prove, store))


def _check(store: HybridStore, lives: list[Life]) -> None:
    tables = Tables(store)
    for life in lives:
        _guarded(life, functools.partial(life.check, tables))


def _guarded(life: Life, what: Any) -> None:
    try:
        what()
    except (AssertionError, ArithmeticError, HybridStoreError) as error:
        raise AssertionError(f"{type(error).__name__}: {error}\n{life.words()}") from error


def test_what_is_stored_is_what_the_final_fills_come_to(tmp_path: Path, seed: int) -> None:
    run(tmp_path, seed, ACCOUNTS)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_more_lives_are_corrected(tmp_path: Path, seed: int) -> None:
    for part in range(SOAK_ACCOUNTS // 100):
        run(tmp_path / str(part), seed + part * 100, 100)
