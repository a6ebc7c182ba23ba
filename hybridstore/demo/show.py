"""A demo's result on a terminal: what was measured, what was proved, and where to go from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as RichTable

from hybridstore.reports.collect import QUESTIONS
from hybridstore.reports.wording import MINUS, NOTHING, count, duration, exact, rounded, size

if TYPE_CHECKING:
    from rich.console import Console

    from hybridstore.demo.run import DemoResult

_SECOND_US = 1_000_000
_PLAIN = str.maketrans({MINUS: "-", NOTHING: "-", "\N{NO-BREAK SPACE}": " ", "\N{MICRO SIGN}": "u"})


def show_demo(result: DemoResult, console: Console) -> None:
    """Print a demo's result.

    Args:
        result: What the demo did and found.
        console: Where to print; what its encoding cannot say is said in plainer characters.
    """
    with console.capture() as captured:
        _show(result, console)
    console.file.write(spell(captured.get(), console.encoding))


def spell(text: str, encoding: str) -> str:
    """Return a text that can be written in an encoding.

    Args:
        text: Any text.
        encoding: The encoding's name; a terminal or a pipe may have an old one.

    Returns:
        The same text where it can be encoded, else one with plain signs and question marks for the rest.
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    return text


def _show(result: DemoResult, console: Console) -> None:
    console.print(
        f"\n[bold]{escape(result.source)}[/]\n{count(result.market_trades)} market trades and "
        f"{count(result.quotes)} quotes recorded, {count(result.fills)} fills on paper, "
        f"{result.seconds['total']:.1f} s in all\n"
    )
    for table in (_latencies(result), _symbols(result), _tiers(result)):
        console.print(table)
    move = result.move
    console.print(
        f"Moved after {move.clock_days} days: {count(move.rows)} rows into {count(move.files)} files in "
        f"{duration(move.seconds * _SECOND_US)}, [bold]{count(round(move.rows / move.seconds))} rows per second[/], "
        f"[bold]{move.size_bytes / move.rows:.2f} bytes per row[/]\n"
    )
    console.print(_checks(result))
    root, question = escape(result.root), " ".join(QUESTIONS["example_question"].split())
    console.print(
        f"\nThe page:   {escape(result.report)}\nThe store:  hybridstore status --root {root}\n"
        f'A question: hybridstore query "{escape(question)}" --root {root}',
        soft_wrap=True,
        highlight=False,
    )


def _table(title: str, *columns: str) -> RichTable:
    table = RichTable(title=title, title_justify="left", box=SIMPLE_HEAD, title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    return table


def _checks(result: DemoResult) -> RichTable:
    table = RichTable(show_header=False, box=None, padding=(0, 2, 0, 0))
    for check in result.checks:
        mark = "[green]holds[/]" if check.passed else "[bold red]FAILS[/]"
        table.add_row(mark, escape(check.name), escape(check.finding))
    return table


def _latencies(result: DemoResult) -> RichTable:
    table = _table("Latency of each hot operation", "operation", "calls", "rows", "p50", "p99", "slowest")
    for row in result.latencies:
        times = (duration(us) for us in (row.p50_us, row.p99_us, row.max_us))
        table.add_row(row.operation, count(row.calls), count(row.rows), *times)
    return table


def _symbols(result: DemoResult) -> RichTable:
    table = _table(
        "Totals by symbol", "symbol", "market trades", "sum of amounts", "fills", "fees", "realised"
    )
    for row in result.books.symbols:
        own = (rounded(row.fees), rounded(row.realized, signed=True)) if row.fills else (NOTHING, NOTHING)
        table.add_row(row.symbol, count(row.market_trades), exact(row.market_amount), count(row.fills), *own)
    return table


def _tiers(result: DemoResult) -> RichTable:
    table = _table("What lies where", "dataset", "tier", "rows", "files", "size", "bytes per row")
    for row in result.tiers:
        if row.size_bytes is None:
            table.add_row(row.dataset, row.tier, count(row.rows), NOTHING, NOTHING, NOTHING)
        else:
            per_row = f"{row.size_bytes / row.rows:.2f}" if row.rows else NOTHING
            table.add_row(
                row.dataset, row.tier, count(row.rows), count(row.files), size(row.size_bytes), per_row
            )
    return table
