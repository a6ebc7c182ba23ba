"""The store's folder from outside: permissions, room, what programs that died have left. The database is not opened."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import filelock

from hybridstore.archive.leases import LEASES, live_leases
from hybridstore.archive.results import RESULT_SUFFIX, RESULTS, forget_results
from hybridstore.durable import PRIVATE_DIR_MODE, PRIVATE_FILE_MODE
from hybridstore.hot.folder import RESTORING_NAME, ReserveFile, disk_report, permission_reports
from hybridstore.hot.shipped_mark import is_shipped
from hybridstore.operations.findings import Ailment, Case, Severity, ailment

LEFTOVER_S = 3600.0
"""A half-written file that nobody touched for so long belongs to a program that is gone."""
_TEMPORARY = (".*.tmp", ".diagnostics-*", "cache/results/.*.tmp", "leases/.*.tmp")
_TEMPORARY_BACKUPS = (".*.tmp", "[0-9]*/*/.*.tmp", "making/*")
_MIB = 1 << 20


def check_root(case: Case) -> list[Ailment]:
    """Look whether the folder is there and can be used, and whether a restore was interrupted in it."""
    root = case.root
    try:
        is_there = root.is_dir()
    except OSError as error:
        return [ailment("root-unusable", f"{root}: {error.strerror}", f"run it as the owner of {root}")]
    if not is_there:
        remedy = f"mount its device, give the right --root, or make a store: hybridstore init {root}"
        return [ailment("root-missing", f"{root} is no folder", remedy)]
    if not os.access(root, os.W_OK | os.X_OK):
        return [
            ailment(
                "root-unusable",
                f"this user may not write to {root}",
                f"run it as its owner, or: chown -R USER {root}",
            )
        ]
    if (root / RESTORING_NAME).exists():
        what = f"{root / RESTORING_NAME} is there: a restore in place is running, or was interrupted"
        return [ailment("restore-interrupted", what, "hybridstore backup restore latest --in-place")]
    return []


def check_permissions(case: Case) -> list[Ailment]:
    """Look whether other users of the machine can read the books."""
    database = case.settings.database.path
    told = []
    for report in permission_reports(case.root, database):
        if report.state == "ok":
            continue
        path, mode = (case.root, PRIVATE_DIR_MODE) if report.message.startswith(f"{case.root} ") else (
            database,
            PRIVATE_FILE_MODE,
        )  # fmt: skip
        told.append(
            ailment(
                "permissions-open",
                report.message,
                report.remedy,
                fix=f"chmod {mode:o} {path}",
                repair=partial(_make_private, path, mode),
            )
        )
    return told


def _make_private(path: Path, mode: int) -> str:
    path.chmod(mode)
    if mode == PRIVATE_FILE_MODE:  # the database's log and its index have what it had when they were made
        for end in ("-wal", "-shm"):
            with suppress(OSError):
                path.with_name(f"{path.name}{end}").chmod(mode)
    return f"{path} has mode {mode:o}"


def check_room(case: Case) -> list[Ailment]:
    """Look how much room the device has, and whether the reserve is there."""
    hot, told = case.settings.database, []
    report = disk_report(case.root, hot.disk_low_mb)
    if report.state != "ok":
        severity: Severity = "error" if report.state == "alarm" else "warning"
        told.append(ailment("disk-low", report.message, report.remedy, severity=severity))
    reserve = ReserveFile(case.root, hot.reserve_mb)
    if hot.reserve_mb and not reserve.is_kept():
        told.append(
            ailment(
                "reserve-missing",
                f"there is no reserve file of {hot.reserve_mb} MiB",
                "the next program that opens the store makes it, where there is room",
                fix=f"set {hot.reserve_mb} MiB aside",
                repair=partial(_keep, reserve, hot.reserve_mb),
            )
        )
    return told


def _keep(reserve: ReserveFile, size_mb: int) -> str:
    if not reserve.keep():
        raise OSError(f"there is no room for {size_mb} MiB")
    return f"{size_mb} MiB are set aside"


def check_log(case: Case) -> list[Ailment]:
    """Look at the size of the write-ahead log."""
    hot = case.settings.database
    try:
        size_bytes = Path(f"{hot.path}-wal").stat().st_size
    except OSError:
        return []
    if size_bytes > hot.wal_limit_mb * _MIB:
        what = f"the write-ahead log has {size_bytes / _MIB:,.1f} MiB, more than wal_limit_mb = {hot.wal_limit_mb}"
        remedy = (
            "end programs that keep a snapshot or a transaction open, also shells; then open and close the store once: "
            "hybridstore status"
        )
        return [ailment("log-large", what, remedy)]
    if size_bytes and not is_shipped(case.root):
        what = f"a write-ahead log of {size_bytes:,} bytes lies beside the database: a program has it open, or crashed"
        return [
            ailment(
                "log-left", what, "hybridstore status opens the store and reads it; keep both files together"
            )
        ]
    return []


def check_temporary(case: Case) -> list[Ailment]:
    """Look for what programs that were killed left half-written."""
    backups = case.settings.backup.base(case.root)
    found = [*_old(case.root, _TEMPORARY), *_old(backups, _TEMPORARY_BACKUPS)]
    if not found:
        return []
    names = ", ".join(str(path) for path in found[:3])
    more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""  # noqa: PLR2004  as many as are named
    return [
        ailment(
            "temporary-files",
            f"{len(found):,} half-written files that nobody touched for an hour: {names}{more}",
            "delete them",
            fix="delete them",
            repair=partial(_delete, found),
        )
    ]


def _old(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            with suppress(OSError):
                if time.time() - _touched_s(path) > LEFTOVER_S:
                    yield path


def _touched_s(path: Path) -> float:
    """Return when a file, or any of a folder, was written last."""
    inside = (one.stat().st_mtime for one in path.rglob("*")) if path.is_dir() else ()
    return max(path.stat().st_mtime, *inside, 0.0)


def _delete(paths: list[Path]) -> str:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return f"{len(paths):,} were deleted"


def check_leases(case: Case) -> list[Ailment]:
    """Look for leases whose reader is gone."""
    stale = [
        path
        for path in sorted((case.root / LEASES).glob("*.json"))
        if not _is_held(path.with_suffix(".lock"))
    ]
    if not stale:
        return []
    return [
        ailment(
            "lease-stale",
            f"{len(stale):,} leases of readers that are gone, the first {stale[0]}",
            "the next run clears them away: hybridstore run --once",
            fix="clear them away",
            repair=partial(_clear_leases, case.root),
        )
    ]


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with filelock.FileLock(path, timeout=0, mode=PRIVATE_FILE_MODE):
            return False
    except filelock.Timeout:
        return True


def _clear_leases(root: Path) -> str:
    return f"they are cleared away; {len(live_leases(root)):,} are held"


def check_cache(case: Case) -> list[Ailment]:
    """Compare kept results with what they may take."""
    limit_mb, size_bytes = case.settings.analytics.result_cache_mb, 0
    for path in (case.root / RESULTS).glob(f"*{RESULT_SUFFIX}"):
        with suppress(OSError):
            size_bytes += path.stat().st_size
    if size_bytes <= limit_mb * _MIB:
        return []
    return [
        ailment(
            "cache-large",
            f"kept results take {size_bytes / _MIB:,.1f} MiB, more than result_cache_mb = {limit_mb}",
            f"delete what is in {case.root / RESULTS}",
            fix="delete kept results",
            repair=lambda: f"{forget_results(case.root):,} kept results were deleted",
        )
    ]


CHECKS = (check_permissions, check_room, check_log, check_temporary, check_leases, check_cache)
