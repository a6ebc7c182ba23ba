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
COMMANDS = {
    "demo": "Trade on paper over a market, move the history into Parquet, and show that no total changed.",
    "status": "Show the condition of a store: tiers, rows, sizes, warnings.",
    "init": "Make a store with a configuration file that explains every setting; never over one that is there.",
    "migrate": "Bring a store to the newest version of its schema; before each step a backup is made.",
    "doctor": "Examine a store and explain each problem and its remedy. Exit code 1: there are errors.",
    "query": "Ask one SQL question over hot rows and every archive, in one snapshot; Ctrl-C cancels it.",
    "shell": "Ask questions, one after the other; each sees one moment of the whole store.",
    "duckdb_init": "Write this moment of the store into a folder that any DuckDB reads, with the SQL it begins with.",
    "positions": "Show positions with their profit, as they are or as they were at any moment.",
    "portfolio": "Show what an account is worth and what it depends on, now or at any moment.",
    "performance": "Show how an account did, deposits and withdrawals taken out, and beside a benchmark.",
    "attribution": "Show which market, strategy or bot made what an account made, with the figures of each.",
    "trades": "Show how closed trades did: win rate, profit factor, expectancy, holding time, streaks, excursions, "
    "slippage.",
    "report": "Write one HTML page of an account: performance, positions, balances, and whether the books agree.",
    "lots": "Show which lots sales disposed of and what they gained; with --csv: the tax export.",
    "reconcile": "Compare the ledger with every reported balance. Exit code 1: they part, or the books do not prove "
    "themselves.",
    "verify": "Prove store, manifest, archived files and audit log. Exit code 1: something is wrong; everything is "
    "named.",
    "sync": "Read what an exchange knows of an account; exit code 1: rows are missing or refused, or sums differ.",
    "metrics": "Print the figures of a store once, in the text format of Prometheus.",
    "run": "Move rows that are old enough into their archives: once, or as a service.",
}
"""Commands and what they do, told without importing any; a test compares this with their own words."""
RETENTION = {
    "plan": "Show what a run would move, merge, delete and offload now, and why; nothing is changed.",
    "run": "Move, merge and delete what is due now; what a crash or Ctrl-C left open is continued by the next run.",
    "status": "Show what each tier holds, what is due, and what is open.",
    "history": "Show what was done to history: the end of the audit log, newest last.",
}
"""Commands of ``hybridstore retention``, likewise."""
HOLDS = {
    "hold": "Place a legal hold: nothing deletes these rows until it is released.",
    "release": "End a legal hold; the next run deletes what only it kept.",
    "holds": "Show legal holds.",
    "certificates": "Show what was deleted by policy, with its proof in the audit log.",
    "erase": "Erase every row with a value, for good, as the law may demand; without --yes it is only counted.",
    "confirm_clock": "Confirm that the machine's clock is right although it leapt, so that what is old enough is "
    "deleted again.",
}
"""The others of them, from cli/holds.py."""
COLUMNS = {
    "rename_column": "Give a column of your own dataset another name, in its table and in all its archived files at "
    "once.",
    "widen_column": "Let a column of your own dataset hold more, in its table and in all its archived files at once.",
}
"""And from cli/columns.py."""
BACKUP = {
    "now": "Back the store up now: a full copy, or with --incremental what was committed since the last.",
    "status": "Show how the backups are doing: who ships, how far it is, what was proven.",
    "list": "Show which moments can be restored, and the marks.",
    "verify": "Prove the backups themselves. Exit code 1: something is wrong; each file and what can be restored is "
    "named.",
    "restore": "Put the whole store back as it was at a moment: hot rows, manifest and archived files.",
    "expire": "Delete what no moment of the last days needs, see keep_full_backups_days; with --dry-run only show it.",
    "heal": "Put archived files back that are gone or damaged. Exit code 1: some are still wrong; they are "
    "named.",
    "mark": "Give the present a name, to restore it by later.",
}
"""Commands of ``hybridstore backup``, likewise."""
CONFIG = {
    "show": "Show every setting in use and where it came from: argument, environment, file or default.",
    "check": "Check a configuration file; nothing is opened. Exit code 1: a key is unknown, or a value cannot work.",
}
"""Commands of ``hybridstore config``, likewise."""
IMPORT = {
    "freqtrade": "Import a database of freqtrade; exit code 1: rows were refused, or a profit did not come out again.",
    "hummingbot": "Import a database of hummingbot, and tell what it cut off; exit code 1: rows were refused.",
    "rows": "Import a file of rows: CSV, JSON, JSON lines or Parquet; exit code 1: rows were refused.",
}
"""Commands of ``hybridstore import``, from cli/importing.py."""
EXPORT = {
    "rows": "Write rows of one dataset, hot and archived, into a file: CSV, JSON or Parquet.",
    "hive": "Write datasets as plain Hive-partitioned Parquet that any engine reads, all of one moment.",
    "tax": "Write what sales disposed of and gained as CSV: the same rows as hybridstore lots --csv.",
}
"""Commands of ``hybridstore export``, from cli/exporting.py."""
FETCH = "Bring copies of backups from an object store into a folder; restore from it with --from."
"""And the one from cli/fetch.py."""
for _name, _what in COMMANDS.items():
    app.command(f"hybridstore.cli.{_name}:{_name}", name=_name.replace("_", "-"), help=_what)
_retention = cyclopts.App(
    name="retention", help="Plan, run and look back on moves, merges and deletions; legal holds."
)
for _name, _what in RETENTION.items():
    _retention.command(f"hybridstore.cli.retention:{_name}", help=_what)
for _name, _what in HOLDS.items():
    _retention.command(f"hybridstore.cli.holds:{_name}", name=_name.replace("_", "-"), help=_what)
for _name, _what in COLUMNS.items():
    _retention.command(f"hybridstore.cli.columns:{_name}", name=_name.replace("_", "-"), help=_what)
app.command(_retention)
_backup = cyclopts.App(name="backup", help="Backups, restores to any moment, and proof of both.")
for _name, _what in BACKUP.items():
    _function = "list_" if _name == "list" else _name
    _backup.command(f"hybridstore.cli.backup:{_function}", name=_name, help=_what)
_backup.command("hybridstore.cli.fetch:fetch", name="fetch", help=FETCH)
app.command(_backup)
_config = cyclopts.App(
    name="config", help="The settings in use, and whether a configuration file can be read."
)
for _name, _what in CONFIG.items():
    _config.command(f"hybridstore.cli.config:{_name}", help=_what)
app.command(_config)
_import = cyclopts.App(
    name="import", help="Take what another program recorded, or a file of rows, into the books."
)
for _name, _what in IMPORT.items():
    _import.command(f"hybridstore.cli.importing:{_name}", help=_what)
app.command(_import)
_export = cyclopts.App(
    name="export", help="Rows for anybody else: one dataset, all of them, or the tax table."
)
for _name, _what in EXPORT.items():
    _export.command(f"hybridstore.cli.exporting:{_name}", help=_what)
app.command(_export)


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
