"""Leases: who still reads files of an earlier moment, so that they are not deleted under a slow reader.

A lease is two small files under ``<root>/leases``: what it says, and a lock that the process holds. The lock goes with
the process, however that ends, so no lease outlives its reader; and nothing is written to the database, so a reader
never waits for a bot.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock
import msgspec

from hybridstore.clock import SECOND_US
from hybridstore.durable import PRIVATE_FILE_MODE, make_directories, write_file
from hybridstore.records import Record

LEASES = "leases"
_SAYS, _LOCK = ".json", ".lock"
_ORPHAN_S = 86_400.0


class LeaseFacts(Record, frozen=True, gc=False):
    """What a lease says.

    Attributes:
        lease_id: Unique.
        seq: The commit whose files it needs.
        what: What for, in words.
        pid: The process that holds it.
        taken_us: When, by the machine's clock, us UTC.
        days_max: After so many days it counts no more.
    """

    lease_id: str
    seq: int
    what: str
    pid: int
    taken_us: int
    days_max: float

    def covers(self, created_seq: int, replaced_seq: int) -> bool:
        """Say whether a file that was replaced is needed.

        Args:
            created_seq: Commit that made it count.
            replaced_seq: Commit that replaced it.

        Returns:
            Whether it counted at the lease's moment.
        """
        return created_seq <= self.seq < replaced_seq


class Lease:
    """A lease that is held, until it is released or the process ends. A context manager, too.

    Args:
        root: The store's folder.
        facts: What it says.
        lock: The lock, held.
    """

    def __init__(self, root: Path, facts: LeaseFacts, lock: filelock.BaseFileLock) -> None:
        self._root = root
        self._lock = lock
        self.facts = facts
        """What it says."""

    def __enter__(self) -> Self:
        """Hold it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        self.release()

    def release(self) -> None:
        """Let files of its moment be deleted. A second call does nothing."""
        if self._lock.is_locked:
            _remove(self._root, self.facts.lease_id, self._lock)


def take_lease(root: Path, seq: int, what: str, *, days_max: float) -> Lease:
    """Keep the files of a moment from being deleted.

    Args:
        root: The store's folder.
        seq: The moment's commit; it is not more than a day old, else files of it may be gone already.
        what: What for, in words.
        days_max: After so many days it counts no more, even if the process is still there.

    Returns:
        The lease.
    """
    folder = root / LEASES
    make_directories(folder)
    lease_id = uuid.uuid4().hex
    # Locked before it says anything: one that says something and is not locked is dead.
    lock = filelock.FileLock(folder / f"{lease_id}{_LOCK}", mode=PRIVATE_FILE_MODE, timeout=0)
    lock.acquire()
    facts = LeaseFacts(lease_id, seq, what, os.getpid(), time.time_ns() // 1000, days_max)
    try:
        write_file(folder / f"{lease_id}{_SAYS}", msgspec.json.encode(facts))
    except BaseException:
        _remove(root, lease_id, lock)
        raise
    return Lease(root, facts, lock)


def live_leases(root: Path) -> list[LeaseFacts]:
    """Return the leases that are held, and clear away those whose process is gone.

    Args:
        root: The store's folder.

    Returns:
        Oldest first.
    """
    found = []
    now_us = time.time_ns() // 1000
    for path in sorted((root / LEASES).glob(f"*{_SAYS}")):
        lock = filelock.FileLock(path.with_suffix(_LOCK), mode=PRIVATE_FILE_MODE)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            facts = _read(path)
            if facts is not None and now_us - facts.taken_us <= facts.days_max * 86_400 * SECOND_US:
                found.append(facts)
        else:
            _remove(root, path.stem, lock)
    _clear_locks(root / LEASES)
    return sorted(found, key=lambda facts: (facts.taken_us, facts.lease_id))


def _read(path: Path) -> LeaseFacts | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=LeaseFacts)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):  # released a moment ago
        return None


def _clear_locks(folder: Path) -> None:
    """Remove locks of leases that never came to say anything."""
    for path in folder.glob(f"*{_LOCK}"):
        with suppress(OSError):
            if not path.with_suffix(_SAYS).exists() and time.time() - path.stat().st_mtime > _ORPHAN_S:
                path.unlink()


def _remove(root: Path, lease_id: str, lock: filelock.BaseFileLock) -> None:
    folder = root / LEASES
    (folder / f"{lease_id}{_SAYS}").unlink(missing_ok=True)
    lock.release()
    with suppress(OSError):  # on Windows somebody may just be trying it
        (folder / f"{lease_id}{_LOCK}").unlink(missing_ok=True)
