"""Figures of a store for those who watch it: read when they are asked for, the dear ones not more often than is useful.

They are read in the process that maintains the store, or in one of their own, never in a bot's: its writes and reads
know nothing of them.
"""

from __future__ import annotations

import math
import platform
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from hybridstore.clock import SECOND_US, Clock, SystemClock
from hybridstore.config import Settings
from hybridstore.errors import HybridStoreError, NotFound, StoreClosed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.inspection import sqlite_versions
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.operations.checks import archives, database
from hybridstore.operations.condition import maintenance_status
from hybridstore.operations.findings import Case, Check
from hybridstore.operations.status import collect_status
from hybridstore.schema.types import check_timestamp

QUICK_S, COUNTS_S, INVARIANTS_S = 1.0, 15.0, 60.0
"""How old figures may be that cost a read, that count rows and walk through backups, and that prove something."""
INVARIANT_CHECKS: tuple[Check, ...] = (database.check_schema, archives.check_files, archives.check_audit)
INVARIANTS = (
    "archive-damaged",
    "archive-missing",
    "audit-broken",
    "check-failed",
    "commits-lost",
    "schema-changed",
)
"""What must never be: codes of findings of the doctor that these checks, and the guard of the watermark, can make."""
_STATES = {"ok": 0.0, "warning": 1.0, "alarm": 2.0}
T = TypeVar("T")


class Figure(NamedTuple):
    """One figure, or one a label.

    Attributes:
        name: As it is exported.
        samples: Value by value of its label; of a figure without one by "".
    """

    name: str
    samples: dict[str, float]


class About(NamedTuple):
    """What a figure is.

    Attributes:
        means: In words, with its unit.
        label: What its samples are told apart by; None of a single one.
    """

    means: str
    label: str | None = None


CATALOGUE: dict[str, About] = {
    "hybridstore_up": About("1 where the store could be read, else 0; then most others are missing."),
    "hybridstore_build_info": About("Always 1; the label names version, Python and SQLite.", "build"),
    "hybridstore_schema_version": About("Version of the store's schema."),
    "hybridstore_commit_seq": About("Number of the last commit."),
    "hybridstore_last_commit_timestamp_seconds": About("Time of the last commit, seconds since 1970."),
    "hybridstore_hot_rows": About("Rows in the hot store.", "dataset"),
    "hybridstore_archived_rows": About("Rows in archived files.", "dataset"),
    "hybridstore_tier_files": About("Archived files.", "tier"),
    "hybridstore_tier_rows": About("Rows in archived files.", "tier"),
    "hybridstore_tier_bytes": About("Size of archived files, bytes.", "tier"),
    "hybridstore_database_bytes": About("Size of the hot database, bytes."),
    "hybridstore_wal_bytes": About("Size of its write-ahead log, bytes."),
    "hybridstore_disk_free_bytes": About("Room on the store's device, bytes."),
    "hybridstore_open_moves": About("Moves between tiers that have begun and not ended."),
    "hybridstore_backup_up": About("1 while a process ships commits into the backups, else 0."),
    "hybridstore_backup_lag_seconds": About(
        "Age of the oldest commit that is not in the backups; 0 where all are, +Inf where none is."
    ),
    "hybridstore_backup_bytes": About("Size of the backups, bytes."),
    "hybridstore_backup_warning": About("1 where the backups need attention, else 0."),
    "hybridstore_last_full_backup_timestamp_seconds": About(
        "Time of the last full copy, seconds since 1970."
    ),
    "hybridstore_last_proven_restore_age_seconds": About(
        "Seconds since a moment was last restored and found equal to the store; +Inf before the first time."
    ),
    "hybridstore_invariant_violations": About(
        "Things that must never be and are, by the doctor's code.", "code"
    ),
    "hybridstore_equity_age_seconds": About("Age of the latest snapshot of equity.", "account"),
    "hybridstore_maintenance_up": About("1 while a process maintains the store, else 0."),
    "hybridstore_maintenance_failed": About("1 where the last round of maintenance failed, else 0."),
    "hybridstore_maintenance_last_round_timestamp_seconds": About(
        "End of the last round, seconds since 1970."
    ),
    "hybridstore_guard_state": About(
        "How each guard of the store stands: 0 ok, 1 warning, 2 alarm.", "guard"
    ),
    "hybridstore_warnings": About("Warnings that hybridstore status shows."),
}
"""Every figure there is. docs/monitoring.md and the dashboard of deploy/ name them; tests compare."""


class Health(NamedTuple):
    """Whether a store is well enough to be relied on.

    Attributes:
        state: ``ok`` or ``failing``.
        reasons: Why it is failing, a sentence each.
        warnings: What else somebody should see to.
        figures: commit_seq, and who maintains the store.
    """

    state: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    figures: dict[str, Any]


class Observer:
    """Reads the figures of one store. Safe in several threads; each reading is made once, and given to all who ask.

    Args:
        settings: The store.
        clock: Where the present comes from; None means the machine's clock.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        # It writes nothing: no logs, no reserve.
        hot = msgspec.structs.replace(settings.database, enable_logs=False, reserve_mb=0)
        self._settings = msgspec.structs.replace(settings, database=hot)
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._open: DatabaseManager | None = None
        self._is_closed = False
        self._kept: dict[str, tuple[float, Any]] = {}

    def close(self) -> None:
        """Close the store. A second call does nothing."""
        with self._lock:
            self._is_closed = True
            self._let_go()

    def figures(self) -> list[Figure]:
        """Read every figure, at most once a second: who asks more often gets the same list again.

        Returns:
            In the order of the catalogue; only those that could be read.
        """
        with self._lock:
            return self._once("figures", QUICK_S, self._read_or_down)

    def health(self) -> Health:
        """Say whether the store is well enough to be relied on.

        Returns:
            ``failing`` where it cannot be read, a guard gives an alarm, an invariant is violated, or the last round
            of maintenance failed.
        """
        with self._lock:
            try:
                status, violated = self._status(), self._violations()
                seq = self._position()[0]
            except (HybridStoreError, OSError) as error:
                self._let_go()
                return Health("failing", (f"the store cannot be read: {error}",), (), {})
        reasons = [one["message"] for one in status["guards"] if one["state"] == "alarm"]
        reasons += [
            f"{count:g} findings of {code}: hybridstore doctor" for code, count in violated.items() if count
        ]
        maintenance = maintenance_status(self._settings.database.root)
        if maintenance["last_error"]:
            reasons.append(f"the last round of maintenance failed: {maintenance['last_error']}")
        warnings = [*status["warnings"], *filter(None, [status["backups"]["warning"]])]
        told = {"commit_seq": seq, "maintenance": maintenance["state"]}
        return Health("failing" if reasons else "ok", tuple(reasons), tuple(warnings), told)

    # -- readings, each with the lock held ------------------------------------------------------------------------

    def _read_or_down(self) -> list[Figure]:
        try:
            found = self._read()
        except (HybridStoreError, OSError):
            self._let_go()
            found = {"hybridstore_up": 0.0}
        found["hybridstore_build_info"] = {_BUILD: 1.0}
        return [
            Figure(name, value if isinstance(value, dict) else {"": value})
            for name in CATALOGUE
            if (value := found.get(name)) is not None
        ]

    def _read(self) -> dict[str, Any]:
        seq, ts_us = self._position()
        status, hot = self._status(), self._settings.database
        now_us, backups = self._clock.now_us(), status["backups"]
        maintenance = maintenance_status(hot.root)
        proven = _seconds(backups["last_proven_restore"])
        return {
            "hybridstore_up": 1.0,
            "hybridstore_schema_version": float(status["schema_version"]),
            "hybridstore_commit_seq": float(seq),
            "hybridstore_last_commit_timestamp_seconds": ts_us / SECOND_US,
            "hybridstore_hot_rows": {
                name: float(rows["hot_rows"]) for name, rows in status["datasets"].items()
            },
            "hybridstore_archived_rows": {
                name: float(rows["archived_rows"]) for name, rows in status["datasets"].items()
            },
            "hybridstore_tier_files": {name: float(sums["files"]) for name, sums in status["tiers"].items()},
            "hybridstore_tier_rows": {name: float(sums["rows"]) for name, sums in status["tiers"].items()},
            "hybridstore_tier_bytes": {
                name: float(sums["size_bytes"]) for name, sums in status["tiers"].items()
            },
            "hybridstore_database_bytes": _size_bytes(hot.path),
            "hybridstore_wal_bytes": _size_bytes(Path(f"{hot.path}-wal")),
            "hybridstore_disk_free_bytes": float(shutil.disk_usage(hot.root).free),
            "hybridstore_open_moves": float(status["open_moves"]),
            "hybridstore_backup_up": float(backups["state"] == "running"),
            "hybridstore_backup_lag_seconds": _lag_s(backups, status["commit_seq"], now_us),
            "hybridstore_backup_bytes": float(backups["size_bytes"]),
            "hybridstore_backup_warning": float(backups["warning"] is not None),
            "hybridstore_last_full_backup_timestamp_seconds": _seconds(backups["last_full_backup"]),
            "hybridstore_last_proven_restore_age_seconds": (
                math.inf if proven is None else max(now_us / SECOND_US - proven, 0.0)
            ),
            "hybridstore_invariant_violations": self._violations(),
            "hybridstore_equity_age_seconds": _equity_ages(status["equity"], now_us),
            "hybridstore_maintenance_up": float(maintenance["state"] == "running"),
            "hybridstore_maintenance_failed": float(bool(maintenance["last_error"])),
            "hybridstore_maintenance_last_round_timestamp_seconds": _seconds(maintenance["last_round_at"]),
            "hybridstore_guard_state": {
                name: max(_STATES[one["state"]] for one in status["guards"] if one["guard"] == name)
                for name in {one["guard"] for one in status["guards"]}
            },
            "hybridstore_warnings": float(len(status["warnings"]) + (backups["warning"] is not None)),
        }

    def _position(self) -> tuple[int, int]:
        def read() -> tuple[int, int]:
            store = self._opened()
            seq, ts_us = store.readers.rows(store.statements["commit_position"])[0]
            return seq, ts_us

        return self._once("position", QUICK_S, read)

    def _status(self) -> dict[str, Any]:
        return self._once(
            "status", COUNTS_S, lambda: collect_status(self._opened(), None, self._settings.backup)
        )

    def _violations(self) -> dict[str, float]:
        return self._once("violations", INVARIANTS_S, self._count_violations)

    def _count_violations(self) -> dict[str, float]:
        store = self._opened()
        case = Case(store.root, self._settings, {}, thorough=False, store=store, asks_objects=False)
        counts = dict.fromkeys(INVARIANTS, 0.0)
        for check in INVARIANT_CHECKS:
            try:
                for finding, _ in check(case):
                    if finding.severity == "error":
                        counts[finding.code] = counts.get(finding.code, 0.0) + 1
            except Exception:  # noqa: BLE001  what cannot be proven is not proven
                counts["check-failed"] += 1
        lost = [one for one in store.guards() if one.guard == "watermark" and one.state == "alarm"]
        counts["commits-lost"] += len(lost)
        return counts

    def _once(self, name: str, age_max_s: float, read: Callable[[], T]) -> T:
        """Return what was read lately, or read it."""
        now_s = time.monotonic()
        if name in self._kept:
            read_s, value = self._kept[name]
            if now_s - read_s < age_max_s:
                kept: T = value
                return kept
        value = read()
        self._kept[name] = (now_s, value)
        return value

    def _opened(self) -> DatabaseManager:
        if self._is_closed:  # a request that came late must not open it again
            raise StoreClosed("the figures are not read any more", path=str(self._settings.database.path))
        if self._open is None:
            config = self._settings.database
            if not config.path.exists():  # who only looks creates nothing
                raise NotFound("there is no store here", operation="read figures", path=str(config.path))
            store = DatabaseManager(config)
            store.open()
            self._open = store
            SchemaManager(store).initialize()
        return self._open

    def _let_go(self) -> None:
        """Close the store: it is opened anew when it is asked again, also where its files were replaced."""
        store, self._open = self._open, None
        self._kept.clear()
        if store is not None:
            with suppress(HybridStoreError, OSError):
                store.shutdown()


def _lag_s(backups: dict[str, Any], last_seq: int, now_us: int) -> float:
    if not backups["fulls"] or backups["last_commit"] is None:
        return math.inf
    if backups["last_commit"] >= last_seq:
        return 0.0
    safe = _seconds(backups["safe_until"])
    return math.inf if safe is None else max(now_us / SECOND_US - safe, 0.0)


def _equity_ages(equity: list[dict[str, Any]], now_us: int) -> dict[str, float]:
    ages: dict[str, float] = {}
    for one in equity:  # of an account with equity in several currencies the newest
        age_s = max((now_us - check_timestamp(one["taken_at"], "taken_at")) / SECOND_US, 0.0)
        ages[one["account"]] = min(age_s, ages.get(one["account"], math.inf))
    return ages


def _seconds(text: str | None) -> float | None:
    return None if text is None else check_timestamp(text, "moment") / SECOND_US


def _size_bytes(path: Path) -> float:
    try:
        return float(path.stat().st_size)
    except OSError:
        return 0.0


def _build() -> str:
    try:
        own = version("hybridstore")
    except PackageNotFoundError:  # run from a folder
        own = "unknown"
    return f"hybridstore {own}, Python {platform.python_version()}, SQLite {sqlite_versions().name}"


_BUILD = _build()
