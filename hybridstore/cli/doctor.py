"""``hybridstore doctor``: what is wrong with a store, what it means, and what to do."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Json, Root
from hybridstore.cli.printing import write_text
from hybridstore.config import default_root
from hybridstore.reports.plain import json_text

if TYPE_CHECKING:
    from hybridstore.operations.doctor import Examination
    from hybridstore.operations.findings import Finding

_COLORS = {"error": "red", "warning": "yellow", "note": "cyan"}


def doctor(
    *,
    root: Root = None,
    quick: Annotated[
        bool,
        Parameter(
            negative="", help="Read no archived file, page or backup whole, and do not add the books up."
        ),
    ] = False,
    fix: Annotated[
        bool,
        Parameter(negative="", help="Do what is safe to do, and say what was done. Without: only say it."),
    ] = False,
    yes: Annotated[bool, Parameter(negative="", help="With --fix: do not ask before each repair.")] = False,
    json: Json = False,
) -> None:
    """Examine a store and explain each problem and its remedy. Exit code 1: there are errors."""
    from hybridstore.operations.doctor import examine_store

    folder = (root or default_root()).absolute()
    asks = fix and not yes and not json and sys.stdin.isatty()
    with Console(stderr=True).status("examining ...") if not asks and not json else nullcontext() as shown:
        found = examine_store(
            folder,
            thorough=not quick,
            fix=fix,
            agree=_ask if asks else None,
            on_check=None
            if shown is None
            else lambda name: shown.update(f"examining: {name.replace('_', ' ')}"),
        )
    if json:
        write_text(json_text({**found.to_dict(), "is_well": found.is_well}), None)
    else:
        _print(found, Console(), fix=fix)
    if not found.is_well:
        sys.exit(1)


def _ask(finding: Finding) -> bool:
    console = Console()
    console.print(f"{finding.code}: {escape(finding.found)}", highlight=False, soft_wrap=True)
    return console.input(f"{finding.fix}? [y/N] ", markup=False).strip().lower() in {"y", "yes"}


def _print(found: Examination, console: Console, *, fix: bool) -> None:
    for one in found.findings:
        color = "green" if one.is_fixed else _COLORS[one.severity]
        head = "fixed" if one.is_fixed else one.severity
        _line(console, f"[{color}]{head}[/] [bold]{one.code}[/]: {escape(one.found)}")
        _line(console, f"  means: {escape(one.means)}")
        if one.done is not None:
            _line(console, f"  done: {escape(one.done)}")
            continue
        if one.remedy is not None:
            _line(console, f"  remedy: {escape(one.remedy)}")
        if one.failed is not None:
            _line(console, f"  --fix could not: {escape(one.failed)}")
        elif one.fix is not None and not fix:
            _line(console, f"  --fix would: {escape(one.fix)}")
    counts = {
        name: sum(one.severity == name and not one.is_fixed for one in found.findings) for name in _COLORS
    }
    fixed = sum(one.is_fixed for one in found.findings)
    outside = "" if found.opened else "; the store was not opened, so what is inside was not examined"
    summary = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())
    _line(
        console,
        f"{found.checks} checks of {escape(found.root)}: {summary}{f', {fixed} fixed' if fixed else ''}{outside}",
    )


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
