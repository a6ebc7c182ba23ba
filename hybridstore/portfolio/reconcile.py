"""Books against what the exchange reports: whether they agree, and if not, since when and which entry.

Two questions. :func:`reconcile` compares once, at the end. :func:`find_partings` walks the books and a series of
reported balances side by side and names the first entry and moment where they part for good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from hybridstore.portfolio.money import ZERO, add, subtract


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
    """

    entry_id: str
    asset: str
    amount: Decimal
    occurred_us: int


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
    """The place where the books of an asset and its reports part for good.

    Attributes:
        asset: The asset.
        difference: reported - booked at the first report that disagrees: the amount the books lack.
        agreed_us: The last report that agreed, us UTC; None where not even the first did.
        parted_us: The first report that disagrees, us UTC.
        entry_id: The first entry after the last agreement; None where the books have none there, so that something
            was never entered.
        suspects: Entries between the two reports that undo the difference when taken out.
    """

    asset: str
    difference: Decimal
    agreed_us: int | None
    parted_us: int
    entry_id: str | None
    suspects: tuple[str, ...]


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
    opening: Mapping[str, Decimal], entries: Iterable[BookEntry], reports: Iterable[Report]
) -> tuple[Parting, ...]:
    """Find where books and reported balances part.

    A report agrees if the balance is the booked one at its moment; of several entries at that very moment it may
    include any number of the first. A disagreement that heals, such as a report that came late, is no parting.

    Args:
        opening: Balance of each asset before the first entry.
        entries: Ledger entries; those of one moment in the order they were booked.
        reports: Reported balances, in any order.

    Returns:
        One parting for each asset whose last report disagrees, by asset. An asset without reports has none.
    """
    entries_of: dict[str, list[BookEntry]] = defaultdict(list)
    for entry in entries:
        entries_of[entry.asset].append(entry)
    reports_of: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        reports_of[report.asset].append(report)
    partings = []
    for asset in sorted(reports_of):
        booked = sorted(entries_of[asset], key=attrgetter("occurred_us"))
        reported = sorted(reports_of[asset], key=attrgetter("reported_us"))
        parting = _find_parting(opening.get(asset, ZERO), booked, reported)
        if parting is not None:
            partings.append(parting)
    return tuple(partings)


def _find_parting(
    opening: Decimal, entries: Sequence[BookEntry], reports: Sequence[Report]
) -> Parting | None:
    balance, settled = opening, 0  # booked before the present moment: amount, number of entries
    agreed_us, agreed = None, 0  # last agreement: moment, number of entries it includes
    parting: tuple[Report, Decimal, int] | None = None
    for report in reports:
        while settled < len(entries) and entries[settled].occurred_us < report.reported_us:
            balance = add(balance, entries[settled].amount)
            settled += 1
        included, at_moment = settled, balance
        while report.balance != at_moment and _is_at(entries, included, report.reported_us):
            at_moment = add(at_moment, entries[included].amount)
            included += 1
        if report.balance == at_moment:
            agreed_us, agreed, parting = report.reported_us, included, None
        elif parting is None:
            parting = (report, subtract(report.balance, at_moment), included)
    if parting is None:
        return None
    report, difference, included = parting
    between = entries[agreed:included]
    return Parting(
        report.asset,
        difference,
        agreed_us,
        report.reported_us,
        between[0].entry_id if between else None,
        tuple([entry.entry_id for entry in between if entry.amount == difference.copy_negate()]),
    )


def _is_at(entries: Sequence[BookEntry], place: int, moment_us: int) -> bool:
    return place < len(entries) and entries[place].occurred_us == moment_us
