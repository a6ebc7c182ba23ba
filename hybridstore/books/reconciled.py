"""What reconciling an account finds: agreement, gaps, and what probably happened."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from hybridstore.portfolio.money import ZERO
from hybridstore.portfolio.wording import amount_text, when_text
from hybridstore.records import Record
from hybridstore.schema.types import check_timestamp

AGREED, PARTED, UNREPORTED, UNBOOKED = "agreed", "parted", "unreported", "unbooked"


class Gap(Record, frozen=True, gc=False):
    """A place where the books of an asset and its reports part for good.

    Attributes:
        asset: The asset.
        difference: By how much: what the books lack here, or have too much of where it is negative.
        agreed_at: The last report before that agreed, UTC; None where none did.
        parted_at: The first report that disagrees, UTC.
        entry_id: The first entry after the agreement; None where the books have none there.
        suspects: Entries between the two that undo the difference when they are taken out.
        since: What is missing or too much happened then or later, UTC; None means ever.
        until: And not after this, UTC.
    """

    asset: str
    difference: Decimal
    agreed_at: datetime | None
    parted_at: datetime
    entry_id: str | None
    suspects: tuple[str, ...]
    since: datetime | None
    until: datetime


class Explanation(Record, frozen=True, gc=False):
    """What probably happened where books and reports part, put together from all assets.

    Attributes:
        kind: ``missing fill``, ``doubled``, ``unknown to the exchange``, ``wrong fee``, ``missing fee`` or ``missing
            movement``.
        text: A sentence that says it.
        exact: Whether it explains the gaps to the last decimal by what is usual for the account.
        gaps: What it explains.
        suspects: Ids of entries to look at.
        symbol: The market of a fill; None where it is none.
        side: Its side.
        amount: Its amount; what was moved, signed, where it is no fill.
        price: Its price.
        fees: (asset, cost) pairs of the fill.
        since: It happened then or later, UTC; None means ever.
        until: And not after this, UTC.
    """

    kind: str
    text: str
    exact: bool
    gaps: tuple[Gap, ...]
    suspects: tuple[str, ...]
    symbol: str | None
    side: str | None
    amount: Decimal | None
    price: Decimal | None
    fees: tuple[tuple[str, Decimal], ...]
    since: datetime | None
    until: datetime | None


class AssetReconciliation(Record, frozen=True, gc=False):
    """The books of one asset beside its reports.

    Attributes:
        asset: The asset.
        state: ``agreed``; ``parted``; ``unreported``: it has entries but no report; ``unbooked``: it was reported, but
            nothing was ever booked.
        opening: What the books began with.
        opening_from: ``given``, ``zero``, or ``first report`` where that was taken for it.
        booked: Opening balance and all entries.
        reported: The last report; None where there is none.
        reported_at: Of which moment it is, UTC.
        difference: The last report less what was booked by then.
        entries: How many entries there are.
        reports: How many reports there are.
        agreed_at: The last report that agrees, UTC; None where none does.
        parted_at: The first report since that does not, UTC; None where they agree.
        entry_id: The first entry after the agreement; None where they agree, or the books have none there.
        suspects: Entries that undo the difference when they are taken out.
        gaps: Every place where they part, in order; gaps of agreed books undo each other.
        passing_at: Reports that disagree for themselves alone, UTC; those around them agree.
        unsettled: Entries before the last report that it does not include yet, as if it were late.
        unreported: How many entries are after the last report.
        kept: What ``ledger_balances`` says the entries add up to; None where only a part of them was compared.
        kept_difference: That less the sum of the entries; anything but zero is a fault of the store.
    """

    asset: str
    state: str
    opening: Decimal
    opening_from: str
    booked: Decimal
    reported: Decimal | None
    reported_at: datetime | None
    difference: Decimal
    entries: int
    reports: int
    agreed_at: datetime | None
    parted_at: datetime | None
    entry_id: str | None
    suspects: tuple[str, ...]
    gaps: tuple[Gap, ...]
    passing_at: tuple[datetime, ...]
    unsettled: tuple[str, ...]
    unreported: int
    kept: Decimal | None
    kept_difference: Decimal


class Reconciliation(Record, frozen=True, gc=False):
    """The books of an account beside everything the exchange reported of it.

    Attributes:
        account: Whose.
        start: Reports from then on were compared, UTC; None means all.
        end: Entries and reports before then were compared, UTC; None means all.
        as_of: The last commit that was read, UTC.
        agreed: Whether no asset parted and the store's own sums are right.
        assets: Each asset, by name.
        explanations: What probably happened at each gap, in order of time.
    """

    account: str
    start: datetime | None
    end: datetime | None
    as_of: datetime
    agreed: bool
    assets: tuple[AssetReconciliation, ...]
    explanations: tuple[Explanation, ...]

    def sentences(self) -> list[str]:
        """Say what was found, in plain sentences: first what parted and why, then what could not be compared.

        Returns:
            One sentence each.
        """
        told = []
        for one in self.assets:
            if one.state == PARTED:
                agreed = f"agreed last at {_when(one.agreed_at)}" if one.agreed_at else "never agreed"
                told.append(
                    f"{one.asset}: the exchange reports {amount_text(one.reported or ZERO)}, the books differ by "
                    f"{amount_text(one.difference)}; they {agreed} and part at {_when(one.parted_at)}"
                )
        told += [f"{'Found' if one.exact else 'Perhaps'}: {one.text}" for one in self.explanations]
        for one in self.assets:
            told += _remarks(one)
        return told


def _remarks(one: AssetReconciliation) -> list[str]:
    """Say what else there is to know of an asset."""
    told = []
    if one.kept_difference:
        told.append(
            f"{one.asset}: ledger_balances says {amount_text(one.kept or ZERO)}, which is "
            f"{amount_text(one.kept_difference)} more than the entries add up to: a fault of the store"
        )
    if one.state == UNREPORTED:
        entries = "1 entry" if one.entries == 1 else f"{one.entries} entries"
        told.append(f"{one.asset}: {entries}, but the exchange never reported a balance")
    if one.state == UNBOOKED:
        told.append(
            f"{one.asset}: the exchange reports {amount_text(one.reported or ZERO)}, nothing was ever booked"
        )
    if one.state == AGREED and one.gaps:
        told.append(
            f"{one.asset}: agrees now, but there are {len(one.gaps)} gaps on the way that undo each other"
        )
    if one.unsettled and one.state == AGREED:
        told.append(
            f"{one.asset}: the last report, of {_when(one.reported_at)}, is from before {len(one.unsettled)} of the "
            f"entries, from {one.unsettled[0]} on: it is late, or the exchange does not know them"
        )
    if one.passing_at:
        told.append(f"{one.asset}: {len(one.passing_at)} reports disagree for themselves alone, as if late")
    return told


def _when(at: datetime | None) -> str:
    return "" if at is None else when_text(check_timestamp(at, "at"))
