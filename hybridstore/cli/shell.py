"""``hybridstore shell``: one question after the other."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from hybridstore.cli.asking import ask
from hybridstore.cli.options import Root, existing_root
from hybridstore.cli.printing import print_table
from hybridstore.errors import HybridStoreError, InvalidValue

if TYPE_CHECKING:
    from hybridstore.analytics.output import Format
    from hybridstore.store import HybridStore

_PROMPT, _MORE = "hybridstore> ", "         ...> "
_HISTORY_MAX = 1_000
_FORMS: dict[str, Format] = {"table": "table", "csv": "csv", "json": "json"}
_HELP = """\
A SELECT over datasets by name, ended by a semicolon; it may take several lines. Ctrl-C cancels it, Ctrl-D ends.
.datasets             every dataset
.columns DATASET      its columns
.format FORM          table, csv or json
.known MOMENT         as the store knew things then (ISO 8601 with a zone); .known alone: now
.help                 this
.exit                 the end"""


def shell(*, root: Root = None) -> None:
    """Ask questions, one after the other; each sees one moment of the whole store."""
    from hybridstore.store import HybridStore

    folder = existing_root(root)
    with HybridStore(folder, maintenance="off") as store:
        _Shell(store, folder).run()


class _Shell:
    """What somebody types, and what is answered."""

    def __init__(self, store: HybridStore, root: Path) -> None:
        self._store = store
        self._console = Console()
        self._errors = Console(stderr=True)
        self._form: Format = "table"
        self._known_at: str | None = None
        self._is_terminal = sys.stdin.isatty()
        if self._is_terminal:
            self._console.print(f"{escape(str(root))}: .help helps, Ctrl-D ends", highlight=False)
            _begin_editing(root, self._words())

    def run(self) -> None:
        """Read and answer until the end."""
        typed = ""
        while True:
            try:
                line = input((_MORE if typed else _PROMPT) if self._is_terminal else "")
            except KeyboardInterrupt:
                self._console.print()
                typed = ""
                continue
            except EOFError:
                if typed.strip():
                    self._answer(typed)
                return
            if not typed and line.strip().startswith("."):
                if line.strip() in {".exit", ".quit"}:
                    return
                self._tell(self._command, line.strip())
                continue
            typed += line + "\n"
            if typed.rstrip().endswith(";"):
                self._answer(typed)
                typed = ""
            elif not typed.strip():
                typed = ""

    def _answer(self, query: str) -> None:
        self._tell(self._ask, query)

    def _tell(self, act: Callable[[str], None], text: str) -> None:
        """Do something; what cannot be done is said, and the shell goes on."""
        try:
            act(text)
        except HybridStoreError as error:
            self._errors.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        except KeyboardInterrupt:
            self._errors.print("cancelled")

    def _ask(self, query: str) -> None:
        from hybridstore.analytics.output import write_result

        begun_s = time.perf_counter()
        result = ask(self._store.analytics, query, as_known_at=self._known_at)
        write_result(result, self._form, None)
        if self._is_terminal:
            passed_s = time.perf_counter() - begun_s
            self._console.print(f"{len(result):,} rows in {passed_s:.3f} s", highlight=False)

    def _command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        argument = argument.strip()
        if name == ".help":
            self._console.print(_HELP, highlight=False, soft_wrap=True)
        elif name == ".datasets":
            rows = [(one.name, one.doc) for one in self._store.database.registry.values()]
            print_table(self._console, None, ("dataset", "what it holds"), rows)
        elif name == ".columns":
            dataset = self._store.database.registry[argument]
            columns = [(one.name, one.type.name.lower(), one.doc) for one in dataset.columns]
            print_table(self._console, None, ("column", "type", "meaning"), columns)
        elif name == ".format" and argument in _FORMS:
            self._form = _FORMS[argument]
        elif name == ".known":
            self._known_at = argument or None
        else:
            raise InvalidValue(f"{line!r} is no command of the shell", hint=".help lists them")

    def _words(self) -> list[str]:
        names = {"SELECT", "FROM", "WHERE", "GROUP BY ALL", "ORDER BY", "LIMIT", "COUNT", "SUM"}
        for dataset in self._store.database.registry.values():
            names |= {dataset.name, *dataset.column_names}
        return sorted(names)


def _begin_editing(root: Path, words: list[str]) -> None:
    """Let lines be edited, found again and completed, where the platform has a library for it (Windows has its own)."""
    with suppress(ImportError, OSError):
        import atexit
        import readline

        history = root / "cache" / "shell-history"
        with suppress(OSError):
            readline.read_history_file(history)
        readline.set_history_length(_HISTORY_MAX)

        def keep() -> None:
            with suppress(OSError):
                history.parent.mkdir(exist_ok=True)
                readline.write_history_file(history)

        def complete(text: str, state: int) -> str | None:
            found = [word for word in words if word.lower().startswith(text.lower())]
            return found[state] if state < len(found) else None

        atexit.register(keep)
        readline.set_completer(complete)
        readline.parse_and_bind("tab: complete")
