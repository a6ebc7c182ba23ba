"""``hybridstore migrate``: the version of a store's schema, and the steps to the newest one."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Json, Root, existing_root
from hybridstore.cli.printing import write_text
from hybridstore.config import load_settings
from hybridstore.reports.plain import json_text


def migrate(
    *,
    root: Root = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Only show which steps would be run; nothing is changed.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring a store to the newest version of its schema; before each step a backup is made."""
    from hybridstore.operations.migrating import migrate_store

    report = migrate_store(load_settings(existing_root(root)).database, dry_run=dry_run)
    if json:
        write_text(json_text({**report.to_dict(), "dry_run": dry_run}), None)
        return
    lines = [f"schema version {report.before}, the newest is {report.newest}"]
    for step in report.steps:
        done = "would be run" if dry_run else "was run"
        copy = f"; backup before it: {step.backup}" if step.backup else ""
        lines.append(f"{step.version} {step.name} {done}{copy}")
    if not report.steps:
        lines.append("nothing to do")
    for line in lines:
        Console().print(escape(line), highlight=False, soft_wrap=True)
