"""The backups: whether there are any, whether somebody makes them, whether they are whole, where they lie."""

from __future__ import annotations

from hybridstore.backup.repository import Repository
from hybridstore.backup.status import backup_status
from hybridstore.backup.verification import verify_backups
from hybridstore.operations.findings import Ailment, Case, ailment

_WORDS = (
    (
        "no backup of this store",
        "backup-none",
        "hybridstore backup now; and keep hybridstore run or a bot running",
    ),
    (
        "nobody backs this store up",
        "backup-stopped",
        "start the bot or hybridstore run, or: hybridstore backup now",
    ),
    ("no restore was proven", "backup-unproven", "hybridstore backup verify --level restore"),
)
"""How the warnings of the status begin, and what each is here."""
_FAILING = "see to what it names; hybridstore backup status tells whether it went away"


def check_state(case: Case) -> list[Ailment]:
    """Look how the backups are doing, as ``hybridstore backup status`` tells it."""
    database = case.database
    seq = database.readers.rows(database.statements["commit_position"])[0][0]
    status = backup_status(_repository(case), database.clock.now_us(), seq)
    warning = status["warning"]
    if warning is None:
        return []
    for begins, code, remedy in _WORDS:
        if warning.startswith(begins):
            return [ailment(code, warning, remedy)]
    return [ailment("backup-failing", warning, _FAILING)]


def check_content(case: Case) -> list[Ailment]:
    """Read every backup, and compare it with what was written."""
    repository = _repository(case)
    if not case.thorough or not repository.files():
        return []
    found = verify_backups(repository, "chain", case.settings.database)
    remedy = "hybridstore backup verify names what can still be restored; then: hybridstore backup now"
    return [ailment("backup-damaged", problem, remedy) for problem in found.problems]


def check_device(case: Case) -> list[Ailment]:
    """Look whether one device holds store and backups."""
    base = case.settings.backup.base(case.root)
    if case.settings.backup.mirror_url is not None or not base.exists():
        return []
    if base.stat().st_dev != case.root.stat().st_dev:
        return []
    remedy = "set backup_base_path of [backup] to a folder of another disk, or mirror_url to an object store"
    return [ailment("backup-same-device", f"{base} is on the device of the store", remedy)]


def _repository(case: Case) -> Repository:
    return Repository(case.settings.backup.base(case.root))


CHECKS = (check_state, check_content, check_device)
