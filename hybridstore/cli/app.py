"""The commands by name, and how a run of one begins and ends."""

from __future__ import annotations

import io
import sys

import cyclopts
from rich.console import Console
from rich.markup import escape

from hybridstore.errors import HybridStoreError

app = cyclopts.App(
    name="hybridstore",
    help="Storage of a crypto trading bot: hot rows in SQLite, history in Parquet, one SQL question over both.",
    version_flags=["--version"],
)
for _command in ("demo", "status", "query", "run", "lots"):
    app.command(f"hybridstore.cli.{_command}:{_command}")  # the module is imported when the command is needed


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
