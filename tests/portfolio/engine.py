"""An account as the package's pure functions keep it, held against the books kept a second way.

The engine sees Decimals inside a hostile context; the other side (tests/portfolio/oracle.py) counts whole numbers of
1e-18 and shares no code with it.
"""

from __future__ import annotations

import decimal
from collections import Counter, defaultdict
from decimal import Context, Decimal
from random import Random

from hybridstore.errors import HybridStoreError
from hybridstore.portfolio.activity import NONE, Activity, add_activity, entry_activity, fill_activity
from hybridstore.portfolio.fill import FillInput, cost_of, fee_totals, net_pnl
from hybridstore.portfolio.ledger import fill_entries
from hybridstore.portfolio.money import ONE, ZERO, add, multiply, subtract, total
from hybridstore.portfolio.position import (
    CLOSED,
    LONG,
    PositionEvent,
    PositionState,
    apply_fill,
    apply_funding,
    apply_mark,
    apply_sided_fill,
    change_event,
    unrealized_pnl,
)
from hybridstore.portfolio.summary import summarize
from hybridstore.portfolio.symbols import Market, parse_symbol
from tests.portfolio.oracle import Books, Stake, decimal_of
from tests.portfolio.scripts import Cash, Fill, Funding, Mark, Script, tell

HOSTILE = Context(prec=3, rounding=decimal.ROUND_UP, traps=[decimal.Inexact, decimal.Rounded])
"""What a caller's context may be; every script runs inside it."""
_WIDE = Context(prec=200)
SHOWN = ("amount", "entry_cost", "entry_price", "realized_pnl", "fees", "funding", "peak_amount", "max_favourable",
         "max_adverse")  # fmt: skip


class Kept:
    """One position as the engine has it, and the sum of its events."""

    def __init__(self, state: PositionState, event: PositionEvent) -> None:
        self.state = state
        self.sums = [ZERO] * 5
        self.last = event
        self.note(state, event)

    def note(self, state: PositionState, event: PositionEvent) -> None:
        self.state = state
        self.last = event
        deltas = (
            event.amount_delta,
            event.cost_delta,
            event.realized_delta,
            event.fees_delta,
            event.funding_delta,
        )
        self.sums = [add(one, delta) for one, delta in zip(self.sums, deltas, strict=True)]


class Engine:
    """An account as the package's pure functions keep it."""

    def __init__(self) -> None:
        self.booked: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self.open: dict[tuple[str, str], Kept] = {}
        self.positions: list[Kept] = []
        self.activity: dict[str, Activity] = defaultdict(lambda: NONE)
        self.kinds: set[str] = set()

    def fill(self, step: Fill, books: Books) -> None:
        """Apply a fill and compare what it says of itself with what the other books say."""
        told = books.fill(
            step.terms,
            step.slot,
            step.price,
            step.amount,
            step.fees,
            buys=step.buys,
            told_cost=step.told_cost,
        )
        market, price, amount = (
            parse_symbol(step.terms.symbol),
            decimal_of(step.price),
            decimal_of(step.amount),
        )
        fees = [(asset, decimal_of(cost)) for asset, cost in step.fees]
        totals = fee_totals(market, price, fees)
        size = decimal_of(step.terms.size)
        cost = None if step.told_cost is None else decimal_of(step.told_cost)
        one = FillInput(
            "buy" if step.buys else "sell", price, amount, size, market.inverse, totals.known_in_quote, totals.in_base,
            cost, step.forced,
        )  # fmt: skip
        realized = self._apply((step.terms.symbol, step.slot), one, market)
        notional = cost_of(ONE, amount, size, inverse=False) if market.inverse else (
            cost_of(price, amount, size, inverse=False) if cost is None else cost
        )  # fmt: skip
        entries = fill_entries(market, one.side, amount, notional, realized or ZERO, fees)
        assert realized == (None if told.realized is None else decimal_of(told.realized)), (
            "realised by the fill"
        )
        assert [entry[1:] for entry in entries] == [
            (kind, asset, decimal_of(moved)) for kind, asset, moved in told.entries
        ], "ledger entries of the fill"
        for entry in entries:
            self.booked[entry.asset] = add(self.booked[entry.asset], entry.amount)
        net = net_pnl(market, price, realized or ZERO, fees)
        assert net == (None if told.net is None else decimal_of(told.net)), "net of the fill"
        for asset, done in fill_activity(market, price, amount, notional, realized or ZERO, fees).items():
            self.activity[asset] = add_activity(self.activity[asset], done)

    def _apply(self, key: tuple[str, str], one: FillInput, market: Market) -> Decimal | None:
        """Apply what of a fill may meet its position; None where none of it may."""
        kept = self.open.get(key)
        side = key[1] or (LONG if market.is_spot else "")
        state = kept.state if kept else None
        change = apply_sided_fill(state, one, side) if side else apply_fill(state, one)
        if change is None:
            return None
        events = [event for event in (change.before_event, change.opened_event) if event]
        self.kinds.update(event.kind for event in events)
        assert change.realized_delta == total(event.realized_delta for event in events)
        if kept and change.before and change.before_event:
            kept.note(change.before, change.before_event)
            if change.before.status == CLOSED:
                del self.open[key]
        if change.opened and change.opened_event:
            opened = Kept(change.opened, change.opened_event)
            self.positions.append(opened)
            if change.opened.status != CLOSED:
                self.open[key] = opened
        return change.realized_delta

    def fund(self, step: Funding) -> None:
        asset, amount = step.terms.profit_asset, decimal_of(step.amount)
        self._enter("funding", asset, amount)
        kept = self.open.get((step.terms.symbol, step.slot))
        if kept:
            after = apply_funding(kept.state, amount)
            kept.note(after, change_event("funding", kept.state, after, None))
            self.kinds.add("funding")

    def mark(self, step: Mark) -> None:
        for (symbol, _), kept in self.open.items():
            if symbol == step.terms.symbol:
                kept.state = apply_mark(kept.state, decimal_of(step.price))

    def move(self, step: Cash) -> None:
        self._enter(step.kind, step.asset, decimal_of(step.amount))

    def _enter(self, kind: str, asset: str, amount: Decimal) -> None:
        self.booked[asset] = add(self.booked[asset], amount)
        self.activity[asset] = add_activity(self.activity[asset], entry_activity(kind, amount))


def play(script: Script) -> tuple[Engine, Books]:
    """Live a script through on both sides."""
    engine, books = Engine(), Books()
    with decimal.localcontext(HOSTILE):
        for step in script:
            if isinstance(step, Fill):
                engine.fill(step, books)
                continue
            tell(books, step)
            if isinstance(step, Funding):
                engine.fund(step)
            elif isinstance(step, Mark):
                engine.mark(step)
            else:
                engine.move(step)
    return engine, books


def compare(engine: Engine, books: Books) -> None:
    """Compare every position, every sum of events, every sum of a currency."""
    assert len(engine.positions) == len(books.stakes), "number of positions"
    for number, (kept, stake) in enumerate(zip(engine.positions, books.stakes, strict=True)):
        state = kept.state
        assert [*shown(state)] == [*told(stake)], f"position {number} on {stake.terms.symbol}"
        assert kept.sums == [state.amount, state.entry_cost, state.realized_pnl, state.fees, state.funding], (
            f"events of position {number}"
        )
        assert (kept.last.amount_after, kept.last.entry_after) == (state.amount, state.entry_price)
    assert {asset: amount for asset, amount in engine.booked.items() if amount} == {
        asset: decimal_of(amount) for asset, amount in books.booked.items() if amount
    }, "what the ledger holds"
    for asset in {*engine.activity, *(asset for asset, _ in books.sums)}:
        sums = books.sums[asset, 0]
        assert engine.activity[asset] == (
            *(decimal_of(getattr(sums, name)) for name in Activity._fields[:-1]),
            sums.count,
        ), f"sums in {asset}"


def shown(state: PositionState) -> tuple[object, ...]:
    return (
        state.side, state.status, state.mark_price, state.contract_size, state.inverse,
        *(getattr(state, name) for name in SHOWN),
    )  # fmt: skip


def told(stake: Stake) -> tuple[object, ...]:
    amounts = (
        stake.amount, stake.cost, stake.entry, stake.realized, stake.fees, stake.funding, stake.peak, stake.best,
        stake.worst,
    )  # fmt: skip
    return (
        "LONG" if stake.long else "SHORT", "OPEN" if stake.amount else "CLOSED",
        None if stake.mark is None else decimal_of(stake.mark), decimal_of(stake.terms.size), stake.terms.inverse,
        *map(decimal_of, amounts),
    )  # fmt: skip


def prove(engine: Engine, books: Books, rng: Random) -> None:
    """Prove the engine's own figures: by asset without a price, and as equity in one currency at random prices."""
    held: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for (symbol, _), kept in engine.open.items():
        market = parse_symbol(symbol)
        if market.is_spot:
            held[market.base] = add(held[market.base], kept.state.amount)
            held[market.quote] = subtract(held[market.quote], kept.state.entry_cost)
    assets = sorted({*engine.booked, *engine.activity, *held, *books.outside})
    earned: dict[str, Decimal] = {}
    for asset in assets:
        done, outside = engine.activity[asset], decimal_of(books.outside[asset])
        earned[asset] = total((done.realized, done.funding, done.fees.copy_negate(), done.other, outside))
        explained = total((done.net_flow, earned[asset], held[asset]))
        assert engine.booked[asset] == explained, f"proof of {asset}"
    prices, marks = _closing_prices(engine, assets, rng)
    valued = [
        (str(number), symbol, kept.state) for number, ((symbol, _), kept) in enumerate(engine.open.items())
    ]
    for key, kept in engine.open.items():
        price = marks[key[0]]
        unrealized = books.open[key].unrealized(int(price.scaleb(18, _WIDE)))
        assert unrealized_pnl(kept.state, price) == decimal_of(unrealized), f"unrealised of {key}"
    summary = summarize("default", {asset: engine.booked[asset] for asset in assets}, valued, marks, "USDT")
    assert not summary.unpriced
    deposits = total(multiply(engine.activity[asset].net_flow, prices[asset]) for asset in assets)
    profit = total(multiply(earned[asset], prices[asset]) for asset in assets)
    change = subtract(summary.equity, deposits)
    assert change == add(profit, summary.unrealized_pnl), "equity change - net deposits"


def _closing_prices(
    engine: Engine, assets: list[str], rng: Random
) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Draw a price of every asset in USDT, and a mark of every market that agrees with them.

    They are whole numbers where a balance is valued, so that no product is rounded; contracts have any mark.
    """
    prices = {asset: Decimal(rng.randint(1, 10**6)) for asset in assets} | {"USDT": Decimal(1)}
    marks = {}
    for symbol in sorted({symbol for symbol, _ in engine.open}):
        market = parse_symbol(symbol)
        if not market.is_spot:
            marks[symbol] = decimal_of(rng.randint(1, 10 ** rng.randint(1, 24)))
        elif market.quote != "USDT":
            marks[symbol] = Decimal(rng.randint(1, 1000))
            prices[market.base] = multiply(prices[market.quote], marks[symbol])
    return prices, marks | {f"{asset}/USDT": price for asset, price in prices.items()}


def problem_of(script: Script, seed: int, kinds: Counter[str] | None = None) -> str | None:
    """Play, compare and prove a script; say what is wrong, None where nothing is.

    Args:
        script: What happens.
        seed: Of the closing prices.
        kinds: Where the kinds of events there were are counted.
    """
    try:
        engine, books = play(script)
        if kinds is not None:
            kinds.update(engine.kinds)
        compare(engine, books)
        prove(engine, books, Random(seed))
    except (AssertionError, ArithmeticError, HybridStoreError) as error:
        return f"{type(error).__name__}: {error}"
    return None
