"""The page: one HTML file that needs nothing else - no network, no script, no font, no image."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from hybridstore.books.trades import TRADE_FIGURES
from hybridstore.durable import telling_failures, write_file
from hybridstore.errors import ConfigError, InvalidValue
from hybridstore.reports.headline import headline
from hybridstore.reports.sections import sections_of
from hybridstore.reports.wording import count, counted, duration, size

if TYPE_CHECKING:
    from pathlib import Path

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
        sections=sections_of(data),
        moved=move_sentence(data),
        proofs=data.proofs,
        definitions=_definitions(data),
        failed=[check.name for check in data.checks if not check.passed],
    )


def _definitions(data: ReportData) -> list[tuple[str, str]]:
    figures = [] if data.performance is None else [one.figure for one in data.performance.figures]
    if data.trades is not None and data.trades.figures:
        figures += TRADE_FIGURES
    return [*DEFINITIONS, *((figure.title, figure.definition) for figure in figures)]


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


def _period(data: ReportData) -> str:
    if not data.equity:
        return ""
    start, end = data.equity[0].taken_at, data.equity[-1].taken_at
    return f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"


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
