"""``hybridstore config show | check``: the settings in use and where they came from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.cli.options import Json, Root
from hybridstore.cli.printing import write_text
from hybridstore.errors import NotFound
from hybridstore.reports.plain import json_text


def show(*, root: Root = None, json: Json = False) -> None:
    """Show every setting in use and where it came from: argument, environment, file or default."""
    from hybridstore.operations.settings_told import explain

    found = explain(root, dict(os.environ))
    if json:
        write_text(json_text(found), None)
        return
    console = Console()
    for one in found:
        value = "none" if one.value is None else one.value
        source = one.source if one.where is None else f"{one.source}: {one.where}"
        line = escape(f"{one.section}.{one.name} = {value}  ({source})")
        console.print(line, style="dim" if one.source == "default" else None, highlight=False, soft_wrap=True)


def check(file: Annotated[Path, Parameter(help="The configuration file.")], /) -> None:
    """Check a configuration file; nothing is opened. Exit code 1: a key is unknown, or a value cannot work."""
    from hybridstore.config import load_settings

    if not file.is_file():
        raise NotFound(
            "there is no such file", operation="config check", path=str(file), hint="give its path"
        )
    settings = load_settings(file.absolute().parent, {"HYBRIDSTORE_CONFIG": str(file)})
    policies = ", ".join(policy.name for policy in settings.retention) or "none"
    Console().print(
        escape(f"{file}: every setting is known and can work; policies: {policies}"), soft_wrap=True
    )
