"""Whether the books prove themselves: balances against entries, positions against fills, sums against both."""

from __future__ import annotations

from hybridstore.errors import ArchiveError, NotFound
from hybridstore.hot.database import DatabaseManager
from hybridstore.operations.equity_job import accounts_of
from hybridstore.operations.findings import Ailment, Case, ailment
from hybridstore.operations.status import equity_gaps


def check_books(case: Case) -> list[Ailment]:
    """Prove the books of every account."""
    if not case.thorough:
        return []
    from hybridstore.analytics.session import Analytics
    from hybridstore.books.proof import prove_account

    told, analytics = [], Analytics(case.database, case.settings.analytics)
    try:
        for account in _accounts(case):
            try:
                proof = prove_account(analytics, account)
            except NotFound:  # the beginning was deleted by policy: they cannot be added up any more
                continue
            except ArchiveError:  # a missing or damaged file is another check's finding
                continue
            if not proof.holds:
                told.append(
                    ailment(
                        "books-wrong",
                        f"{account}: {proof.fault_count:,} figures, the first: {proof.faults[0].sentence()}",
                        f"hybridstore reconcile --account {account} --prove tells all of them",
                    )
                )
    finally:
        analytics.close()
    return told


def _accounts(case: Case) -> list[str]:
    """Return every account that has books, also those that hold nothing any more."""
    database = case.database
    booked = {row[0] for row in database.readers.rows(database.statements["accounts_with_entries"])}
    return sorted(booked.union(accounts_of(database, case.settings.portfolio.base_currency)))


def check_equity(case: Case) -> list[Ailment]:
    """Look whether the latest equity of each account lacks a price."""
    return [
        ailment("equity-unpriced", gap, "record a mark of each: store.record_mark")
        for gap in _gaps(case.database)
    ]


def _gaps(database: DatabaseManager) -> list[str]:
    with database.readers.transaction() as transaction:
        return equity_gaps(transaction.rows(database.statements["accounts_with_equity"]))


CHECKS = (check_books, check_equity)
