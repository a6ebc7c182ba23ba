"""Reconciling an account: its ledger over every tier against every balance the exchange reported, as of one moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from hybridstore.books.deleted import BOOKS, refuse_deleted
from hybridstore.books.fees import fees_of
from hybridstore.books.reconciled import (
    AGREED,
    PARTED,
    UNBOOKED,
    UNREPORTED,
    AssetReconciliation,
    Explanation,
    Gap,
    Reconciliation,
)
from hybridstore.errors import InvalidValue
from hybridstore.named_sql import load_named_sql
from hybridstore.portfolio.explain import explain_partings
from hybridstore.portfolio.finding import Finding
from hybridstore.portfolio.ledger import fill_reference
from hybridstore.portfolio.money import ZERO, subtract, total
from hybridstore.portfolio.practice import KnownFill
from hybridstore.portfolio.reconcile import BookEntry, Comparison, Parting, Report, compare_asset
from hybridstore.schema.types import EXACT, check_name, check_timestamp, moment, to_decimal

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics
    from hybridstore.analytics.snapshot import Snapshot
    from hybridstore.hot.balance_updates import Money

QUESTIONS = load_named_sql("hybridstore.books", "reconciliation.sql")
LAG_S = 10.0
"""How far the moment of a report may be from that of the entries it includes: clocks differ, messages wait."""
_LAG_S_MAX = 86_400.0
_short = EXACT.normalize


class _Read(NamedTuple):
    """Everything one moment of the store has of an account."""

    as_of_us: int
    entries: Mapping[str, list[BookEntry]]
    reports: Mapping[str, list[Report]]
    fills: list[KnownFill]
    kept: Mapping[str, Decimal] | None


def reconcile_account(
    analytics: Analytics,
    account: str,
    *,
    asset: str | None = None,
    opening: Mapping[str, Money] | None = None,
    start: object = None,
    end: object = None,
    lag_s: float = LAG_S,
) -> Reconciliation:
    """Compare an account's ledger with every balance the exchange reported, and say where and why they part.

    Args:
        analytics: Where questions over all tiers are asked.
        account: Whose.
        asset: Tell only of this asset; its gaps are explained together with those of all others.
        opening: What each asset's balance was before the first entry, or at ``start``; one that is not named had none.
            None takes zero where that explains the first reports, and else the first report.
        start: Compare reports from then on: an aware datetime, ISO 8601 text with a zone, or microseconds.
        end: Compare entries and reports before then.
        lag_s: How far the moment of a report may be from that of the entries it includes, seconds.

    Returns:
        What agrees, what parts, and what probably happened.

    Raises:
        InvalidValue: A name, moment or amount does not fit.
        NotFound: What it compares was deleted by policy.
    """
    check_name(account, "account")
    if not 0 <= lag_s <= _LAG_S_MAX:
        raise InvalidValue(f"lag_s={lag_s!r}: not between 0 and {_LAG_S_MAX:g}", hint="give seconds")
    start_us = None if start is None else check_timestamp(start, "start")
    end_us = None if end is None else check_timestamp(end, "end")
    openings = None if opening is None else _openings(opening)
    with analytics.snapshot(anew=True) as snapshot:
        refuse_deleted(snapshot, "reconcile", BOOKS, start_us)
        read = _read(snapshot, account, start_us, end_us, given=openings is not None)
    assets = sorted({*read.entries, *read.reports, *(openings or ()), *(read.kept or ())})
    compared = {
        name: compare_asset(
            name,
            None if openings is None else openings.get(name, ZERO),
            read.entries.get(name, ()),
            read.reports.get(name, ()),
            lag_us=round(lag_s * 1_000_000),
        )
        for name in assets
    }
    findings = explain_partings(
        (parting for one in compared.values() for parting in one.partings),
        (entry for entries in read.entries.values() for entry in entries),
        read.fills,
    )
    shown = assets if asset is None else [asset]
    results = tuple(
        _asset(compared[name], read.entries.get(name, ()), read.kept) for name in shown if name in compared
    )
    return Reconciliation(
        account,
        _moment(start_us),
        _moment(end_us),
        moment(read.as_of_us),
        all(one.state != PARTED and not one.kept_difference for one in results),
        results,
        tuple(
            _explanation(finding)
            for finding in findings
            if asset is None or any(parting.asset == asset for parting in finding.partings)
        ),
    )


def _openings(opening: Mapping[str, Money]) -> dict[str, Decimal]:
    return {
        check_name(asset, "opening"): to_decimal(amount, f"opening[{asset!r}]")
        for asset, amount in opening.items()
    }


def _read(
    snapshot: Snapshot, account: str, start_us: int | None, end_us: int | None, *, given: bool
) -> _Read:
    """Read one moment; entries before the start count unless it is given what the books had by then."""
    start, until = _moment(start_us), _moment(end_us)
    entries: dict[str, list[BookEntry]] = defaultdict(list)
    asked = snapshot.sql(
        QUESTIONS["ledger_entries"], account=account, since=start if given else None, until=until
    )
    for entry_id, asset, amount, occurred_us, reference in asked.rows():
        entries[asset].append(BookEntry(entry_id, asset, _short(amount), occurred_us, reference))
    reports: dict[str, list[Report]] = defaultdict(list)
    asked = snapshot.sql(QUESTIONS["balance_reports"], account=account, since=start, until=until)
    for asset, balance, reported_us in asked.rows():
        reports[asset].append(Report(asset, _short(balance), reported_us))
    fills = [_fill(row) for row in snapshot.sql(QUESTIONS["known_fills"], account=account).rows()]
    kept = None
    if end_us is None and not (given and start_us is not None):
        rows = snapshot.sql(QUESTIONS["kept_balances"], account=account).rows()
        kept = {asset: _short(amount) for asset, amount in rows}
    return _Read(snapshot.ts_us, entries, reports, fills, kept)


def _fill(row: tuple[Any, ...]) -> KnownFill:
    symbol, trade_id, order_id, side, amount, price, quote_amount, fee, fee_currency, fees, executed_us = row
    return KnownFill(
        fill_reference(symbol, trade_id, order_id),
        trade_id,
        symbol,
        side,
        _short(amount),
        _short(price),
        _short(quote_amount),
        fees_of(fee, fee_currency, fees),
        executed_us,
    )


def _asset(
    found: Comparison, entries: Iterable[BookEntry], kept: Mapping[str, Decimal] | None
) -> AssetReconciliation:
    departure = found.departure
    state = AGREED
    if departure is not None:
        state = PARTED
    elif found.reported is None:
        state = UNREPORTED
    elif not found.entries and found.opening:
        state = UNBOOKED
    kept_amount = None if kept is None else kept.get(found.asset, ZERO)
    agreed_us = found.reported_us if departure is None else departure.agreed_us
    return AssetReconciliation(
        asset=found.asset,
        state=state,
        opening=found.opening,
        opening_from=found.opening_from,
        booked=found.booked,
        reported=found.reported,
        reported_at=_moment(found.reported_us),
        difference=found.difference,
        entries=found.entries,
        reports=found.reports,
        agreed_at=_moment(agreed_us),
        parted_at=None if departure is None else moment(departure.parted_us),
        entry_id=None if departure is None else departure.entry_id,
        suspects=() if departure is None else departure.suspects,
        gaps=tuple(map(_gap, found.partings)),
        passing_at=tuple(map(moment, found.passing_us)),
        unsettled=found.unsettled,
        unreported=found.unreported,
        kept=kept_amount,
        kept_difference=ZERO
        if kept_amount is None
        else subtract(kept_amount, total(entry.amount for entry in entries)),
    )


def _gap(parting: Parting) -> Gap:
    return Gap(
        parting.asset,
        parting.difference,
        _moment(parting.agreed_us),
        moment(parting.parted_us),
        parting.entry_id,
        parting.suspects,
        _moment(parting.since_us),
        moment(parting.parted_us if parting.until_us is None else parting.until_us),
    )


def _explanation(finding: Finding) -> Explanation:
    return Explanation(
        finding.kind,
        finding.text,
        finding.exact,
        tuple(map(_gap, finding.partings)),
        finding.suspects,
        finding.symbol,
        finding.side,
        finding.amount,
        finding.price,
        finding.fees,
        _moment(finding.since_us),
        _moment(finding.until_us),
    )


def _moment(ts_us: int | None) -> datetime | None:
    return None if ts_us is None else moment(ts_us)
