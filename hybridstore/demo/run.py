"""The demo, start to end: a bot trades on paper, its history moves into Parquet, and no total changes.

What comes out is left in one folder: the store, which every other command can open, and the report's page.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.demo.bot import PaperBot
from hybridstore.demo.latency import LatencyBook
from hybridstore.demo.market import MarketTape
from hybridstore.demo.place import REPORT, prepare_place
from hybridstore.demo.recorded import read_market
from hybridstore.demo.simulated import simulate_market
from hybridstore.demo.stages import Stages, standard_error_bars
from hybridstore.operations.maintenance import run_in_process
from hybridstore.reports.collect import (
    Answers,
    Books,
    ask_proofs,
    check_books,
    check_proofs,
    collect_books,
    collect_tiers,
    compare_proofs,
)
from hybridstore.reports.data import Check, LatencyRow, MoveFigures, Proof, ReportData, TierRow
from hybridstore.reports.page import write_page
from hybridstore.reports.wording import count
from hybridstore.schema.types import moment
from hybridstore.store import HybridStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hybridstore.retention.progress import MoveReport

CLOCK_DAYS = 45
"""How far the clock is put forward before the tiering job runs."""


class DemoResult(msgspec.Struct, frozen=True):
    """What a demo did and found.

    Attributes:
        root: The folder that holds the store and the page.
        report: The page.
        source: Where the market data came from.
        market_trades: Market trades recorded.
        quotes: Quotes that became marks.
        fills: The bot's own fills.
        seconds: Wall time of each stage, and of all as ``total``.
        books: Equity, totals by symbol, positions and balances, from SQL after the move.
        latencies: Figures of every hot operation.
        tiers: What lies in which tier.
        move: What the tiering job did.
        proofs: Every question with its answers before and after the move.
        checks: What must hold, and whether it does.
        passed: Whether every check holds.
    """

    root: str
    report: str
    source: str
    market_trades: int
    quotes: int
    fills: int
    seconds: dict[str, float]
    books: Books
    latencies: tuple[LatencyRow, ...]
    tiers: tuple[TierRow, ...]
    move: MoveFigures
    proofs: tuple[Proof, ...]
    checks: tuple[Check, ...]
    passed: bool


class _Session(msgspec.Struct):
    """What the stages of one run work on."""

    store: HybridStore
    clock: ManualClock
    tape: MarketTape
    bot: PaperBot
    latencies: LatencyBook
    stages: Stages


def run_demo(
    root: Path, market_data: Sequence[Path] = (), *, overwrite: bool = False, progress: bool = True
) -> DemoResult:
    """Trade on paper over a market, move the history into Parquet, and compare every total.

    Args:
        root: Where the store and the page are left: a folder that is missing, empty or an earlier demo's.
        market_data: Parquet files of recorded trades and best bid/ask, or folders of them; none means the
            simulated market.
        overwrite: Whether an earlier demo's folder is deleted first.
        progress: Whether progress bars are shown, on standard error.

    Returns:
        What was done and found.

    Raises:
        Conflict: The folder holds something that is not to be deleted.
        InvalidValue: A market data file is not understood.
        MoveFailed: The tiering job ended with an error.
    """
    if not progress:
        return _run(root, market_data, Stages(), overwrite=overwrite)
    with standard_error_bars() as bars:
        return _run(root, market_data, Stages(bars), overwrite=overwrite)


def _run(root: Path, market_data: Sequence[Path], stages: Stages, *, overwrite: bool) -> DemoResult:
    begun_s = time.perf_counter()
    with stages.stage("read", "Reading market data" if market_data else "Simulating a market"):
        tape = read_market(market_data) if market_data else simulate_market()
    place = prepare_place(root, overwrite=overwrite)
    clock, latencies = ManualClock(tape.first_us), LatencyBook()
    with HybridStore(place, clock=clock) as store:
        session = _Session(store, clock, tape, PaperBot(store, clock, latencies), latencies, stages)
        _trade(session)
        before = _ask(session, "ask before", "Asking SQL while every row is hot")
        clock.advance(CLOCK_DAYS * DAY_US)
        moved = _move(session)
        after = _ask(session, "ask after", "Asking the same SQL again")
        with stages.stage("report", "Writing the page"):
            result = _tell(session, before, after, moved)
    return msgspec.structs.replace(result, seconds={**stages.seconds, "total": time.perf_counter() - begun_s})


def _trade(session: _Session) -> None:
    session.bot.open_account()
    events = len(session.tape)
    with session.stages.stage("trade", f"Trading on paper over {count(events)} events", events) as bar:
        session.bot.replay(session.tape, bar.advance)


def _ask(session: _Session, name: str, text: str) -> Answers:
    with session.stages.stage(name, text), session.store.snapshot() as snapshot:
        return ask_proofs(snapshot)


def _move(session: _Session) -> MoveReport:
    """Run the tiering job beside the open store, in a process of its own."""
    text = f"{CLOCK_DAYS} days later: moving history into Parquet"
    with session.stages.stage("move", text) as bar:
        return run_in_process(
            session.store.root,
            now_us=session.clock.now_us(),
            progress=lambda moved: bar.reach(moved.rows_done, moved.rows_total),
        )


def _tell(session: _Session, before: Answers, after: Answers, moved: MoveReport) -> DemoResult:
    store, bot = session.store, session.bot
    summary = store.get_portfolio_summary()
    with store.snapshot() as snapshot:
        books = collect_books(snapshot, summary)
    tiers = collect_tiers(store.database)
    proofs = compare_proofs(before, after)
    checks = (_check_input(session, books), check_proofs(proofs), *check_books(books, summary))
    move = MoveFigures(moved.rows, moved.files, moved.size_bytes, moved.elapsed_s, CLOCK_DAYS)
    data = ReportData(
        title="Paper trading, hot and archived",
        source=session.tape.source,
        account=summary.account,
        base_currency=summary.base_currency,
        generated_at=moment(session.clock.now_us()),
        equity=books.equity,
        symbols=books.symbols,
        positions=books.positions,
        balances=books.balances,
        latencies=session.latencies.rows(),
        tiers=tiers,
        move=move,
        proofs=proofs,
        checks=checks,
    )
    report = store.root / REPORT
    write_page(data, report)
    return DemoResult(
        root=str(store.root),
        report=str(report),
        source=data.source,
        market_trades=bot.market_trades,
        quotes=bot.marks,
        fills=bot.fills,
        seconds={},
        books=books,
        latencies=data.latencies,
        tiers=tiers,
        move=move,
        proofs=proofs,
        checks=checks,
        passed=all(check.passed for check in checks),
    )


def _check_input(session: _Session, books: Books) -> Check:
    """Every event of the input arrived: nothing was dropped on the way into the store."""
    tape, bot = session.tape, session.bot
    stored = sum(row.market_trades for row in books.symbols)
    fills = sum(row.fills for row in books.symbols)
    arrived = (
        stored == bot.market_trades == tape.trade_count
        and bot.marks == tape.quote_count
        and fills == bot.fills
    )
    finding = (
        f"{count(stored)} of {count(tape.trade_count)} market trades and {count(fills)} of {count(bot.fills)} "
        f"fills are stored, {count(bot.marks)} of {count(tape.quote_count)} quotes became marks"
    )
    return Check("Every event of the market data was taken in", finding, passed=arrived)
