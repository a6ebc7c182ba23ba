"""``hybridstore verify``: proof of the store, its manifest, its files and its audit log."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Json, Root, existing_root
from hybridstore.cli.printing import write_text
from hybridstore.reports.plain import json_text


def verify(
    *,
    root: Root = None,
    mode: Annotated[
        Literal["quick", "full", "scrub"],
        Parameter(
            help="quick: sizes, manifest and audit chain; full: also hashes and the database's pages; "
            "scrub: also every row by count, range and exact sums."
        ),
    ] = "full",
    rate_mib_s: Annotated[
        float | None, Parameter(help="Read no faster than this, MiB/s. Default: as fast as it goes.")
    ] = None,
    json: Json = False,
) -> None:
    """Prove store, manifest, archived files and audit log. Exit code 1: something is wrong; everything is named."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from hybridstore.operations.signals import obey_signals
    from hybridstore.retention.verification import examine
    from hybridstore.store import HybridStore

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with (
        obey_signals() as stop,
        HybridStore(existing_root(root), maintenance="off") as store,
        Progress(*columns, transient=True, disable=json) as bar,
    ):
        task = bar.add_task(f"{mode} check", total=None)
        found = examine(
            store.database,
            mode,
            rate_mib_s=rate_mib_s,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            stop=stop.is_set,
        )
    if json:
        write_text(json_text({**found.to_dict(), "holds": found.holds}), None)
    else:
        console = Console()
        for problem in found.problems:
            console.print(f"[red]wrong:[/] {escape(problem)}", highlight=False, soft_wrap=True)
        console.print(
            f"{found.files:,} files, {found.rows:,} rows, {found.size_bytes:,} bytes, "
            f"{found.audit_entries:,} audit entries in {found.elapsed_s:.1f} s: "
            + ("everything is as it should be" if found.holds else f"wrong: {len(found.problems):,}")
        )
    if not found.holds:
        sys.exit(1)
