"""Filling a report from a store: named SQL questions, the portfolio's value and the manifest, nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from hybridstore.named_sql import load_named_sql
from hybridstore.portfolio.money import ZERO, subtract, total
from hybridstore.portfolio.reconcile import reconcile
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.reports.data import (
    Answer,
    BalanceRow,
    Check,
    EquityPoint,
    PositionRow,
    Proof,
    SymbolTotals,
    TierRow,
)
from hybridstore.reports.wording import count, counted, exact
from hybridstore.schema.sqlite import count_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hybridstore.analytics.snapshot import Snapshot
    from hybridstore.hot.database import DatabaseManager
    from hybridstore.portfolio.summary import PortfolioSummary

QUESTIONS = load_named_sql("hybridstore.reports")
_PROOF = "proof_"
Answers = dict[str, tuple[tuple[str, ...], Answer]]
"""By name of a question: names of the answer's columns, and its rows."""


class Books(msgspec.Struct, frozen=True):
    """What an account did and has.

    Attributes:
        equity: Equity over time.
        symbols: Totals by symbol.
        positions: Open positions.
        balances: Reported balances and what the ledger says of them.
    """

    equity: tuple[EquityPoint, ...]
    symbols: tuple[SymbolTotals, ...]
    positions: tuple[PositionRow, ...]
    balances: tuple[BalanceRow, ...]


def ask_proofs(snapshot: Snapshot) -> Answers:
    """Ask every question by which a move is proved.

    Args:
        snapshot: The moment all answers are of.

    Returns:
        The answers.
    """
    answers: Answers = {}
    for name in QUESTIONS:
        if name.startswith(_PROOF):
            answer = snapshot.sql(QUESTIONS[name])
            answers[name] = (tuple(answer.columns), tuple(answer.rows()))
    return answers


def compare_proofs(before: Answers, after: Answers) -> tuple[Proof, ...]:
    """Put the answers from before and after a move side by side.

    Args:
        before: What :func:`ask_proofs` returned before the move.
        after: What it returned after it.

    Returns:
        One proof for each question that had an answer at all.
    """
    proofs = []
    for name, (columns, rows) in before.items():
        statement = QUESTIONS.statements[name]
        rows_after = after[name][1]
        if rows or rows_after:
            proofs.append(Proof(name, statement.doc, statement.sql, columns, rows, rows_after))
    return tuple(proofs)


def collect_books(
    snapshot: Snapshot,
    summary: PortfolioSummary,
    *,
    equity: tuple[EquityPoint, ...] | None = None,
    with_market: bool = True,
) -> Books:
    """Read what an account did and has.

    Args:
        snapshot: The moment to read.
        summary: The account's value.
        equity: Its equity over time; None asks for every snapshot.
        with_market: Whether to add up public trades, too.

    Returns:
        The figures.
    """
    account = summary.account
    if equity is None:
        points = _ask(snapshot, "equity_curve", account, base_currency=summary.base_currency)
        equity = tuple(EquityPoint(*row) for row in points)
    return Books(
        equity=equity,
        symbols=tuple(
            _symbol_totals(*row) for row in _ask(snapshot, "symbol_totals", account, with_market=with_market)
        ),
        positions=tuple(
            PositionRow(row.symbol, row.side, row.amount, row.entry_price, row.mark_price, row.unrealized_pnl)
            for row in summary.positions
        ),
        balances=_balances(snapshot, account),
    )


def collect_tiers(database: DatabaseManager) -> tuple[TierRow, ...]:
    """Read what lies in which tier.

    Args:
        database: The open store.

    Returns:
        Datasets that hold anything, each from its hottest tier on.
    """
    with database.readers.transaction() as transaction:
        archived = transaction.rows(database.statements["archived_by_dataset_and_tier"])
        hot_rows = {name: transaction.rows(count_all(name))[0][0] for name in database.registry.public}
    rows = []
    for name, hot in hot_rows.items():
        files = [
            TierRow(name, tier, held, number, size)
            for found, tier, number, held, size in archived
            if found == name
        ]
        rows += [TierRow(name, "hot", hot, 0, None), *files] if hot else files
    return tuple(rows)


def check_books(books: Books, summary: PortfolioSummary, *, of_all_time: bool = True) -> tuple[Check, ...]:
    """Check that balances, ledger, positions and equity tell the same story.

    Args:
        books: What the account did and has.
        summary: Its value.
        of_all_time: Whether the equity begins before the first fill.

    Returns:
        The checks that can be made.
    """
    checks = [_check_ledger(books.balances), _check_spot(books, summary), _check_prices(summary)]
    if (
        of_all_time
        and books.equity
        and all(row.profit_asset == summary.base_currency for row in books.symbols if row.fills)
    ):
        checks.append(_check_profit(books, summary))
    return tuple(checks)


def check_proofs(proofs: Sequence[Proof]) -> Check:
    """Check that every question had the same answer before and after the move."""
    different = [proof.name for proof in proofs if not proof.identical]
    values = sum(len(row) for proof in proofs for row in proof.before)
    finding = f"{count(values)} values of {counted(len(proofs), 'question')} are identical"
    if different:
        finding = f"other answers to {', '.join(different)}"
    return Check("Before and after the move SQL gives the same answers", finding, passed=not different)


def _ask(snapshot: Snapshot, name: str, account: str, **others: object) -> Sequence[tuple[Any, ...]]:
    return snapshot.sql(QUESTIONS[name], account=account, **others).rows()


def _symbol_totals(symbol: str, trades: int, amount: Decimal, notional: Decimal, *own: Any) -> SymbolTotals:
    fills, volume, fees, realized, wins, losses = own
    profit_asset = parse_symbol(symbol).profit_asset
    return SymbolTotals(
        symbol, profit_asset, trades, amount, notional, fills, volume, fees, realized, wins, losses
    )


def _balances(snapshot: Snapshot, account: str) -> tuple[BalanceRow, ...]:
    reported = dict(_ask(snapshot, "reported_balances", account))
    booked = dict(_ask(snapshot, "ledger_sums", account))
    return tuple(
        BalanceRow(asset, reported.get(asset, ZERO), booked.get(asset, ZERO))
        for asset in sorted({*reported, *booked})
    )


def _check_ledger(balances: Sequence[BalanceRow]) -> Check:
    entries = [(row.asset, row.booked) for row in balances]
    differences = reconcile({}, entries, {row.asset: row.reported for row in balances})
    finding = f"{counted(len(balances), 'asset')}, no difference to the last decimal"
    if differences:
        finding = "; ".join(f"{found.asset} differs by {exact(found.difference)}" for found in differences)
    return Check("All ledger entries add up to every reported balance", finding, passed=not differences)


def _check_spot(books: Books, summary: PortfolioSummary) -> Check:
    """A spot position is a view of a balance: both must be the same amount."""
    held = {row.asset: row.reported for row in books.balances}
    positions: dict[str, Decimal] = {}
    for row in summary.positions:
        market = parse_symbol(row.symbol)
        if market.is_spot:
            positions[market.base] = total([positions.get(market.base, ZERO), row.amount])
    traded = {parse_symbol(row.symbol).base for row in books.symbols if row.fills and ":" not in row.symbol}
    differing = sorted(
        asset for asset in traded if subtract(held.get(asset, ZERO), positions.get(asset, ZERO))
    )
    finding = f"{counted(len(traded), 'asset')} held exactly as their positions say"
    if differing:
        finding = "; ".join(
            f"{asset}: balance {exact(held.get(asset, ZERO))}, positions {exact(positions.get(asset, ZERO))}"
            for asset in differing
        )
    return Check("Spot positions are the balances of their assets", finding, passed=not differing)


def _check_prices(summary: PortfolioSummary) -> Check:
    finding = ", ".join(summary.unpriced) or "every balance and position has a price"
    return Check(
        "Nothing is left out of the equity for want of a price", finding, passed=not summary.unpriced
    )


def _check_profit(books: Books, summary: PortfolioSummary) -> Check:
    """Equity moved by what was realised, what is unrealised, and what fees took: counted two ways."""
    start = total([books.equity[0].equity, *(point.net_flow for point in books.equity[1:])])
    change = subtract(books.equity[-1].equity, start)
    realized = total(row.realized for row in books.symbols)
    fees = total(row.fees for row in books.symbols)
    told = subtract(total([realized, summary.unrealized_pnl]), fees)
    rest = subtract(change, told)
    finding = f"both are {exact(change)} {summary.base_currency}"
    if rest:
        finding = f"equity moved by {exact(change)}, the parts add up to {exact(told)}"
    return Check(
        "Realised + unrealised - fees is the change of equity but for deposits", finding, passed=not rest
    )
