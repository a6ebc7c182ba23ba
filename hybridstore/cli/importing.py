"""``hybridstore import``: take what another program recorded, or a file of rows, into the books."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hybridstore.cli.options import Account, Json, Root, existing_root
from hybridstore.cli.printing import print_table, warn, write_text
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.reports.plain import json_text

if TYPE_CHECKING:
    from hybridstore.integrations.importing.importer import Importer
    from hybridstore.integrations.importing.report import ImportReport

_SHOWN = 20
"""Refused rows and profits that are told on a terminal; JSON has all."""
DryRun = Annotated[
    bool, Parameter(name="--dry-run", negative="", help="Only check and count; nothing is recorded.")
]
Bot = Annotated[str | None, Parameter(help="The bot that traded.")]


def freqtrade(
    path: Annotated[Path, Parameter(help="tradesv3.sqlite, or a copy; freqtrade may be running.")],
    *,
    account: Account = DEFAULT_ACCOUNT,
    bot: Bot = None,
    dry_run: DryRun = False,
    json: Json = False,
    root: Root = None,
) -> None:
    """Import a database of freqtrade; exit code 1: rows were refused, or a profit did not come out again."""
    _run(
        root,
        lambda importer, tell: importer.freqtrade(
            path, account=account, bot=bot, dry_run=dry_run, on_progress=tell
        ),
        json=json,
    )


def hummingbot(
    path: Annotated[Path, Parameter(help="The .sqlite file of a configuration, or a copy.")],
    *,
    account: Account = DEFAULT_ACCOUNT,
    bot: Bot = None,
    dry_run: DryRun = False,
    json: Json = False,
    root: Root = None,
) -> None:
    """Import a database of hummingbot, and tell what it cut off; exit code 1: rows were refused."""
    _run(
        root,
        lambda importer, tell: importer.hummingbot(
            path, account=account, bot=bot, dry_run=dry_run, on_progress=tell
        ),
        json=json,
    )


def rows(
    path: Annotated[Path, Parameter(help="A file: .csv, .tsv, .json, .jsonl or .parquet.")],
    *,
    dataset: Annotated[
        str | None,
        Parameter(
            help="What the rows are: trades, orders, ledger, funding, balances, candles, market_trades, or a dataset "
            "of your own."
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        Parameter(help="TOML file that says which column is what. Default: guessed by the columns' names."),
    ] = None,
    write_mapping: Annotated[
        Path | None,
        Parameter(help="Write the mapping that would be used into this file, and import nothing."),
    ] = None,
    account: Account = DEFAULT_ACCOUNT,
    dry_run: DryRun = False,
    json: Json = False,
    root: Root = None,
) -> None:
    """Import a file of rows: CSV, JSON, JSON lines or Parquet; exit code 1: rows were refused."""
    if write_mapping is not None:
        from hybridstore.store import HybridStore

        with HybridStore(existing_root(root), maintenance="off") as store:
            found = store.importer.mapping(path, mapping, dataset=dataset)
        write_text(found.toml, write_mapping)
        return
    _run(
        root,
        lambda importer, tell: importer.rows(
            path, mapping, dataset=dataset, account=account, dry_run=dry_run, on_progress=tell
        ),
        json=json,
    )


def _run(
    root: Path | None,
    work: Callable[[Importer, Callable[[int], object]], ImportReport],
    *,
    json: bool,
) -> None:
    from hybridstore.store import HybridStore

    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        HybridStore(existing_root(root), maintenance="off") as store,
        Progress(*columns, console=Console(stderr=True), transient=True) as bar,
    ):
        task = bar.add_task("", total=None)
        report = work(store.importer, lambda done: bar.advance(task, done))
    if json:
        write_text(json_text(report), None)
    else:
        _show(report, Console())
    if not report.is_clean:
        sys.exit(1)


def _show(report: ImportReport, console: Console) -> None:
    title = f"{report.source}: nothing is recorded, this would be" if report.is_dry_run else report.source
    table = [(kind, one.read, one.new, one.repeated, one.corrected) for kind, one in report.kinds.items()]
    print_table(console, title, ("kind", "read", "new", "repeated", "corrected"), table)
    if report.profits:
        same = sum(one.is_reproduced for one in report.profits)
        console.print(
            f"profits: {same:,} of {len(report.profits):,} closed trades came out again, to the last digit",
            highlight=False,
        )
    for one in [one for one in report.profits if not one.is_reproduced][:_SHOWN]:
        warn(console, f"trade {one.trade} {one.symbol}: told {one.told:f}, computed {one.computed:f}")
    for loss in report.losses:
        warn(console, f"{loss.what}, {loss.rows:,}: {loss.said}")
    for problem in report.refused[:_SHOWN]:
        warn(console, f"refused: {problem.stream} {problem.part}: {problem.said}")
    if len(report.refused) > _SHOWN:
        warn(console, f"{len(report.refused) - _SHOWN:,} more rows were refused; --json tells each")
