"""Lives with second thoughts: a script told to a store, and some of it told anew or taken back."""

from __future__ import annotations

from collections import defaultdict
from random import Random

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.funding import FundingResult
from hybridstore.store import HybridStore
from tests.books.telling import Teller, record
from tests.portfolio.oracle import ONE, decimal_of
from tests.portfolio.scripts import Cash, Fill, Funding, Script, Step, worded


class Corrector(Teller):
    """Tells a script and corrects it: some fills, funding and entries are told anew or taken back.

    Attributes:
        final: Every fill as it stands, with its moment; None where it was taken back.
        protected: Fills that are left alone.
    """

    def __init__(self, store: HybridStore, clock: ManualClock, account: str, rng: Random) -> None:
        super().__init__(store, clock, account, rng)
        self.final: dict[str, tuple[Fill | None, int]] = {}
        self.entered: dict[str, tuple[Cash | None, int]] = {}
        self.funded: dict[str, tuple[Funding, int]] = {}
        self.said: list[str] = []
        self.protected = 0

    def tell(self, step: Step) -> None:
        super().tell(step)
        name, moment_us = self.last
        if isinstance(step, Fill):
            self.final[name] = step, moment_us
        elif isinstance(step, Cash):
            self.entered[name] = step, moment_us
        elif isinstance(step, Funding):
            self.funded[name] = step, moment_us
        self.said.append(f"{name} {worded((step,))} at {moment_us}")

    def correct(self) -> None:
        """Correct or take back one thing that was told."""
        draw = self._rng.random()
        fills = [*self.final][self.protected :]
        if draw < 0.7 and fills:
            self._correct_fill(self._rng.choice(fills))
        elif draw < 0.85 and self.entered:
            self._correct_entry(self._rng.choice([*self.entered]))
        elif self.funded:
            self._correct_funding(self._rng.choice([*self.funded]))

    def _correct_fill(self, name: str) -> None:
        step, moment_us = self.final[name]
        told = self.told[name][0]
        if self._rng.random() < 0.3:
            self.said.append(f"void {name}")
            result = self.store.void_fill(told.terms.symbol, name, account=self.account)
            assert result.repeated is (step is None)
            self.final[name] = None, moment_us
            if step is not None:
                again = record(self.store, self.account, name, step, moment_us)
                assert again.repeated, "what was taken back stays so when it is told again as it was"
            return
        new = self._changed(step or told)
        if self._rng.random() < 0.3:
            moment_us -= int((self._rng.random() - 0.3) * DAY_US)
            moment_us = min(moment_us, self._clock.now_us())
        self.said.append(f"correct {name} to {worded((new,))} at {moment_us}")
        result = record(self.store, self.account, name, new, moment_us)
        assert result.corrected
        if not new.fees and step is not None:
            new = new._replace(fees=step.fees)
        self.final[name] = new, moment_us

    def _changed(self, step: Fill) -> Fill:
        rng = self._rng
        amount, price = step.amount, step.price
        if rng.random() < 0.6:
            amount = max(1, amount + int(amount * (rng.random() - 0.5)) + rng.randint(1, 9))
            if step.terms.inverse:  # its notional must fit
                amount = max(amount // ONE * ONE, ONE)
        if rng.random() < 0.6 or amount == step.amount:
            price = max(1, price + int(price * (rng.random() - 0.5)) + rng.randint(1, 9))
        cost = None if step.terms.inverse else max(step.terms.worth(amount, price), 1)
        fees = step.fees
        if rng.random() < 0.4:
            fees = (
                (rng.choice((step.terms.base, step.terms.quote, "BNB")), rng.randint(-(amount // 9), amount)),
            )
        if 2 * sum(fee for asset, fee in fees if asset == step.terms.base) > amount:
            fees = ((step.terms.quote, 1),)  # no fill costs more than it buys
        buys = step.buys if rng.random() < 0.9 or step.terms.spot or step.slot else not step.buys
        return step._replace(buys=buys, amount=amount, price=price, told_cost=cost, fees=fees)

    def _correct_entry(self, name: str) -> None:
        step, moment_us = self.entered[name]
        if step is None or self._rng.random() < 0.4:
            self.said.append(f"void {name}")
            assert self.store.void_ledger_entry(name, self.account) is (step is not None)
            self.entered[name] = None, moment_us
            return
        new = step._replace(amount=step.amount + self._rng.randint(1, 10**20))
        self.said.append(f"correct {name} to {worded((new,))}")
        row = (self.account, name, new.kind, new.asset, decimal_of(new.amount), None, moment_us)
        assert self.store.record_ledger_entries([row]).corrected == 1
        self.entered[name] = new, moment_us

    def _correct_funding(self, name: str) -> None:
        step, moment_us = self.funded[name]
        new = step._replace(amount=step.amount + self._rng.randint(1, 10**20))
        if self._rng.random() < 0.2 and step.amount:
            new = step._replace(amount=0)  # that takes it back
        if self._rng.random() < 0.3:
            moment_us -= int(self._rng.random() * DAY_US)
        self.said.append(f"correct {name} to {worded((new,))} at {moment_us}")
        assert self._pay(new, name, moment_us).corrected
        self.funded[name] = new, moment_us
        again = self._pay(new, name, None if self._rng.random() < 0.5 else moment_us)
        assert again.repeated, "told without its moment it is the same"

    def _pay(self, step: Funding, name: str, moment_us: int | None) -> FundingResult:
        return self.store.record_funding(
            step.terms.symbol, decimal_of(step.amount), account=self.account, position_side=step.slot or None,
            funding_id=name, occurred_at=moment_us,
        )  # fmt: skip


def covered(script: Script) -> Script:
    """Put so much in front of a script that nothing in it, corrected or not, takes more than is open."""
    first: dict[tuple[str, str], Fill] = {}
    most: dict[tuple[str, str], int] = defaultdict(int)
    for step in script:
        if isinstance(step, Fill) and (step.terms.spot or step.slot):
            key = step.terms.symbol, step.slot
            first.setdefault(key, step)
            in_base = sum(abs(cost) for asset, cost in step.fees if asset == step.terms.base)
            most[key] += 4 * (step.amount + in_base + 9 * ONE)
    opening = []
    for key, step in first.items():
        terms, amount = step.terms, most[key] // ONE * ONE + ONE
        price = (
            step.price if terms.inverse else max(1, min(step.price, 10**52 * ONE // (amount * terms.size)))
        )  # its cost must fit
        cost = None if terms.inverse else max(terms.worth(amount, price), 1)
        opening.append(Fill(terms, step.slot, step.slot != "SHORT", price, amount, (), cost))
    return (*opening, *script)
