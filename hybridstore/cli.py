"""The command line: ``hybridstore demo | status | query | run``."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hybridstore.config import default_root
from hybridstore.errors import HybridStoreError, NotFound

app = cyclopts.App(
    name="hybridstore",
    help="Storage of a crypto trading bot: hot rows in SQLite, history in Parquet, one SQL question over both.",
    version_flags=["--version"],
)

Root = Annotated[
    Path | None,
    Parameter(
        help="The store's folder. Default: HYBRIDSTORE_ROOT, else the platform's folder for user data."
    ),
]
Json = Annotated[bool, Parameter(negative="", help="Print JSON instead of a table.")]
QueryFormat = Literal["table", "csv", "json", "parquet"]


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _existing_root(root: Path | None) -> Path:
    """A command that only looks must not create a store where there is none."""
    folder = root or default_root()
    if not (folder / "trading_bot.db").exists():
        raise NotFound(
            "there is no store here",
            path=str(folder),
            hint="give --root, or make one with: hybridstore demo --root DIR",
        )
    return folder


@app.command
def demo(
    *,
    market_data: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="Recorded market data: Parquet files of trades and best bid/ask, or folders of them. "
            "Without it a simulated market is traded.",
        ),
    ] = None,
    root: Annotated[
        Path | None, Parameter(help="Where to leave the store. Default: ./hybridstore-demo")
    ] = None,
    overwrite: Annotated[bool, Parameter(negative="", help="Delete an earlier demo's store first.")] = False,
    json: Json = False,
) -> None:
    """Trade on paper over a market, move the history into Parquet, and show that no total changed."""
    from hybridstore.demo.run import run_demo
    from hybridstore.demo.show import show_demo

    result = run_demo(
        root or Path("hybridstore-demo"), market_data or [], overwrite=overwrite, progress=not json
    )
    if json:
        _print_json(result)
    else:
        show_demo(result, Console())
    if not result.passed:
        sys.exit(1)


@app.command
def status(
    *,
    root: Root = None,
    diagnose: Annotated[
        bool, Parameter(negative="", help="Also measure the hot path on this store and say what is slow.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the condition of a store: tiers, rows, sizes, warnings."""
    from hybridstore.operations.condition import describe_maintenance
    from hybridstore.store import HybridStore

    with HybridStore(_existing_root(root)) as store:
        condition = store.get_system_status()
        if diagnose:
            condition["diagnostics"] = store.run_performance_diagnostics()
    if json:
        _print_json(condition)
        return
    console = Console()
    hot = condition["database"]
    console.print(f"[bold]{escape(condition['root'])}[/]  schema {condition['schema_version']}")
    console.print(f"last commit {condition['commit_seq']} at {condition['committed_at']}")
    console.print(f"hot store {hot['database_size_mb']} MiB, write-ahead log {hot['wal_size_mb']} MiB")
    console.print(f"last full backup {condition['backups']['last_full_backup'] or 'none'}")
    datasets = Table("dataset", "hot rows", "archived rows", title="Datasets")
    for name, rows in condition["datasets"].items():
        datasets.add_row(name, f"{rows['hot_rows']:,}", f"{rows['archived_rows']:,}")
    console.print(datasets)
    tiers = Table("tier", "files", "rows", "bytes", "bytes a row", title="Archives")
    for name, sums in condition["tiers"].items():
        per_row = f"{sums['size_bytes'] / sums['rows']:.2f}" if sums["rows"] else ""
        tiers.add_row(name, f"{sums['files']:,}", f"{sums['rows']:,}", f"{sums['size_bytes']:,}", per_row)
    console.print(tiers)
    console.print(f"maintenance: {escape(describe_maintenance(condition['maintenance']))}")
    for warning in (*condition["warnings"], *filter(None, [condition["backups"]["warning"]])):
        console.print(f"[yellow]warning:[/] {escape(warning)}")
    if diagnose:
        _print_diagnostics(condition["diagnostics"], console)


def _print_diagnostics(report: dict[str, Any], console: Console) -> None:
    tests = Table("operation", "ms", "limit ms", "", title=f"Hot path: {report['overall_status']}")
    for test in report["tests"]:
        limits = f"{test['execution_time_ms']:.4f}", f"{test['target_ms']:g}"
        tests.add_row(test["test"], *limits, test["status"])
    console.print(tests)
    for test in report["tests"]:
        if test["hint"]:
            told = ": ".join(filter(None, (test["test"], test["error"], test["hint"])))
            console.print(f"[yellow]{test['status']}:[/] {escape(told)}")


@app.command
def query(
    sql: Annotated[str, Parameter(help="A SELECT over datasets by name, in DuckDB's SQL.")],
    *,
    root: Root = None,
    form: Annotated[QueryFormat, Parameter(name=["--format", "-f"], help="How to print the rows.")] = "table",
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="File to write; parquet needs one.")
    ] = None,
    timeout_s: Annotated[float | None, Parameter(help="Cancel the query after this many seconds.")] = None,
) -> None:
    """Ask one SQL question over hot rows and every archive, in one snapshot."""
    from hybridstore.analytics.output import write_result
    from hybridstore.store import HybridStore

    with HybridStore(_existing_root(root)) as store:
        result = store.analytics.sql(sql, timeout_s=timeout_s) if timeout_s else store.sql(sql)
        write_result(result, form, output)


@app.command
def run(
    *,
    root: Root = None,
    once: Annotated[bool, Parameter(negative="", help="Do what is due now and stop.")] = False,
    interval_s: Annotated[
        float | None, Parameter(help="Seconds between rounds. Default: the configuration's, else 3600.")
    ] = None,
    now: Annotated[
        str | None, Parameter(help="Plan as if it were this moment (ISO 8601 with a zone); only with --once.")
    ] = None,
    wait: Annotated[
        bool,
        Parameter(help="Where another process maintains the store: wait for its end, or stop with an error."),
    ] = True,
    json: Json = False,
) -> None:
    """Move rows that are old enough into their archives: once, or as a service."""
    from hybridstore.operations.foreground import run_foreground

    run_foreground(_existing_root(root), once=once, interval_s=interval_s, now=now, wait=wait, json=json)


def main() -> None:
    """Run the command line; an error the user can act on is printed as one sentence, with exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a Windows console cannot print every symbol's name
            stream.reconfigure(errors="replace")
    try:
        app(sys.argv[1:])
    except HybridStoreError as error:
        Console(stderr=True).print(f"[red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
