"""The doctor: each fault that is made is found, explained and, where that is safe, done away with; a well store is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore import HybridStore
from hybridstore.config import DATABASE_NAME
from hybridstore.operations.doctor import examine_store
from hybridstore.operations.findings import KINDS
from tests.operations import seeding
from tests.operations.examining import codes, content, examine, only

Seed = Callable[[Path], None]


@pytest.fixture
def root(well: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(well, tmp_path / "store"))


# -- faults ----------------------------------------------------------------------------------------------------------

FAULTS: list[tuple[str, Seed, str]] = [
    ("root-missing", shutil.rmtree, "is no folder"),
    ("restore-interrupted", lambda root: (root / ".restoring.json").touch(), ".restoring.json"),
    ("permissions-open", lambda root: root.chmod(0o755), "mode 755"),
    ("permissions-open", lambda root: (root / DATABASE_NAME).chmod(0o644), "mode 644"),
    (
        "disk-low",
        lambda root: seeding.configure(root, "[database]\ndisk_low_mb = 900000000\n"),
        "MiB are free",
    ),
    ("reserve-missing", lambda root: (root / ".reserve").unlink(), "no reserve file of 1 MiB"),
    ("temporary-files", seeding.temporary_files, ".maintenance.json.77-1.tmp"),
    ("lease-stale", seeding.reader_died, "1 leases"),
    ("cache-large", seeding.cache_grew, "2.0 MiB"),
    ("log-large", seeding.log_grew, "wal_limit_mb = 1"),
    (
        "config-invalid",
        lambda root: seeding.configure(root, "[database]\ncash_size_mb = 1\n"),
        "cash_size_mb",
    ),
    (
        "config-invalid",
        lambda root: seeding.configure(root, "[database]\nreserve_mb = -1\n"),
        "reserve_mb=-1",
    ),
    ("threads-many", lambda root: seeding.configure(root, "[analytics]\nthreads = 4096\n"), "threads = 4096"),
    (
        "memory-short",
        lambda root: seeding.configure(root, "[analytics]\nmemory_limit_mb = 900000000\n"),
        "memory_limit_mb = 900000000",
    ),
    ("database-missing", lambda root: (root / DATABASE_NAME).unlink(), "is not there"),
    ("database-empty", lambda root: os.truncate(root / DATABASE_NAME, 0), "has no content"),
    ("database-damaged", seeding.database_is_text, "NotADB"),
    ("database-damaged", seeding.page_was_overwritten, DATABASE_NAME),
    ("database-cut", seeding.database_was_cut, "inside a page"),
    ("database-foreign", seeding.database_of_another_program, "tradesv3"),
    ("page-checksum", seeding.page_with_checksum_was_changed, "8202"),
    ("schema-newer", lambda root: seeding.execute(root, "PRAGMA user_version = 99"), "version 99"),
    ("schema-older", lambda root: seeding.execute(root, "PRAGMA user_version = 0"), "first_release"),
    (
        "schema-changed",
        lambda root: seeding.execute(root, "ALTER TABLE trades ADD COLUMN x TEXT"),
        "trades differs",
    ),
    ("commits-lost", seeding.log_was_flipped, "the store had reached commit"),
    ("commits-lost", seeding.old_copy_was_put_back, "the store had reached commit"),
    ("archive-missing", lambda root: seeding.archived(root).unlink(), "50 rows of market_trades"),
    ("archive-damaged", lambda root: seeding.flip(seeding.archived(root), 900), "50 rows of market_trades"),
    ("archive-stray", seeding.move_was_given_up, "1 files (archives/"),
    ("archive-strange", seeding.strange_file, "market_trades-warm-1-2-x.parquet"),
    ("move-open", seeding.move_was_killed, "1 moves and 0 merges"),
    ("audit-broken", seeding.audit_was_edited, "broken at entry 1"),
    ("rows-twice", seeding.row_came_back, "the first has id 7"),
    ("books-wrong", seeding.balance_was_edited, "12345"),
    ("equity-unpriced", seeding.equity_without_price, "DOGE"),
    ("backup-none", lambda root: shutil.rmtree(root / "backups"), "no backup of this store"),
    ("backup-stopped", seeding.commits_nobody_ships, "nobody backs this store up"),
    ("backup-unproven", seeding.backups_are_old, "three days"),
    ("backup-damaged", seeding.backup_was_flipped, "not what was written"),
    ("backup-failing", seeding.backups_say(work_error="no space left"), "no space left"),
    ("maintenance-off", lambda root: (root / "maintenance.json").unlink(), "never"),
    (
        "maintenance-failed",
        lambda root: seeding.write_condition(root, last_error="StorageFull: no space left"),
        "StorageFull",
    ),
    ("clock-ahead", seeding.clock_was_ahead, "ahead of this machine's clock"),
    ("clock-doubt", seeding.clock_leapt, "100 days after"),
]
BESIDE = {
    "equity-unpriced": {"backup-stopped"},
    "clock-ahead": {"backup-stopped"},
    "move-open": {"backup-stopped"},
    "archive-stray": {"backup-stopped"},
    "log-large": {"backup-stopped"},
    "backup-none": set(),
    "page-checksum": {"backup-none", "maintenance-off", "reserve-missing"},
    "audit-broken": {"archive-damaged"},
}
"""What a fault brings with it."""


@pytest.mark.parametrize(
    ("code", "seed_fault", "says"), FAULTS, ids=[f"{n}-{one[0]}" for n, one in enumerate(FAULTS)]
)
def test_a_fault_is_found_and_explained(root: Path, code: str, seed_fault: Seed, says: str) -> None:
    seed_fault(root)
    found = examine(root)
    one = only(found, code)
    assert says in one.found
    assert one.means == KINDS[code].means
    assert one.remedy
    assert codes(found) - BESIDE.get(code, set()) == {code}, found.findings
    assert found.is_well == (one.severity != "error")


def test_a_well_store_has_nothing_but_what_is_usual_and_is_not_changed(root: Path) -> None:
    before = content(root)
    found = examine(root)
    assert (codes(found), found.opened, found.is_well) == (set(), True, True)
    assert content(root) == before
    assert codes(examine(root, thorough=False)) == set()


def test_at_least_twenty_kinds_of_fault_are_made() -> None:
    assert len({code for code, _, _ in FAULTS}) >= 20
    assert {code for code, _, _ in FAULTS} <= KINDS.keys()


# -- repairs ---------------------------------------------------------------------------------------------------------

REPAIRS: list[tuple[str, Seed]] = [
    ("permissions-open", lambda root: (root / DATABASE_NAME).chmod(0o644)),
    ("reserve-missing", lambda root: (root / ".reserve").unlink()),
    ("temporary-files", seeding.temporary_files),
    ("lease-stale", seeding.reader_died),
    ("cache-large", seeding.cache_grew),
    ("archive-stray", seeding.move_was_given_up),
    ("move-open", seeding.move_was_killed),
]


@pytest.mark.parametrize(("code", "seed_fault"), REPAIRS, ids=[one[0] for one in REPAIRS])
def test_a_safe_repair_is_told_done_when_asked_for_and_enough(
    root: Path, code: str, seed_fault: Seed
) -> None:
    seed_fault(root)
    seeding.settle(root)  # so that looking copies no log back
    if code == "reserve-missing":
        (root / ".reserve").unlink()  # whoever opened the store made it again
    before = content(root)
    told = only(examine(root, thorough=False), code)
    assert (told.done, told.failed) == (None, None)
    assert told.fix
    assert content(root) == before, "nothing is changed by being looked at"
    refused = examine_store(root, environment={}, thorough=False, fix=True, agree=lambda _finding: False)
    assert only(refused, code).done is None
    done = only(examine(root, fix=True), code)
    assert done.is_fixed
    assert code not in codes(examine(root, thorough=False))
    with HybridStore(root) as store:
        assert store.sql("SELECT count(*) FROM market_trades WHERE symbol = 'BTC/USDT'").rows() == [(51,)]


def test_a_repair_that_fails_says_why(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeding.temporary_files(root)

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    one = only(examine(root, fix=True), "temporary-files")
    assert one.failed is not None
    assert "Permission denied" in one.failed
    assert not one.is_fixed
