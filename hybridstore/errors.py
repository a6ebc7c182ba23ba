"""Every error hybridstore raises, in one tree.

::

    HybridStoreError
    ├── ConfigError                 a setting is unknown, malformed or contradicts another
    ├── InvalidValue (ValueError)   a value does not fit its column: money, time, name, choice
    │   └── UnknownDataset          a dataset or column that is not declared
    ├── Conflict                    the same key was recorded before with another content
    ├── NotFound (LookupError)      a position, order or mark the call needs does not exist
    ├── StoreError                  the hot store cannot do its work
    │   ├── StoreClosed             used before open() or after close()
    │   ├── StoreForked             used in a forked child of the process that opened it
    │   ├── StoreMoved              the database or its log was replaced or moved under the connection
    │   ├── StoreBusy               another process held the write lock beyond the busy limit
    │   ├── StorageFull             no space left on the device, or a file-size limit
    │   ├── StorageFailure          the device or file system failed, or permission is missing
    │   ├── StoreCorrupt            SQLite found a damaged page
    │   └── SchemaMismatch          the live schema is not what the declaration says
    ├── ArchiveError
    │   ├── ArchiveCorrupt          an archived file is missing, cut or changed
    │   ├── ArchiveUnreachable      archived files lie in an object store that does not answer
    │   └── MoveFailed              a tier move found something it will not continue with
    ├── BackupError                 a backup cannot be made or used
    │   ├── BackupCorrupt           a file of a backup is missing, cut or changed
    │   └── NotRestorable           the backups do not hold the moment that was asked for
    ├── ExchangeError               an exchange refused a question, or answered what cannot be recorded
    │   └── ExchangeUnreachable     an exchange does not answer
    └── QueryError
        ├── QueryRefused            more than SELECT or EXPLAIN, or a read outside the store
        ├── QueryFailed             the query is wrong (syntax, unknown column)
        └── QueryTimeout            cancelled, or ran out of its time or memory limit

Each error carries ``operation`` (what was being done), ``path`` (the file it is about, if any), ``hint`` (what to
do) and ``retryable`` (whether the same call may succeed later without a change).
"""

from __future__ import annotations


class HybridStoreError(Exception):
    """Base of all errors of this package.

    Args:
        message: What happened, with the offending value.
        operation: What was being done, in words.
        path: The file the error is about.
        hint: What the reader can do about it.
    """

    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        path: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.operation = operation
        self.path = path
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        """Return the message with operation, path and hint, each only where known."""
        text = f"{self.operation}: {self.message}" if self.operation else self.message
        if self.path and self.path not in text:
            text += f" [{self.path}]"
        return f"{text} ({self.hint})" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword-only fields when the error crosses a process boundary."""
        return (_rebuild, (type(self), self.message, self.operation, self.path, self.hint))


def _rebuild(
    kind: type[HybridStoreError], message: str, operation: str | None, path: str | None, hint: str | None
) -> HybridStoreError:
    return kind(message, operation=operation, path=path, hint=hint)


class ConfigError(HybridStoreError):
    """A setting is unknown, malformed or contradicts another."""


class InvalidValue(HybridStoreError, ValueError):
    """A value does not fit the column it was given for; nothing was written."""


class UnknownDataset(InvalidValue):
    """A dataset or column name that no declaration holds."""


class Conflict(HybridStoreError):
    """The same key was recorded before with another content."""


class NotFound(HybridStoreError, LookupError):
    """Something the call needs (a position, an order, a mark) does not exist."""


class StoreError(HybridStoreError):
    """The hot store cannot do its work."""


class StoreClosed(StoreError):
    """The store was used before ``open()`` or after ``close()``."""


class StoreForked(StoreError):
    """The store was used in a forked child; SQLite connections must not cross a fork."""


class StoreMoved(StoreError):
    """The database file or its write-ahead log was replaced, moved or removed while it was open."""


class StoreBusy(StoreError):
    """Another process held the write lock longer than the busy limit."""

    retryable = True


class StorageFull(StoreError):
    """No space is left on the device, or a file-size limit was reached; nothing was written."""

    retryable = True


class StorageFailure(StoreError):
    """The device or the file system failed, or a permission is missing."""


class StoreCorrupt(StoreError):
    """SQLite found a damaged page or file."""


class SchemaMismatch(StoreError):
    """The live schema is not what the declaration says."""


class ArchiveError(HybridStoreError):
    """Something is wrong with the archived tiers."""


class ArchiveCorrupt(ArchiveError):
    """An archived file is missing, shorter or longer than published, or changed."""


class ArchiveUnreachable(ArchiveError):
    """Archived files lie in an object store that does not answer, or that refuses the request."""

    retryable = True


class MoveFailed(ArchiveError):
    """A tier move found something it will not continue with; hot rows stay where they are."""


class BackupError(HybridStoreError):
    """A backup cannot be made or used."""


class BackupCorrupt(BackupError):
    """A file of a backup is missing, cut or changed; nothing was restored from it."""


class NotRestorable(BackupError):
    """The backups do not hold the moment that was asked for."""


class ExchangeError(HybridStoreError):
    """An exchange refused a question, or answered something that the store cannot record."""


class ExchangeUnreachable(ExchangeError):
    """An exchange does not answer, or asks to be left alone; the same call goes on where this one stopped."""

    retryable = True


class QueryError(HybridStoreError):
    """An analytical query was not answered."""


class QueryRefused(QueryError):
    """The statement is not a single SELECT or EXPLAIN, or reads outside the store."""


class QueryFailed(QueryError):
    """The statement is wrong: syntax, an unknown column, a type that does not fit."""


class QueryTimeout(QueryError):
    """The statement was cancelled or ran out of its time or memory limit."""

    retryable = True
