"""Checks of sums that are kept: what is held of each asset, and every hour and day, against a full count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from hybridstore.portfolio.activity import NONE, Activity, add_activity, entry_activity, fill_activity
from hybridstore.portfolio.money import ZERO, add
from hybridstore.portfolio.proof import ProofEntry, ProofFill
from hybridstore.portfolio.wording import amount_text, when_text

EQUITY = ("equity_open", "equity_high", "equity_low", "equity_close")
_Figures = tuple[Decimal | int | None, ...]
_NO_EQUITY: _Figures = (None,) * len(EQUITY)


class Fault(NamedTuple):
    """Two stored figures that should be the same and are not.

    Attributes:
        check: What was compared.
        where: Of what.
        found: What is stored there.
        expected: What it should be, from what it was computed from.
    """

    check: str
    where: str
    found: str
    expected: str


class Period(NamedTuple):
    """A stored row of an hour or a day.

    Attributes:
        currency: What its amounts are in.
        start_us: Its start, us UTC.
        equity: First, highest, lowest and last; None where none was taken.
        activity: Its sums.
    """

    currency: str
    start_us: int
    equity: tuple[Decimal | None, ...]
    activity: Activity


class Taken(NamedTuple):
    """An equity that lacks nothing for want of a price.

    Attributes:
        currency: What it is in.
        taken_us: When it was taken, us UTC.
        equity: How much.
    """

    currency: str
    taken_us: int
    equity: Decimal


def check_sums(kept: Mapping[str, tuple[Decimal, int]], entries: Iterable[ProofEntry]) -> Iterator[Fault]:
    """Check that what is kept as held of each asset is the sum of its entries.

    Args:
        kept: Amount and number of entries of each asset, as ``ledger_balances`` has them.
        entries: All entries of the account.

    Yields:
        What differs.
    """
    sums: dict[str, tuple[Decimal, int]] = defaultdict(lambda: (ZERO, 0))
    for entry in entries:
        amount, count = sums[entry.asset]
        sums[entry.asset] = add(amount, entry.amount), count + 1
    for asset in sorted({*kept, *sums}):
        (amount, count), (right, right_count) = kept.get(asset, (ZERO, 0)), sums[asset]
        if amount != right:
            yield Fault("ledger_balances.amount", asset, figure_text(amount), figure_text(right))
        if count != right_count:
            yield Fault("ledger_balances.entries", asset, str(count), str(right_count))


def check_periods(
    name: str,
    length_us: int,
    kept: Iterable[Period],
    fills: Iterable[ProofFill],
    entries: Iterable[ProofEntry],
    taken: Iterable[Taken],
) -> Iterator[Fault]:
    """Check that hours or days are what was done in them, and their equity what was taken.

    Args:
        name: The dataset.
        length_us: Length of its periods, us.
        kept: Its rows.
        fills: All fills of the account.
        entries: All its entries.
        taken: All its equities.

    Yields:
        What differs.
    """
    right = _activities(length_us, fills, entries)
    equities = _equities(length_us, taken)
    stored = {(period.currency, period.start_us): period for period in kept}
    for key in sorted({*stored, *right, *equities}):
        found = stored.get(key, Period(*key, (None,) * len(EQUITY), NONE))
        where = f"{key[0]} {when_text(key[1])}"
        yield from _differing(name, where, Activity._fields, found.activity, right.get(key, NONE))
        yield from _differing(name, where, EQUITY, found.equity, equities.get(key, _NO_EQUITY))


def _differing(
    name: str, where: str, columns: Iterable[str], found: _Figures, right: _Figures
) -> Iterator[Fault]:
    for column, one, other in zip(columns, found, right, strict=True):
        if one != other:
            yield Fault(f"{name}.{column}", where, figure_text(one), figure_text(other))


def _activities(
    length_us: int, fills: Iterable[ProofFill], entries: Iterable[ProofEntry]
) -> dict[tuple[str, int], Activity]:
    right: dict[tuple[str, int], Activity] = defaultdict(lambda: NONE)
    for fill in fills:
        start_us = fill.executed_us - fill.executed_us % length_us
        done = fill_activity(
            fill.market, fill.price, fill.amount, fill.quote_amount, fill.realized or ZERO, fill.fees
        )
        for currency, part in done.items():
            right[currency, start_us] = add_activity(right[currency, start_us], part)
    for entry in entries:
        if not entry.by_fill:
            key = entry.asset, entry.occurred_us - entry.occurred_us % length_us
            right[key] = add_activity(right[key], entry_activity(entry.type, entry.amount))
    return right


def _equities(length_us: int, taken: Iterable[Taken]) -> dict[tuple[str, int], _Figures]:
    of_period: dict[tuple[str, int], list[Decimal]] = defaultdict(list)
    for one in sorted(taken, key=lambda one: one.taken_us):
        of_period[one.currency, one.taken_us - one.taken_us % length_us].append(one.equity)
    return {key: (found[0], max(found), min(found), found[-1]) for key, found in of_period.items()}


def figure_text(figure: Decimal | int | None) -> str:
    """Write a figure for people.

    Args:
        figure: The figure; None where there is none.

    Returns:
        Its text.
    """
    if figure is None:
        return "nothing"
    return amount_text(figure) if isinstance(figure, Decimal) else str(figure)
