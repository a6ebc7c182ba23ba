"""Cold and frozen files in an object store: put there, proven, and then the copies here may go.

claim (the manifest says where the object will be) -> put under a name that was never used -> read back and hash ->
the manifest says since when it is proven. Until then nothing but the file here is read or trusted; afterwards the file
here is a cache. An object whose claim was noted is deleted with its file, so a crash at any line leaves none behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hybridstore.archive.layout import ARCHIVES
from hybridstore.archive.leases import live_leases
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.object_store import object_store
from hybridstore.archive.reading import FileVerifier
from hybridstore.errors import ArchiveUnreachable, ConfigError
from hybridstore.hot.commits import touches
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention.failures import Failures
from hybridstore.retention.progress import OnStep, check_stop
from hybridstore.retention.replacement import facts_of
from hybridstore.retention.steps import record

OFFLOADED_TIERS = ("cold", "frozen")
"""What is younger is asked for too often, and merged before long."""
OFFLOAD_STEPS = ("located", "put", "proven")
"""Names passed to ``on_step``, in order."""
EVICT_GRACE_S = 3600.0
"""A copy stays this long after its last use: a question may be about to open it."""
_MIB = 1 << 20


class Offloader:
    """Puts archived files into an object store. Only the process that holds the mover lock may.

    Args:
        database: The open store; its settings say where to.
        failures: Where to note why files could not be put there.
        on_step: Called with the name of each step (see :data:`OFFLOAD_STEPS`) when it is done.
        stop: Asked before each file; True ends the run there.
    """

    def __init__(
        self,
        database: DatabaseManager,
        failures: Failures,
        on_step: OnStep | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._database = database
        self._failures = failures
        self._on_step = on_step or (lambda _name: None)
        self._stop = stop

    def offload(self) -> list[ArchiveFile]:
        """Put every file there that is due; the first that fails ends it, because the next would wait as long.

        Returns:
            Files whose objects are proven now.
        """
        done: list[ArchiveFile] = []
        url = self._database.config.archive_url
        if url is None:
            return done
        url = object_store(url).url
        verifier = FileVerifier(self._database.root)
        for file in due_files(self._database):
            check_stop(self._stop)
            with self._failures.noting(file.dataset, file.file_id):
                self._put(file, url, verifier)
                done.append(file)
            if not self._failures.is_worth_trying(file.dataset, file.file_id):
                break
        return done

    def _put(self, file: ArchiveFile, url: str, verifier: FileVerifier) -> None:
        content = verifier.check(file).read_bytes()
        if file.url not in (None, url):  # begun when the setting was another
            with suppress(ArchiveUnreachable, ConfigError):
                object_store(str(file.url)).delete(file.path)
        self._database.writer.call(_locate, file, url, durability="full")
        self._on_step("located")
        object_store(url).put_new(file.path, content, file.sha256)
        self._on_step("put")
        self._database.writer.call(_prove, file, url, durability="full")
        self._on_step("proven")

    def evict(self, grace_s: float | None = None) -> int:
        """Delete copies of what is in an object store until the rest fits the cache: what was not used longest first.

        Args:
            grace_s: Copies that were used since stay; None means :data:`EVICT_GRACE_S`.

        Returns:
            Bytes freed.
        """
        grace_s = EVICT_GRACE_S if grace_s is None else grace_s
        _clear_fetches(self._database.root, grace_s)
        copies = []
        statement = self._database.statements["offloaded_files"]
        for row in self._database.readers.rows(statement):
            file = ArchiveFile.from_row(row)
            with suppress(OSError):
                status = (self._database.root / file.path).stat()
                copies.append((status.st_atime, status.st_size, file))
        kept_bytes = sum(size_bytes for _, size_bytes, _ in copies)
        limit_bytes = self._database.config.archive_cache_mb * _MIB
        leases = live_leases(self._database.root) if kept_bytes > limit_bytes else []
        freed_bytes = 0
        oldest_s = time.time() - grace_s
        for used_s, size_bytes, file in sorted(copies, key=lambda copy: copy[:2]):
            if kept_bytes - freed_bytes <= limit_bytes:
                break
            if used_s >= oldest_s or any(lease.covers(*_counted(file)) for lease in leases):
                continue
            with self._failures.noting(file.dataset, file.file_id), suppress(PermissionError):
                assert file.url is not None
                object_store(file.url).check(file.path, file.size_bytes)
                path = self._database.root / file.path
                if path.stat().st_atime < oldest_s:  # else it was used while the store was asked about others
                    path.unlink()
                    freed_bytes += size_bytes
            if not self._failures.is_worth_trying(file.dataset, file.file_id):
                break
        return freed_bytes


def due_files(database: DatabaseManager) -> list[ArchiveFile]:
    """Return the files that are to be put into the object store.

    Args:
        database: The open store.

    Returns:
        Cold and frozen files that count and are not proven there; none where there is no object store.
    """
    if database.config.archive_url is None:
        return []
    statement = database.statements["manifest_of_dataset"]
    with database.readers.transaction() as transaction:
        files = [
            ArchiveFile.from_row(row)
            for dataset in database.registry.tiered
            for row in transaction.rows(statement, (dataset.name,))
        ]
    return [file for file in files if file.tier in OFFLOADED_TIERS and file.offloaded_at is None]


def _counted(file: ArchiveFile) -> tuple[int, int]:
    """From which commit to before which it counts."""
    return file.created_seq, (1 << 62) if file.replaced_seq is None else file.replaced_seq


@touches()
def _locate(session: WriteSession, file: ArchiveFile, url: str) -> None:
    session.run("offload_file", {"url": url, "offloaded_at": None, "file_id": file.file_id})


@touches()
def _prove(session: WriteSession, file: ArchiveFile, url: str) -> None:
    proven: dict[str, Any] = {"url": url, "offloaded_at": session.ts_us, "file_id": file.file_id}
    if session.run("offload_file", proven):
        where = {"dataset": file.dataset, "tier": file.tier, "url": url}
        record(session, "offload", {**where, **facts_of([file])[0]})


def _clear_fetches(root: Path, grace_s: float) -> None:
    """Remove what processes left behind that died while they fetched a file."""
    for path in (root / ARCHIVES).rglob(".*.parquet.*.tmp"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - grace_s:
                path.unlink()
