"""How the backups of a store are doing, for people and programs."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hybridstore.backup.condition import read_condition
from hybridstore.backup.repository import LOCK_NAME, Repository
from hybridstore.clock import DAY_US
from hybridstore.errors import BackupCorrupt
from hybridstore.schema.types import check_timestamp, moment

_UNPROVEN_US = 3 * DAY_US


def backup_status(repository: Repository, now_us: int, last_seq: int | None = None) -> dict[str, Any]:
    """Say how the backups of a store are doing. It reads names and what the shipper says, no backup.

    Args:
        repository: The backups.
        now_us: The time, us UTC.
        last_seq: Last commit of the store; None where it is not known.

    Returns:
        base; state (``running``: a process ships the store; ``off``); pid; epoch; epochs (how many chains there are);
        last_full_backup, last_incremental_backup, safe_until, last_proven_restore, archives_copied_at, mirrored_at (ISO
        8601, None where there is none); last_commit (its number); lag_ms; fulls; segments; size_bytes; warning (a
        sentence, or None).
    """
    condition = read_condition(repository.base)
    files = repository.files()
    fulls = [one.path for one in files if one.named.kind == "full"]
    segments = [one.path for one in files if one.named.kind != "full"]
    running = condition is not None and _is_held(repository)
    found: dict[str, Any] = {
        "base": str(repository.base),
        "state": "running" if running else "off",
        "pid": condition.pid if condition is not None and running else None,
        "epoch": condition.epoch if condition else None,
        "epochs": None,
        "last_full_backup": _newest(repository, fulls),
        "last_incremental_backup": None,
        "safe_until": _iso(condition.polled_us) if condition else None,
        "last_commit": condition.seq if condition else None,
        "last_proven_restore": _iso(condition.proven_us) if condition else None,
        "archives_copied_at": _iso(condition.archives_us) if condition else None,
        "mirrored_at": _iso(condition.mirrored_us) if condition else None,
        "lag_ms": condition.lag_ms if condition else None,
        "fulls": len(fulls),
        "segments": len(segments),
        "size_bytes": _size_bytes(repository),
    }
    for path in segments:
        with suppress(FileNotFoundError):  # it has just become part of another one, or expired
            found["last_incremental_backup"] = max(
                found["last_incremental_backup"] or "", _iso(path.stat().st_mtime_ns // 1000) or ""
            )
    try:
        found["epochs"] = len(repository.epochs())
    except BackupCorrupt as error:
        return {**found, "warning": str(error)}
    failed = None if condition is None else condition.error or condition.work_error or condition.mirror_error
    return {**found, "warning": _warning(found, failed, now_us, last_seq)}


def _warning(found: dict[str, Any], error: str | None, now_us: int, last_seq: int | None) -> str | None:
    if not found["fulls"]:
        why = f": {error}" if error else ""
        return (
            f"no backup of this store has been made{why}; the maintenance process makes them by itself, and "
            "hybridstore backup now makes one"
        )
    if error:
        return f"the backups need attention: {error}"
    if found["state"] == "off" and (last_seq is None or found["last_commit"] < last_seq):
        return (
            f"nobody backs this store up now: what was committed after {found['safe_until']} is only in the store; "
            "start the bot or hybridstore run, or call hybridstore backup now"
        )
    proven_at = found["last_proven_restore"]
    if found["fulls"] > 1 and (
        proven_at is None or now_us - check_timestamp(proven_at, "proven_at") > _UNPROVEN_US
    ):
        return "no restore was proven for three days: hybridstore backup verify --level restore proves one"
    return None


def _newest(repository: Repository, paths: list[Path]) -> str | None:
    newest_us = 0
    for path in paths:
        with suppress(BackupCorrupt):
            newest_us = max(newest_us, repository.read_full(path).created_us)
    return _iso(newest_us)


def _size_bytes(repository: Repository) -> int:
    size_bytes = 0
    for folder, _, names in os.walk(repository.base):  # it does not mind what vanishes meanwhile
        for name in names:
            with suppress(OSError):
                size_bytes += Path(folder, name).stat().st_size
    return size_bytes


def _is_held(repository: Repository) -> bool:
    """Say whether a process ships to this folder. Who looks holds the lock for a moment, so it looks twice."""
    for _ in range(2):
        try:
            with FileLock(repository.base / LOCK_NAME, timeout=0):
                return False
        except Timeout:
            time.sleep(0.001)
        except OSError:  # a folder that this process may only read: whoever ships is somebody else
            return True
    return True


def _iso(ts_us: int) -> str | None:
    return moment(ts_us).isoformat() if ts_us else None
