"""``hybridstore export``: rows for anybody else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hybridstore.cli.lots import lots
from hybridstore.cli.options import Account, Json, Root, existing_root
from hybridstore.cli.printing import write_text
from hybridstore.errors import ConfigError
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.reports.plain import json_text

Form = Literal["csv", "json", "parquet"]
_FORMS: dict[str, Form] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
_Output = Annotated[
    Path | None, Parameter(name=["--output", "-o"], help="File to write. Default: the terminal.")
]


def rows(
    dataset: Annotated[str, Parameter(help="Which: trades, ledger, balance_history, candles, ...")],
    *,
    output: _Output = None,
    form: Annotated[
        Form | None,
        Parameter(name=["--format", "-f"], help="csv, json or parquet. Default: by the file's suffix."),
    ] = None,
    account: Annotated[str | None, Parameter(help="Only this account.")] = None,
    symbol: Annotated[str | None, Parameter(help="Only this market, or asset.")] = None,
    start: Annotated[str | None, Parameter(help="From this moment on (ISO 8601 with a zone).")] = None,
    end: Annotated[str | None, Parameter(help="To before this moment (ISO 8601 with a zone).")] = None,
    root: Root = None,
) -> None:
    """Write rows of one dataset, hot and archived, into a file: CSV, JSON or Parquet."""
    from hybridstore.analytics.output import write_result
    from hybridstore.store import HybridStore

    chosen = form or (_FORMS.get(output.suffix.lower()) if output is not None else "csv")
    if chosen is None:
        raise ConfigError(
            f"--output {output}: its suffix names no form",
            hint="csv, json or parquet, or say it with --format",
        )
    errors = Console(stderr=True)
    with (
        HybridStore(existing_root(root), maintenance="off") as store,
        errors.status(f"reading {escape(dataset)}"),
    ):
        found = store.analytics.export_rows(dataset, account=account, symbol=symbol, start=start, end=end)
        write_result(found, chosen, output)
    if output is not None:
        errors.print(f"{len(found):,} rows in {escape(str(output))}", highlight=False, soft_wrap=True)


def hive(
    folder: Annotated[Path, Parameter(help="A new folder.")],
    *,
    dataset: Annotated[
        list[str] | None,
        Parameter(consume_multiple=True, negative="", help="Which; several may be given. Default: all."),
    ] = None,
    json: Json = False,
    root: Root = None,
) -> None:
    """Write datasets as plain Hive-partitioned Parquet that any engine reads, all of one moment."""
    from hybridstore.store import HybridStore

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        HybridStore(existing_root(root), maintenance="off") as store,
        Progress(*columns, console=Console(stderr=True), transient=True) as bar,
    ):
        task = bar.add_task("", total=None)

        def tell(name: str, done: int) -> None:
            bar.update(task, advance=done, description=name)

        found = store.analytics.write_hive(folder, dataset, tell)
    if json:
        write_text(json_text(found), None)
        return
    Console().print(
        f"{sum(found.rows.values()):,} rows of {len(found.rows)} datasets in {found.files:,} files, "
        f"{found.size_bytes:,} bytes, below {escape(found.folder)}",
        highlight=False,
        soft_wrap=True,
    )


def tax(
    *,
    output: _Output = None,
    account: Account = DEFAULT_ACCOUNT,
    symbol: Annotated[str | None, Parameter(help="Only this market. Default: all.")] = None,
    method: Annotated[str, Parameter(help="FIFO, LIFO, HIFO or AVERAGE.")] = "FIFO",
    by_year: Annotated[
        list[str] | None,
        Parameter(consume_multiple=True, negative="", help="Methods of single calendar years, as 2025=HIFO."),
    ] = None,
    year: Annotated[int | None, Parameter(help="Only the disposals of this calendar year.")] = None,
    zone: Annotated[str, Parameter(help="Where years begin and end, as Europe/Berlin.")] = "UTC",
    totals: Annotated[bool, Parameter(negative="", help="Only what the disposals come to.")] = False,
    root: Root = None,
) -> None:
    """Write what sales disposed of and gained as CSV: the same rows as hybridstore lots --csv."""
    lots(
        account=account, symbol=symbol, method=[method], by_year=by_year, year=year, zone=zone, totals=totals,
        csv=True, output=output, root=root,
    )  # fmt: skip
