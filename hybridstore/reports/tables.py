"""A report's tables: the figures of :class:`ReportData` as captioned rows of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from hybridstore.portfolio.money import subtract, total
from hybridstore.reports import wording
from hybridstore.reports.wording import NOTHING, count, duration, exact, rounded, size

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from hybridstore.reports.data import ReportData, SymbolTotals, TierRow

Tone = Literal["", "gain", "loss", "good", "bad"]
_SECOND_US = 1_000_000


class Cell(msgspec.Struct, frozen=True):
    """One cell.

    Attributes:
        text: What is read.
        tone: How it is coloured; the text says the same without colour.
        detail: The exact figure where the text is rounded.
        heat: How strongly its ground is coloured: from -4, a large loss, to 4, a large gain.
    """

    text: str
    tone: Tone = ""
    detail: str = ""
    heat: int = 0


class Column(msgspec.Struct, frozen=True):
    """One column.

    Attributes:
        label: Its heading.
        numeric: Whether it is set flush right in figures of one width.
        long: Whether its figures may be broken over lines where the page is narrow.
    """

    label: str
    numeric: bool = True
    long: bool = False


class Table(msgspec.Struct, frozen=True):
    """A table; the first cell of a row names it.

    Attributes:
        caption: What it holds, one sentence.
        columns: Its columns.
        rows: Its rows, each as long as ``columns``.
        total: A last row that adds up, or nothing.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()


def symbols_table(data: ReportData) -> Table:
    """Return market data and own trading by symbol, with the bot's totals."""
    own = data.in_base
    return Table(
        caption=(
            "Sums are exact, to the last digit. Amounts are units of base, or contracts for coin-margined "
            "futures, whose price times amount therefore is no money."
        ),
        columns=_columns(
            "Symbol", "Market trades", "Sum of amounts", "Sum of price \N{MULTIPLICATION SIGN} amount",
            "Fills", "Volume", "Fees", "Realised", "Win rate",
        ),
        rows=tuple(_symbol_row(row) for row in data.symbols),
        total=(
            Cell(f"All in {data.base_currency}"),
            Cell(count(sum(row.market_trades for row in data.symbols))),
            Cell(NOTHING),
            Cell(NOTHING),
            Cell(count(sum(row.fills for row in data.symbols))),
            _exact_cell(total(row.volume for row in own)),
            _exact_cell(total(row.fees for row in own)),
            _profit_cell(total(row.realized for row in own)),
            Cell(win_rate(own)),
        ),
    )  # fmt: skip


def _symbol_row(row: SymbolTotals) -> tuple[Cell, ...]:
    traded = row.fills > 0
    return (
        Cell(row.symbol),
        Cell(count(row.market_trades)),
        Cell(exact(row.market_amount)),
        Cell(exact(row.market_notional)),
        Cell(count(row.fills)),
        _exact_cell(row.volume) if traded else Cell(NOTHING),
        _exact_cell(row.fees) if traded else Cell(NOTHING),
        _profit_cell(row.realized) if traded else Cell(NOTHING),
        Cell(win_rate([row])),
    )


def positions_table(data: ReportData) -> Table:
    """Return the open positions."""
    return Table(
        caption="Open positions, valued by the middle of the last best bid and ask.",
        columns=_columns("Symbol", "Side", "Amount", "Average entry", "Mark", "Unrealised"),
        rows=tuple(
            (
                Cell(row.symbol),
                Cell(row.side),
                Cell(exact(row.amount)),
                Cell(rounded(row.entry_price, 4), detail=exact(row.entry_price)),
                Cell(NOTHING if row.mark_price is None else exact(row.mark_price)),
                Cell(NOTHING) if row.unrealized is None else _profit_cell(row.unrealized),
            )
            for row in data.positions
        ),
    )


def balances_table(data: ReportData) -> Table:
    """Return the balances beside the ledger's sums."""
    return Table(
        caption="What the exchange reported last, and what all ledger entries add up to.",
        columns=_columns("Asset", "Reported", "Booked", "Difference"),
        rows=tuple(
            (
                Cell(row.asset),
                Cell(exact(row.reported)),
                Cell(exact(row.booked)),
                Cell(
                    exact(subtract(row.reported, row.booked)), "good" if row.reported == row.booked else "bad"
                ),
            )
            for row in data.balances
        ),
    )


def latency_table(data: ReportData) -> Table:
    """Return the measured latencies."""
    return Table(
        caption="Wall time of each call in the bot's process, from the call to its acknowledgement.",
        columns=_columns("Operation", "Calls", "Rows", "p50", "p99", "Slowest", "Rows per second at p50"),
        rows=tuple(
            (
                Cell(row.operation),
                Cell(count(row.calls)),
                Cell(count(row.rows)),
                Cell(duration(row.p50_us)),
                Cell(duration(row.p99_us)),
                Cell(duration(row.max_us)),
                Cell(count(round(row.rows / row.calls / row.p50_us * _SECOND_US))),
            )
            for row in data.latencies
        ),
    )


def tiers_table(data: ReportData) -> Table:
    """Return what lies where."""
    return Table(
        caption="Rows of each dataset by tier. The tables of the hot tier share one SQLite file.",
        columns=_columns("Dataset", "Tier", "Rows", "Files", "Bytes", "Bytes per row"),
        rows=tuple(_tier_row(row) for row in data.tiers),
    )


def _tier_row(row: TierRow) -> tuple[Cell, ...]:
    archived = row.size_bytes is not None
    return (
        Cell(row.dataset),
        Cell(row.tier),
        Cell(count(row.rows)),
        Cell(count(row.files) if archived else NOTHING),
        Cell(
            NOTHING if row.size_bytes is None else size(row.size_bytes), detail=_bytes_detail(row.size_bytes)
        ),
        Cell(f"{row.size_bytes / row.rows:.2f}" if row.size_bytes is not None and row.rows else NOTHING),
    )


def proofs_table(data: ReportData) -> Table:
    """Return the verdict on each question that was asked before and after the move."""
    return Table(
        caption="The same SQL, asked while all rows were hot and again after they had moved.",
        columns=(
            Column("Question", numeric=False),
            Column("Rows compared"),
            Column("Values"),
            Column("Answers"),
        ),
        rows=tuple(
            (
                Cell(proof.doc),
                Cell(count(len(proof.before))),
                Cell(count(sum(len(row) for row in proof.before))),
                Cell("identical", "good") if proof.identical else Cell("DIFFERENT", "bad"),
            )
            for proof in data.proofs
        ),
    )


def checks_table(data: ReportData) -> Table:
    """Return what must hold and whether it does."""
    return Table(
        caption="Every check is computed from the store when this page is made.",
        columns=(Column("Check", numeric=False), Column("Found", numeric=False), Column("Result")),
        rows=tuple(
            (
                Cell(check.name),
                Cell(check.finding),
                Cell("holds", "good") if check.passed else Cell("FAILS", "bad"),
            )
            for check in data.checks
        ),
    )


def win_rate(rows: Iterable[SymbolTotals]) -> str:
    """Return the share of the profitable among the fills that realised anything."""
    counts = [(row.wins, row.wins + row.losses) for row in rows]
    return wording.ratio(sum(wins for wins, _ in counts), sum(closed for _, closed in counts))


def _columns(first: str, *others: str) -> tuple[Column, ...]:
    texts = {"Side", "Tier"}
    rest = (Column(label, numeric=label not in texts, long=label.startswith("Sum")) for label in others)
    return (Column(first, numeric=False), *rest)


def _exact_cell(value: Decimal) -> Cell:
    return Cell(rounded(value), detail=exact(value))


def _profit_cell(value: Decimal) -> Cell:
    tone: Tone = "gain" if value > 0 else "loss" if value < 0 else ""
    return Cell(rounded(value, signed=True), tone, exact(value))


def _bytes_detail(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{count(size_bytes)} bytes"
