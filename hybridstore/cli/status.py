"""``hybridstore status``: the condition of a store."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hybridstore.cli.options import Json, Root, existing_root
from hybridstore.cli.printing import warn, write_text
from hybridstore.reports.plain import json_text


def status(
    *,
    root: Root = None,
    diagnose: Annotated[
        bool, Parameter(negative="", help="Also measure the hot path on this store and say what is slow.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the condition of a store: tiers, rows, sizes, warnings."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root)) as store:
        condition = store.get_system_status()
        if diagnose:
            condition["diagnostics"] = store.run_performance_diagnostics()
    if json:
        write_text(json_text(condition), None)
        return
    console = Console()
    _print_condition(condition, console)
    if diagnose:
        _print_diagnostics(condition["diagnostics"], console)


def _print_condition(condition: dict[str, Any], console: Console) -> None:
    from hybridstore.operations.condition import describe_maintenance

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
        warn(console, warning)


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
