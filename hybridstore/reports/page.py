"""The page: one HTML file that needs nothing else - no network, no script, no font, no image."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from hybridstore.durable import telling_failures, write_file
from hybridstore.errors import ConfigError, InvalidValue
from hybridstore.portfolio.money import subtract, total
from hybridstore.reports import achievement, tables
from hybridstore.reports.charts import BarChart, LineChart, bar_chart, line_chart, range_chart
from hybridstore.reports.tables import Table, Tone
from hybridstore.reports.wording import MINUS, NOTHING, count, counted, duration, exact, rounded, size

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from hybridstore.books.performance import Performance
    from hybridstore.reports.data import ReportData

PAGE_BYTES_MAX = 400_000
"""No page may be larger."""

DEFINITIONS = (
    (
        "Equity",
        "Every balance at its price, plus the unrealised profit of open futures, in the base currency.",
    ),
    ("Drawdown", "How far equity is below its highest value so far, in per cent of that value."),
    (
        "Realised",
        "What fills that made a position smaller brought in above the average cost of what they closed.",
    ),
    ("Unrealised", "What the open positions would realise at the middle of the last best bid and ask."),
    ("Fees", "What the fills cost, in quote currency; a rebate counts against it."),
    ("Volume", "Sum of the fills' quote amounts, both sides."),
    ("Win rate", "Fills that realised a profit among the fills that realised anything."),
    (
        "Booked",
        "Sum of all ledger entries of an asset: deposits, trade legs, realised profit of futures, fees.",
    ),
    ("p50, p99", "Median and 99th percentile of the calls; no call is left out."),
    ("Hot, warm", "Rows in SQLite, and rows in Parquet files that the manifest inside SQLite names."),
)


class Figure(msgspec.Struct, frozen=True):
    """One headline figure.

    Attributes:
        label: What it is.
        value: Its text.
        note: What helps to read it.
        tone: How it is coloured.
        detail: The exact figure.
    """

    label: str
    value: str
    note: str = ""
    tone: Tone = ""
    detail: str = ""


class Section(msgspec.Struct, frozen=True):
    """One section of the page: a heading, charts, then tables.

    Attributes:
        anchor: Its id.
        title: Its heading.
        lines: Charts of lines.
        bars: Charts of bars.
        tables: Its tables.
    """

    anchor: str
    title: str
    lines: tuple[LineChart, ...] = ()
    bars: tuple[BarChart, ...] = ()
    tables: tuple[Table, ...] = ()


def render(data: ReportData) -> str:
    """Lay a report out.

    Args:
        data: What it says.

    Returns:
        The whole HTML document. Every text from the data is escaped.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    folder = resources.files(__package__)
    sources = {
        name: folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.html.jinja", "page.css")
    }
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(
        data=data,
        period=_period(data),
        figures=headline(data),
        sections=_sections(data),
        moved=move_sentence(data),
        proofs=data.proofs,
        definitions=_definitions(data),
        failed=[check.name for check in data.checks if not check.passed],
    )


def _definitions(data: ReportData) -> list[tuple[str, str]]:
    figures = () if data.performance is None else data.performance.figures
    return [*DEFINITIONS, *((one.figure.title, one.figure.definition) for one in figures)]


def write_page(data: ReportData, path: Path) -> int:
    """Write a report to a file; after a crash either the old or the new file is there.

    Args:
        data: What it says.
        path: The HTML file; its folder must exist.

    Returns:
        Its size in bytes.

    Raises:
        InvalidValue: The page would be larger than 400 000 bytes.
        ConfigError: It is a folder, or its folder does not exist.
        StorageFull: There is no space for it.
        StorageFailure: It cannot be written there.
    """
    content = render(data).encode()
    if len(content) > PAGE_BYTES_MAX:
        raise InvalidValue(
            f"the page has {len(content)} bytes, more than {PAGE_BYTES_MAX}",
            operation="write report",
            path=str(path),
            hint="leave out detail: fewer symbols or questions",
        )
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(
            f"{path} is no file that can be written",
            operation="write the report",
            hint="name a file in a folder that exists",
        )
    with telling_failures("write the report", path):
        write_file(path, content)
    return len(content)


def headline(data: ReportData) -> tuple[Figure, ...]:
    """Return the figures a reader wants first."""
    own = data.in_base
    realized = total(row.realized for row in own)
    fees = total(row.fees for row in own)
    base_symbols = {row.symbol for row in own}
    unrealized = total(
        row.unrealized for row in data.positions if row.symbol in base_symbols and row.unrealized is not None
    )
    fills = sum(row.fills for row in data.symbols)
    figures = []
    if data.performance is not None:
        figures += _achieved(data.performance)
    elif data.equity:
        start, end = data.equity[0].equity, data.equity[-1].equity
        change = subtract(end, start)
        percent = f"{rounded(100 * change / start, 3, signed=True)} %" if start else NOTHING
        figures += [
            Figure("Equity", rounded(end), f"{rounded(start)} at the start", detail=exact(end)),
            _gain("Change", change, f"{percent} in {data.base_currency}"),
        ]
    return (
        *figures,
        _gain("Realised", realized, "gross of fees"),
        _gain("Unrealised", unrealized, f"in {counted(len(data.positions), 'open position')}"),
        Figure(
            "Fees",
            f"{MINUS}{rounded(fees)}" if fees > 0 else rounded(-fees),
            "taker fees",
            detail=exact(fees),
        ),
        Figure("Fills", count(fills), f"{tables.win_rate(own)} of the closing ones won"),
    )


def _achieved(found: Performance) -> list[Figure]:
    figures = {one.figure.name: one for one in found.figures}
    beside = ""
    if found.benchmark:
        beside = f"{found.benchmark}: {achievement.value_cell(figures['benchmark_return']).text}"
    notes = {"total_return": beside, "sharpe": "of a year", "max_drawdown": "from the highest value before"}
    shown = [
        Figure(
            "Equity",
            rounded(found.end_equity),
            f"{rounded(found.start_equity)} at the start",
            detail=exact(found.end_equity),
        ),
        _gain("Profit", found.profit, f"{rounded(found.net_flow, signed=True)} deposited less withdrawn"),
    ]
    for name, note in notes.items():
        cell = achievement.value_cell(figures[name])
        shown.append(Figure(figures[name].figure.title, cell.text, note, "", cell.detail))
    return shown


def _gain(label: str, value: Decimal, note: str) -> Figure:
    tone: Tone = "gain" if value > 0 else "loss" if value < 0 else ""
    return Figure(label, rounded(value, signed=True), note, tone, exact(value))


def _period(data: ReportData) -> str:
    if not data.equity:
        return ""
    start, end = data.equity[0].taken_at, data.equity[-1].taken_at
    return f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"


def _sections(data: ReportData) -> list[Section]:
    sections = [
        *_performance(data),
        Section("equity", "Equity", lines=_equity_charts(data)),
        Section(
            "symbols",
            "By symbol",
            bars=_profit_chart(data),
            tables=(tables.symbols_table(data),) if data.symbols else (),
        ),
        Section(
            "holdings",
            "Positions and balances",
            tables=(
                *((tables.positions_table(data),) if data.positions else ()),
                *((tables.balances_table(data),) if data.balances else ()),
            ),
        ),
        Section(
            "latency",
            "Speed of the hot path",
            bars=_latency_chart(data),
            tables=(tables.latency_table(data),) if data.latencies else (),
        ),
        Section("tiers", "Tiers", tables=(tables.tiers_table(data),) if data.tiers else ()),
        Section(
            "proof", "Before and after the move", tables=(tables.proofs_table(data),) if data.proofs else ()
        ),
        Section("quality", "Data quality", tables=(tables.checks_table(data),) if data.checks else ()),
    ]
    return [section for section in sections if section.lines or section.bars or section.tables]


def _performance(data: ReportData) -> list[Section]:
    if data.performance is None:
        return []
    return [
        Section(
            "performance",
            "Performance",
            lines=(achievement.growth_chart(data.performance), achievement.drawdown_chart(data.performance)),
            tables=(achievement.figures_table(data.performance), achievement.months_table(data.performance)),
        )
    ]


def _equity_charts(data: ReportData) -> tuple[LineChart, ...]:
    if not data.equity:
        return ()
    equity = [(point.taken_at, float(point.equity)) for point in data.equity]
    drawdown = [
        (point.taken_at, float(100 * (point.equity - point.peak) / point.peak) if point.peak else 0.0)
        for point in data.equity
    ]
    curve = line_chart(f"Equity, {data.base_currency}", equity, unit="", tone="accent")
    if data.performance is not None:  # it has the drawdown without deposits and withdrawals
        return (curve,)
    return (curve, line_chart("Drawdown", drawdown, unit=" %", tone="loss"))


def _profit_chart(data: ReportData) -> tuple[BarChart, ...]:
    net = [(row.symbol, row.realized - row.fees) for row in data.in_base if row.fills]
    if not net:
        return ()
    values = [(symbol, float(amount), rounded(amount, signed=True)) for symbol, amount in net]
    return (bar_chart(f"Realised profit after fees, {data.base_currency}", values, ""),)


def _latency_chart(data: ReportData) -> tuple[BarChart, ...]:
    if not data.latencies:
        return ()
    ranges = [
        (row.operation, row.p50_us, row.p99_us, f"{duration(row.p50_us)} to {duration(row.p99_us)}")
        for row in data.latencies
    ]
    return (range_chart("From the median to the 99th percentile, one call", ranges),)


def move_sentence(data: ReportData) -> str:
    """Return what the tiering job did, in one sentence; nothing where none ran."""
    move = data.move
    if move is None:
        return ""
    return (
        f"The clock was put forward by {move.clock_days} days; then the tiering job moved {count(move.rows)} rows "
        f"into {counted(move.files, 'file')} of {size(move.size_bytes)} in {duration(move.seconds * 1e6)}: "
        f"{count(round(move.rows / move.seconds))} rows per second, {move.size_bytes / move.rows:.2f} bytes per row."
    )
