"""Somebody who reads a store without any of its code: ``python -m tests.backup.witness DATABASE``.

Each line of its input asks for one look through Python's own ``sqlite3``, in a process of its own; its output says as
JSON what the store held then: number and time of the last commit, a hash of every table, and the archived files that
counted. A line ``sql ...`` is executed instead, as any foreign program may do.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.crash.processes import REPOSITORY, environment


class Seen(NamedTuple):
    """What a store held at one moment."""

    seq: int
    ts_us: int
    content: str
    files: tuple[tuple[str, str], ...]
    open_moves: int


def look(connection: sqlite3.Connection) -> Seen:
    """Return what a store holds."""
    connection.execute("BEGIN")
    seq, ts_us = connection.execute("SELECT seq, ts FROM commit_clock").fetchone()
    digest = hashlib.sha256()
    tables = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    for name, sql in tables.fetchall():
        digest.update(f"{name} {sql}".encode())
        for row in connection.execute(f'SELECT * FROM "{name}"'):
            digest.update(repr(row).encode())
    files = connection.execute(
        "SELECT path, sha256 FROM archive_files WHERE replaced_seq IS NULL ORDER BY path"
    )
    moves = connection.execute("SELECT count(*) FROM archive_moves WHERE state IN ('claimed', 'publishing')")
    seen = Seen(seq, ts_us, digest.hexdigest(), tuple(files.fetchall()), moves.fetchone()[0])
    connection.execute("ROLLBACK")
    return seen


def look_at(database: Path) -> Seen:
    """Return what a store holds that nobody has open."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        return look(connection)
    finally:
        connection.close()


class Witness:
    """A witness in a process of its own."""

    def __init__(self, database: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.backup.witness", str(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment(),
            cwd=REPOSITORY,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def look(self) -> Seen:
        """Look once."""
        answer = json.loads(self._ask("look"))
        answer["files"] = tuple((path, sha256) for path, sha256 in answer["files"])
        return Seen(**answer)

    def execute(self, sql: str) -> None:
        """Do what any foreign program may do."""
        answer = self._ask(f"sql {sql}")
        assert answer == "done\n", answer

    def close(self) -> None:
        """End it; where it is the last that has the store open, it copies the log back as SQLite does."""
        self._process.communicate(timeout=60)

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def _answer(connection: sqlite3.Connection, lines: Iterable[str]) -> None:
    for line in lines:
        if line.startswith("sql "):
            try:
                connection.execute(line[4:]).fetchall()
                print("done", flush=True)
            except sqlite3.OperationalError as error:
                print("done" if "locked" in str(error) else repr(error), flush=True)
        else:
            print(json.dumps(look(connection)._asdict()), flush=True)


if __name__ == "__main__":
    opened = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0.3)
    opened.execute("PRAGMA wal_autocheckpoint = 0")
    _answer(opened, sys.stdin)
    opened.close()
