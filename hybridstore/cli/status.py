"""``hybridstore status``: the condition of a store."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hybridstore.cli.options import Json, Root, existing_root
from hybridstore.cli.printing import write_text
from hybridstore.errors import ConfigError
from hybridstore.reports.plain import json_text


def status(
    *,
    root: Root = None,
    diagnose: Annotated[
        bool, Parameter(negative="", help="Also measure the hot path on this store and say what is slow.")
    ] = False,
    watch: Annotated[
        bool,
        Parameter(negative="", help="Show it again and again, until Ctrl-C; with --json a line each time."),
    ] = False,
    interval_s: Annotated[float, Parameter(help="Seconds between two looks of --watch.")] = 2.0,
    times: Annotated[int | None, Parameter(help="End --watch after so many looks. Default: never.")] = None,
    json: Json = False,
) -> None:
    """Show the condition of a store: tiers, rows, sizes, warnings."""
    from hybridstore.store import HybridStore

    if watch and diagnose:
        raise ConfigError(
            "--watch and --diagnose: measuring again and again is a load", hint="give one of them"
        )
    if not interval_s > 0 or (times is not None and times < 1):
        raise ConfigError(f"--interval-s {interval_s}, --times {times}", hint="give positive numbers")
    with HybridStore(existing_root(root)) as store:
        if watch:
            from hybridstore.cli.watching import watch as show_again

            show_again(store.get_system_status, _shown, interval_s=interval_s, times=times, json=json)
            return
        condition = store.get_system_status()
        if diagnose:
            condition["diagnostics"] = store.run_performance_diagnostics()
    if json:
        write_text(json_text(condition), None)
        return
    console = Console()
    console.print(_shown(condition))
    if diagnose:
        _print_diagnostics(condition["diagnostics"], console)


def _shown(condition: dict[str, Any]) -> Group:
    """Return the condition as it is shown on a terminal."""
    from hybridstore.operations.condition import describe_maintenance

    hot = condition["database"]
    datasets = Table("dataset", "hot rows", "archived rows", title="Datasets")
    for name, rows in condition["datasets"].items():
        datasets.add_row(name, f"{rows['hot_rows']:,}", f"{rows['archived_rows']:,}")
    tiers = Table("tier", "files", "rows", "bytes", "bytes a row", title="Archives")
    for name, sums in condition["tiers"].items():
        per_row = f"{sums['size_bytes'] / sums['rows']:.2f}" if sums["rows"] else ""
        tiers.add_row(name, f"{sums['files']:,}", f"{sums['rows']:,}", f"{sums['size_bytes']:,}", per_row)
    told = [*condition["warnings"], *filter(None, [condition["backups"]["warning"]])]
    return Group(
        _line(f"[bold]{escape(condition['root'])}[/]  schema {condition['schema_version']}"),
        _line(f"last commit {condition['commit_seq']} at {condition['committed_at']}"),
        _line(f"hot store {hot['database_size_mb']} MiB, write-ahead log {hot['wal_size_mb']} MiB"),
        _line(f"last full backup {condition['backups']['last_full_backup'] or 'none'}"),
        datasets,
        tiers,
        _line(f"maintenance: {escape(describe_maintenance(condition['maintenance']))}"),
        *(_line(f"[yellow]warning:[/] {escape(warning)}") for warning in told),
    )


def _line(markup: str) -> Text:
    return Text.from_markup(markup)


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
