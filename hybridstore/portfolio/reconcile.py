"""Books against what the exchange reports: whether they agree, and if not, since when and which entry.

Three questions. :func:`reconcile` compares once, at the end. :func:`compare_asset` lays a series of reported balances
along the entries of one asset and names every place where they part; :func:`find_partings` does so for many assets.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.alignment import Alignment, Match
from hybridstore.portfolio.money import ZERO, add, subtract
from hybridstore.schema.types import EXACT, MONEY_PLACES

GIVEN, FROM_ZERO, FIRST_REPORT = "given", "zero", "first report"


class Difference(NamedTuple):
    """Where books and reported balances differ.

    Attributes:
        asset: The asset.
        booked: Opening balance plus entries.
        reported: What the exchange says.
        difference: reported - booked.
    """

    asset: str
    booked: Decimal
    reported: Decimal
    difference: Decimal


class BookEntry(NamedTuple):
    """A ledger entry, as far as reconciling needs it.

    Attributes:
        entry_id: Its id.
        asset: The asset.
        amount: Signed units of it.
        occurred_us: When, us UTC.
        reference: What it belongs to, as a fill; None where it stands alone.
    """

    entry_id: str
    asset: str
    amount: Decimal
    occurred_us: int
    reference: str | None = None


class Report(NamedTuple):
    """A balance the exchange reported.

    Attributes:
        asset: The asset.
        balance: How much there was.
        reported_us: Of which moment it is, us UTC.
    """

    asset: str
    balance: Decimal
    reported_us: int


class Parting(NamedTuple):
    """A place where the books of an asset and its reports part for good.

    Attributes:
        asset: The asset.
        difference: By how much they part here: what the books lack, or have too much of where it is negative.
        agreed_us: The last report before that agreed, us UTC; None where none did.
        parted_us: The first report that disagrees, us UTC.
        entry_id: The first entry after the last agreement; None where the books have none there, so that something
            was never entered.
        suspects: Entries between the two that undo the difference when taken out: single ones, and all of one fill.
        since_us: What the books lack or have too much happened at or after this, us UTC; None means ever.
        until_us: And at or before this. The two allow for reports that are known to be late or early.
    """

    asset: str
    difference: Decimal
    agreed_us: int | None
    parted_us: int
    entry_id: str | None
    suspects: tuple[str, ...]
    since_us: int | None = None
    until_us: int | None = None


class Comparison(NamedTuple):
    """The books of one asset beside its reports.

    Attributes:
        asset: The asset.
        opening: What the books began with.
        opening_from: ``given``, ``zero``, or ``first report`` where that is taken for it.
        booked: Opening balance plus all entries.
        reported: The last report; None where there is none.
        difference: The last report less what was booked by then; zero without a report.
        entries: How many entries there are.
        reports: How many reports there are.
        reported_us: Of which moment the last report is, us UTC.
        partings: Every place where books and reports part, in order; their differences add up to ``difference``.
        passing_us: Moments of reports that disagree for themselves alone: those around them agree.
        unsettled: Entries at or before the last report that it does not include, as if it were late.
        unreported: Entries after the last report.
    """

    asset: str
    opening: Decimal
    opening_from: str
    booked: Decimal
    reported: Decimal | None
    difference: Decimal
    entries: int
    reports: int
    reported_us: int | None
    partings: tuple[Parting, ...]
    passing_us: tuple[int, ...]
    unsettled: tuple[str, ...]
    unreported: int

    @property
    def departure(self) -> Parting | None:
        """Where the books left what the exchange reports, for the last time; None where they agree now."""
        found, apart = None, ZERO
        for parting in self.partings:
            found = found if apart else parting
            apart = add(apart, parting.difference)
        return found if apart else None


def reconcile(
    opening: Mapping[str, Decimal], entries: Iterable[tuple[str, Decimal]], reported: Mapping[str, Decimal]
) -> tuple[Difference, ...]:
    """Compare books with reported balances.

    Args:
        opening: Balance of each asset before the first entry.
        entries: (asset, signed amount) of every entry since.
        reported: What the exchange says each asset's balance is; an asset it does not name it says is zero.

    Returns:
        The assets on which they differ, by name; empty when the books prove themselves.
    """
    booked = dict(opening)
    for asset, amount in entries:
        booked[asset] = add(booked.get(asset, ZERO), amount)
    differences = []
    for asset in sorted({*booked, *reported}):
        difference = subtract(reported.get(asset, ZERO), booked.get(asset, ZERO))
        if difference:
            differences.append(
                Difference(asset, booked.get(asset, ZERO), reported.get(asset, ZERO), difference)
            )
    return tuple(differences)


def find_partings(
    opening: Mapping[str, Decimal],
    entries: Iterable[BookEntry],
    reports: Iterable[Report],
    *,
    lag_us: int = 0,
) -> tuple[Parting, ...]:
    """Find where books and reported balances part.

    Args:
        opening: Balance of each asset before the first entry.
        entries: Ledger entries; those of one moment in the order they were booked.
        reports: Reported balances, in any order.
        lag_us: See :func:`compare_asset`.

    Returns:
        Every parting, by asset and in order. An asset without reports has none.
    """
    entries_of: dict[str, list[BookEntry]] = defaultdict(list)
    for entry in entries:
        entries_of[entry.asset].append(entry)
    reports_of: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        reports_of[report.asset].append(report)
    return tuple(
        parting
        for asset in sorted(reports_of)
        for parting in compare_asset(
            asset, opening.get(asset, ZERO), entries_of[asset], reports_of[asset], lag_us=lag_us
        ).partings
    )


def compare_asset(
    asset: str,
    opening: Decimal | None,
    entries: Iterable[BookEntry],
    reports: Iterable[Report],
    *,
    lag_us: int = 0,
) -> Comparison:
    """Lay the reports of an asset along its entries.

    A report agrees if the balance is the booked one at its moment; of several entries at that very moment it may
    include any. Within ``lag_us`` it may also be late or early. A single report or two that disagree while those
    around them agree are no parting; from three on they are two partings that undo each other.

    Args:
        asset: The asset.
        opening: Balance before the first entry; None where it is not known: then it is zero if that explains the
            first reports, and otherwise what makes the first report agree.
        entries: Its entries; those of one moment in the order they were booked.
        reports: Its reports, in any order.
        lag_us: How far the moment of a report may be from that of the entries it includes, us.

    Returns:
        Where they agree and where they part.
    """
    booked = sorted(entries, key=attrgetter("occurred_us"))
    told = sorted(reports, key=attrgetter("reported_us"))
    alignment = Alignment(
        None if opening is None else _units(opening),
        [entry.occurred_us for entry in booked],
        [_units(entry.amount) for entry in booked],
        lag_us,
    )
    matches = alignment.explain([(report.reported_us, _units(report.balance)) for report in told])
    found_opening = matches[0].level if opening is None and matches else 0
    partings = _partings(asset, booked, told, matches, found_opening, alignment)
    opened = add(opening or ZERO, _money(found_opening))
    difference = _money(matches[-1].level - found_opening) if matches else ZERO
    until = bisect_right(booked, told[-1].reported_us, key=attrgetter("occurred_us")) if told else 0
    included = matches[-1].included if matches else 0
    return Comparison(
        asset,
        opened,
        GIVEN if opening is not None else FIRST_REPORT if found_opening else FROM_ZERO,
        add(opened, _money(alignment.sums[-1] - alignment.sums[0])),
        told[-1].balance if told else None,
        difference,
        len(booked),
        len(told),
        told[-1].reported_us if told else None,
        partings,
        tuple(told[place].reported_us for place in _passing(matches, found_opening)),
        tuple(entry.entry_id for entry in booked[included:until]),
        len(booked) - max(until, included),
    )


def _passing(matches: Sequence[Match], level: int) -> list[int]:
    """Return the reports that disagree while those around them agree; within a gap nothing says what is right."""
    passing: list[int] = []
    before = Match(-1, level, 0)
    for match in matches:
        if match.level == before.level:
            passing += range(before.report + 1, match.report)
        before = match
    return passing


def _partings(
    asset: str,
    entries: Sequence[BookEntry],
    reports: Sequence[Report],
    matches: Sequence[Match],
    level: int,
    alignment: Alignment,
) -> tuple[Parting, ...]:
    shifts = [alignment.shift_us(match, reports[match.report].reported_us) for match in matches]
    early_us = max((shift_us for shift_us in shifts if shift_us > 0), default=0)
    partings = []
    before, before_us = Match(-1, level, 0), None
    for match, shift_us in zip(matches, shifts, strict=True):
        if match.level != before.level:
            agreed_us = None if before.report < 0 else reports[before.report].reported_us
            until_us = reports[match.report].reported_us + early_us
            difference = _money(match.level - before.level)
            between = entries[before.included : match.included]
            partings.append(
                Parting(
                    asset,
                    difference,
                    agreed_us,
                    reports[before.report + 1].reported_us,
                    between[0].entry_id if between else None,
                    _suspects(_within(entries, before_us, until_us), difference),
                    before_us,
                    until_us,
                )
            )
        # A late report says nothing of the moments after the last entry it includes.
        before, before_us = match, reports[match.report].reported_us
        if shift_us < 0:
            before_us = entries[match.included - 1].occurred_us if match.included else before_us + shift_us
    return tuple(partings)


def _within(entries: Sequence[BookEntry], since_us: int | None, until_us: int) -> Sequence[BookEntry]:
    moment = attrgetter("occurred_us")
    first = 0 if since_us is None else bisect_left(entries, since_us, key=moment)
    return entries[first : bisect_right(entries, until_us, key=moment)]


def _suspects(entries: Sequence[BookEntry], difference: Decimal) -> tuple[str, ...]:
    wrong = difference.copy_negate()
    of_fill: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for entry in entries:
        if entry.reference is not None:
            of_fill[entry.reference] = add(of_fill[entry.reference], entry.amount)
    return tuple(
        entry.entry_id
        for entry in entries
        if entry.amount == wrong or (entry.reference is not None and of_fill[entry.reference] == wrong)
    )


def _units(amount: Decimal) -> int:
    """Return an amount in units of the last place of money."""
    scaled = EXACT.scaleb(amount, MONEY_PLACES)
    units = int(scaled)
    if units != scaled:
        raise InvalidValue(f"amount={amount}: more than {MONEY_PLACES} decimal places")
    return units


def _money(units: int) -> Decimal:
    """Return units of the last place as an amount without trailing zeros."""
    amount = EXACT.normalize(EXACT.scaleb(Decimal(units), -MONEY_PLACES))
    return amount or ZERO
