"""What ``hybridstore doctor`` can find: each kind of fault by its code, how bad it is, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from hybridstore.config import Settings
from hybridstore.hot.database import DatabaseManager
from hybridstore.records import Record

Severity = Literal["note", "warning", "error"]
"""``note``: nothing is wrong, but know it. ``warning``: see to it soon. ``error``: data is in danger."""
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Kind(NamedTuple):
    """A kind of fault.

    Attributes:
        severity: How bad it is.
        means: What it means, a sentence.
    """

    severity: Severity
    means: str


_NO_ROW = "Questions over its rows are refused until it is back; nothing is answered without them."
KINDS: dict[str, Kind] = {
    # the machine and the configuration
    "python-old": Kind("error", "This Python is older than the ones hybridstore is written and tested for."),
    "sqlite-old": Kind(
        "error",
        "SQLite before 3.51.3 can lose a commit when its log is reset; the store refuses to open with it.",
    ),
    "second-sqlite": Kind(
        "error",
        "Another SQLite library in one process with the store drops its locks; acknowledged commits may go.",
    ),
    "config-invalid": Kind("error", "The store cannot be opened with this configuration."),
    "config-ignored": Kind("note", "Settings of a file that is not read have no effect."),
    "environment-unknown": Kind("error", "The store cannot be opened as long as the variable is set."),
    "memory-short": Kind(
        "warning", "Questions may take more memory than there is; the system ends who asks for it."
    ),
    "threads-many": Kind(
        "note", "More threads than processors make no question faster, and hold up the bot."
    ),
    # the folder
    "root-missing": Kind(
        "error", "There is no store, or its device is not mounted, or another root was meant."
    ),
    "root-unusable": Kind(
        "error", "SQLite writes beside the database even to read it; so nothing can be read."
    ),
    "permissions-open": Kind(
        "warning", "Other users of this machine can read the books, or the folder they lie in."
    ),
    "disk-low": Kind("warning", "With a full disk no write is acknowledged and no history moves."),
    "reserve-missing": Kind(
        "note", "Without the reserve a store on a full disk may not open, not even to be read."
    ),
    "restore-interrupted": Kind("error", "The files of the store are half exchanged; it refuses to open."),
    "temporary-files": Kind("note", "What a program that was killed left half-written; it only takes room."),
    "lease-stale": Kind("note", "A reader died without giving its files back; it keeps none any more."),
    "cache-large": Kind("note", "Kept results take more room than was set; each can be computed again."),
    "log-large": Kind(
        "warning", "A reader keeps the log from being copied back, or nobody does it; it fills the disk."
    ),
    "log-left": Kind(
        "note", "It holds commits. Whoever opens the store next reads them; it must not be deleted."
    ),
    # the database
    "database-missing": Kind(
        "error", "The folder is there without its database: what was not archived is not here."
    ),
    "database-empty": Kind(
        "error", "A file without content is no store; a program that opens it makes a new one."
    ),
    "database-foreign": Kind(
        "error", "The file belongs to another program; the store writes nothing into it."
    ),
    "database-cut": Kind(
        "error", "The end of the file is missing: it was cut, or a copy of it was not finished."
    ),
    "database-damaged": Kind(
        "error", "Pages of the database are not what was written; rows may be gone or wrong."
    ),
    "page-checksum": Kind(
        "error", "A page is not what was written: the device is failing, or something wrote over it."
    ),
    "database-unreadable": Kind(
        "error", "The store cannot be opened, so nothing inside it could be examined."
    ),
    "schema-newer": Kind(
        "error", "A newer hybridstore wrote this store; this one would misread it and refuses."
    ),
    "schema-older": Kind("warning", "The next program that opens the store migrates it, after a backup."),
    "schema-changed": Kind(
        "error", "Somebody changed the tables by hand; the store refuses to work on them."
    ),
    "commits-lost": Kind(
        "error", "Acknowledged commits are not in the database: a damaged log, or an old copy."
    ),
    "store-busy": Kind("warning", "Another program holds the database; it was examined only from outside."),
    # the archives and the books
    "archive-missing": Kind("error", _NO_ROW),
    "archive-damaged": Kind("error", _NO_ROW),
    "archive-unreachable": Kind("warning", "Archived files lie in an object store that did not answer."),
    "archive-stray": Kind("note", "Files of moves that this store gave up; they count for nothing."),
    "archive-strange": Kind(
        "warning", "Files that the manifest does not know: of a newer copy, or of another store."
    ),
    "move-open": Kind(
        "warning", "A crash ended a move half-way; its day is read correctly, but it is not finished."
    ),
    "audit-broken": Kind("error", "Entries of the audit log were changed, added or taken away."),
    "rows-twice": Kind("error", "A row in both tiers is counted twice by every question."),
    "books-wrong": Kind(
        "error", "A stored balance, position or sum is not what its entries and fills come to."
    ),
    "equity-unpriced": Kind(
        "warning", "Equity without a price of all that is held; it counts for no hour and no day."
    ),
    # the backups
    "backup-none": Kind("warning", "With the store's disk everything is lost."),
    "backup-stopped": Kind("warning", "What was committed since then is only in the store."),
    "backup-failing": Kind("warning", "The backups fall behind, or are not proven."),
    "backup-unproven": Kind("warning", "Nobody knows whether the backups can be restored."),
    "backup-damaged": Kind("error", "Some moments cannot be restored any more."),
    "backup-same-device": Kind("note", "One failing device takes store and backups together."),
    # who works on it
    "maintenance-off": Kind("warning", "Nobody moves history, backs up, or takes snapshots of equity."),
    "maintenance-failed": Kind("warning", "History is not moved until a round succeeds; it is tried again."),
    "maintenance-late": Kind(
        "warning", "The process has the lock and does nothing: it hangs, or was stopped."
    ),
    "clock-ahead": Kind(
        "warning", "Commits never go back in time, so what is recorded now carries a later time."
    ),
    "clock-doubt": Kind(
        "warning", "A leap of the clock would delete what is not old; so nothing is deleted."
    ),
    # the doctor itself
    "check-failed": Kind("error", "One check could not be made, so what it looks at may be wrong."),
}
"""Every code there is. docs/troubleshooting.md has a section of each, which a test proves."""


class Finding(Record, frozen=True, gc=False):
    """One thing that was found.

    Attributes:
        code: Which kind, a key of :data:`KINDS`.
        severity: note, warning or error.
        found: What was found, a sentence with values.
        means: What it means.
        remedy: What to do, a command where there is one; None where there is nothing to do.
        fix: What ``--fix`` does about it; None where that is for a person to decide.
        done: What ``--fix`` did; None where it did nothing.
        failed: Why it could not do it; None where it could, or was not asked.
    """

    code: str
    severity: Severity
    found: str
    means: str
    remedy: str | None = None
    fix: str | None = None
    done: str | None = None
    failed: str | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether ``--fix`` did away with it."""
        return self.done is not None


Repair = Callable[[], str]
"""Does away with what was found, and says what it did."""


class Ailment(NamedTuple):
    """A finding, and what would do away with it.

    Attributes:
        finding: What was found.
        repair: Called by ``--fix``; None where that is for a person to decide.
    """

    finding: Finding
    repair: Repair | None = None


def ailment(
    code: str,
    found: str,
    remedy: str | None,
    *,
    severity: Severity | None = None,
    fix: str | None = None,
    repair: Repair | None = None,
) -> Ailment:
    """Return something that was found.

    Args:
        code: Which kind, a key of :data:`KINDS`.
        found: What, a sentence with values.
        remedy: What to do.
        severity: How bad it is here; None means as its kind.
        fix: What the repair does, in words.
        repair: Does it.

    Returns:
        The finding with its repair.
    """
    kind = KINDS[code]
    return Ailment(Finding(code, severity or kind.severity, found, kind.means, remedy, fix), repair)


class Case(NamedTuple):
    """A store that is examined.

    Attributes:
        root: Its folder.
        settings: Its settings; the defaults where its configuration cannot be read.
        environment: The environment variables.
        thorough: Whether to read every archived file, every page and every backup.
        store: The open store; None while it is looked at from outside.
        asks_objects: Whether to ask an object store for each file that lies there, which costs time and money.
    """

    root: Path
    settings: Settings
    environment: dict[str, str]
    thorough: bool
    store: DatabaseManager | None = None
    asks_objects: bool = True

    @property
    def database(self) -> DatabaseManager:
        """The open store."""
        assert self.store is not None
        return self.store


Check = Callable[[Case], "list[Ailment]"]
"""Looks at one thing; what it raises is a finding, too."""
