"""Examines a store: every check there is, from outside first, then opened; and applies the safe repairs when asked to.

Nothing is changed unless repairs are asked for. Where the look from outside finds the database damaged, cut, newer,
another program's, or behind what it had reached, it is not opened: that would copy its log back and lose what a person
could still save.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from hybridstore.config import DATABASE_NAME, DatabaseConfig, Settings, load_settings
from hybridstore.errors import ConfigError, HybridStoreError
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.inspection import sqlite_versions
from hybridstore.hot.schema_manager import adopt_new_datasets
from hybridstore.operations.checks import archives, backups, books, database, folder, surroundings, work
from hybridstore.operations.findings import SEVERITIES, Ailment, Case, Check, Finding, ailment
from hybridstore.records import Record

OUTSIDE: tuple[Check, ...] = (*surroundings.CHECKS, folder.check_root)
INSIDE_FOLDER: tuple[Check, ...] = folder.CHECKS
STORED: tuple[Check, ...] = (
    *database.CHECKS, *archives.CHECKS, *books.CHECKS, *backups.CHECKS, *work.CHECKS,
)  # fmt: skip
Agree = Callable[[Finding], bool]
"""Asked before each repair."""


class Examination(Record, frozen=True, gc=False):
    """What an examination found.

    Attributes:
        root: The store's folder.
        opened: Whether the store was opened; if not, only the outside was examined.
        thorough: Whether every archived file, page and backup was read.
        checks: How many checks were made.
        findings: What was found, the worst first.
        versions: Of Python, SQLite and apsw.
    """

    root: str
    opened: bool
    thorough: bool
    checks: int
    findings: tuple[Finding, ...]
    versions: dict[str, str]

    @property
    def is_well(self) -> bool:
        """Whether no error is left; notes and warnings are no errors."""
        return not any(one.severity == "error" and not one.is_fixed for one in self.findings)


def examine_store(
    root: Path,
    *,
    thorough: bool = True,
    fix: bool = False,
    agree: Agree | None = None,
    environment: Mapping[str, str] | None = None,
    on_check: Callable[[str], None] | None = None,
) -> Examination:
    """Examine a store, also one that a bot has open. What a check raises is a finding, too.

    Args:
        root: The store's folder.
        thorough: Also read every archived file, every page, every backup, and add the books up.
        fix: Do what is safe to do: only what loses nothing and decides nothing.
        agree: Asked before each repair; None agrees to all.
        environment: The environment variables; None means the process's.
        on_check: Called with the name of each check before it is made.

    Returns:
        What was found.
    """
    variables = dict(os.environ if environment is None else environment)
    doctor = _Doctor(
        Case(root, _settings(root, variables), variables, thorough), on_check or (lambda _name: None)
    )
    doctor.run(fix=fix, agree=agree or (lambda _finding: True))
    sqlite = sqlite_versions()
    return Examination(
        str(root),
        doctor.is_opened,
        thorough,
        doctor.checks,
        tuple(sorted(doctor.findings, key=lambda one: SEVERITIES.index(one.severity))),
        {"python": platform.python_version(), "sqlite": sqlite.name, "apsw": sqlite.apsw},
    )


def _settings(root: Path, environment: Mapping[str, str]) -> Settings:
    """Read the configuration; where that is not possible, which a check tells, the defaults have to do."""
    try:
        return load_settings(root, environment)
    except (ConfigError, OSError):
        return Settings(database=DatabaseConfig(database_path=str(root / DATABASE_NAME)))


class _Doctor:
    """One examination."""

    def __init__(self, case: Case, on_check: Callable[[str], None]) -> None:
        self._case = case
        self._on_check = on_check
        self.findings: list[Finding] = []
        self.checks = 0
        self.is_opened = False

    def run(self, *, fix: bool, agree: Agree) -> None:
        """Make every check that can be made."""
        self._treat(self._examine(OUTSIDE, self._case), fix=fix, agree=agree)
        if self._has_error("root-missing"):
            return
        self._treat(self._examine(INSIDE_FOLDER, self._case), fix=fix, agree=agree)
        if self._has_error("root-unusable", "restore-interrupted", "sqlite-old"):
            return
        told = len(self.findings)
        self._treat(self._examine((database.check_file,), self._case), fix=fix, agree=agree)
        if all(
            one.severity == "note" for one in self.findings[told:]
        ):  # what cannot be looked at is not opened either
            self._open(fix=fix, agree=agree)

    def _open(self, *, fix: bool, agree: Agree) -> None:
        if not self._case.settings.database.path.exists():
            return
        # It makes no reserve file and writes no logs: nothing is changed by being looked at.
        config = msgspec.structs.replace(self._case.settings.database, reserve_mb=0, enable_logs=False)
        store = DatabaseManager(config)
        try:
            store.open()
        except HybridStoreError as error:
            self.findings.append(database.told_of(error).finding)
            return
        except Exception as error:  # noqa: BLE001  as in any check
            self._tell_failed("open", error)
            return
        try:
            self.is_opened = True
            self._guarded("own_datasets", lambda: adopt_new_datasets(store))
            found = self._examine(STORED, self._case._replace(store=store))
            self._treat(found, fix=fix, agree=agree)
        finally:
            self._guarded("close", store.shutdown)

    def _examine(self, checks: Iterable[Check], case: Case) -> list[Ailment]:
        found: list[Ailment] = []
        for check in checks:
            name = check.__name__.removeprefix("check_")
            self._on_check(name)
            self.checks += 1
            found += self._guarded(name, lambda check=check: check(case)) or []  # type: ignore[misc]
        return found

    def _guarded(self, name: str, work: Callable[[], Any]) -> Any:
        """Do something; what it raises becomes a finding, so that one fault does not hide the others."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001  whatever a damaged store makes of a check: told, and the next made
            self._tell_failed(name, error)
            return None

    def _tell_failed(self, name: str, error: Exception) -> None:
        what = f"{name}: {type(error).__name__}: {error}"
        remedy = "see to the other findings first, then run hybridstore doctor again"
        self.findings.append(ailment("check-failed", what, remedy).finding)

    def _treat(self, found: Iterable[Ailment], *, fix: bool, agree: Agree) -> None:
        for finding, repair in found:
            if not fix or repair is None or not agree(finding):
                self.findings.append(finding)
                continue
            try:
                self.findings.append(msgspec.structs.replace(finding, done=repair()))
            except Exception as error:  # noqa: BLE001  whatever it is: told beside what was found
                why = f"{type(error).__name__}: {error}"
                self.findings.append(msgspec.structs.replace(finding, failed=why))

    def _has_error(self, *codes: str) -> bool:
        return any(one.code in codes for one in self.findings)
