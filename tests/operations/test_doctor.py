"""The doctor: each fault that is made is found, explained and, where that is safe, done away with; a well store is."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore import HybridStore
from hybridstore.config import CONFIG_NAME, DATABASE_NAME
from hybridstore.operations.checks.surroundings import check_memory, check_python, check_sqlite
from hybridstore.operations.condition import maintenance_lock
from hybridstore.operations.doctor import Examination, examine_store
from hybridstore.operations.findings import KINDS, Case, Finding
from tests.operations import seeding

USUAL = {"backup-same-device"}
"""What a store has whose backups lie in its own folder."""
Seed = Callable[[Path], None]


@pytest.fixture(scope="session")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that is well; nobody may change it."""
    root = tmp_path_factory.mktemp("well") / "store"
    seeding.build(root)
    return root


@pytest.fixture
def root(well: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(well, tmp_path / "store"))


def examine(root: Path, *, thorough: bool = True, fix: bool = False) -> Examination:
    return examine_store(root, environment={}, thorough=thorough, fix=fix)


def codes(found: Examination) -> set[str]:
    return {one.code for one in found.findings} - USUAL


def only(found: Examination, code: str) -> Finding:
    (one, *_) = [one for one in found.findings if one.code == code]
    return one


def content(root: Path) -> dict[str, str]:
    """Return the hash of every file whose content is somebody's; nobody has the store open."""
    passing = ("-shm", ".lock", ".watermark")
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(passing)
    }


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


# -- what no copy of a store can show ------------------------------------------------------------------------------


def test_environment_variables_are_looked_at_one_by_one(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other.toml"
    elsewhere.write_text("[database]\n", encoding="utf-8")
    (root / CONFIG_NAME).write_text("[database]\n", encoding="utf-8")
    variables = {
        "HYBRIDSTORE_CASH_SIZE_MB": "1",
        "HYBRIDSTORE_CACHE_SIZE_MB": "many",
        "HYBRIDSTORE_DURABILITY": "normal",
        "HYBRIDSTORE_CONFIG": str(elsewhere),
        "PATH": "/bin",
    }
    found = examine_store(root, environment=variables)
    assert codes(found) == {"environment-unknown", "config-invalid", "config-ignored"}
    assert "HYBRIDSTORE_CASH_SIZE_MB" in only(found, "environment-unknown").found
    assert "HYBRIDSTORE_CACHE_SIZE_MB='many'" in only(found, "config-invalid").found
    assert found.opened, "a configuration that cannot be read keeps nothing else from being examined"


def test_versions_and_memory_are_compared(root: Path) -> None:
    from hybridstore.config import Settings

    case = Case(root, Settings(), {}, thorough=True)
    assert [one.finding.code for one in check_python(case, (3, 10, 9))] == ["python-old"]
    assert [one.finding.code for one in check_sqlite(case, 3_045_000)] == ["sqlite-old"]
    assert [one.finding.code for one in check_memory(case, 1_000)] == ["memory-short", "memory-short"]
    assert check_memory(case, 1_000_000) == []


def test_a_log_that_a_crash_left_is_noted_and_read(root: Path) -> None:
    seeding.crash(root)
    found = examine(root)
    assert codes(found) == {"log-left", "backup-stopped"}
    with HybridStore(root) as store:
        assert store.sql("SELECT balance FROM balances WHERE asset = 'ETH'").rows()[0][0] == 3


def test_where_commits_are_lost_nothing_is_opened_so_that_what_is_left_stays(root: Path) -> None:
    seeding.log_was_flipped(root)
    before = content(root)
    found = examine(root, fix=True)
    assert not found.opened
    assert not found.is_well
    assert content(root) == before


_AS_NOBODY = """
import os, sys
from pathlib import Path
from hybridstore.operations.doctor import examine_store
if os.geteuid() == 0:
    os.setuid(65534)
print([one.code for one in examine_store(Path(sys.argv[1]), environment={}).findings])
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no modes of folders")
def test_a_folder_of_another_user_is_told() -> None:
    folder = Path(tempfile.mkdtemp(prefix="hybridstore-doctor-"))
    try:
        with HybridStore(folder):
            pass
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, str(folder)],
            env=os.environ | {"PYTHONPATH": str(seeding.REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == "['root-unusable', 'permissions-open']", done.stderr
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_a_process_that_hangs_is_told(root: Path) -> None:
    seeding.write_condition(root, next_round_at=seeding.iso(seeding.now_us() - 7_200_000_000))
    with maintenance_lock(root).acquire():
        assert codes(examine(root)) == {"maintenance-late"}


def test_an_object_store_that_does_not_answer_is_told(root: Path, tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    seeding.execute(
        root, f"UPDATE archive_files SET url = 'file://{tmp_path}/objects', offloaded_at = {seeding.now_us()}"
    )
    assert codes(examine(root)) <= {"archive-damaged", "archive-unreachable", "audit-broken"}
    assert codes(examine(root, thorough=False)) <= {"archive-damaged", "archive-unreachable", "audit-broken"}


def test_a_check_that_cannot_be_made_is_a_finding_and_the_others_are_made(root: Path) -> None:
    shutil.rmtree(root / "backups")
    (root / "backups").write_bytes(b"no folder")
    (root / "trading_bot.db").chmod(0o644)
    found = examine(root)
    assert "permissions-open" in codes(found)
    assert codes(found) & {"check-failed", "backup-none"}
    seeding.execute(root, "DROP TABLE archive_moves")
    found = examine(root)
    assert {"check-failed", "schema-changed"} <= codes(found)
    assert "no such table" in only(found, "check-failed").found


def test_a_bot_that_has_the_store_open_goes_on(root: Path) -> None:
    with HybridStore(root) as store:
        child = "import sys; from pathlib import Path; from hybridstore.operations.doctor import examine_store as e; "
        child += "sys.exit(not e(Path(sys.argv[1]), environment={}, fix=True).opened)"
        for number in range(3):
            store.record_balance_update("ETH", number, 0, "websocket")
        done = subprocess.run(
            [sys.executable, "-c", child, str(root)],
            env=os.environ | {"PYTHONPATH": str(seeding.REPOSITORY)},
            check=False,
        )
        assert done.returncode == 0
        store.record_balance_update("ETH", 7, 0, "websocket")
        assert codes(examine(root)) <= {"log-left", "backup-stopped"}, "also in the bot's own process"
        store.record_balance_update("ETH", 8, 0, "websocket")
        assert all(one["state"] != "alarm" for one in store.get_system_status()["guards"])
    with HybridStore(root) as store:
        assert store.sql("SELECT balance FROM balances WHERE asset = 'ETH'").rows()[0][0] == 8


# -- whatever is damaged -------------------------------------------------------------------------------------------


def damage(root: Path, rng: random.Random) -> str:
    """Do something to a file of a store that no program of ours would do; return what."""
    path = rng.choice(sorted(one for one in root.rglob("*") if one.is_file()))
    size = path.stat().st_size
    how = rng.choice(("flip", "flip", "flip", "cut", "empty", "remove", "rubbish", "folder"))
    if how == "flip" and size:
        for _ in range(rng.choice((1, 1, 20))):
            seeding.flip(path, rng.randrange(size))
    elif how == "cut" and size:
        os.truncate(path, rng.randrange(size))
    elif how == "empty":
        os.truncate(path, 0)
    elif how == "rubbish":
        path.write_bytes(rng.randbytes(rng.choice((1, 300, 9_000))))
    else:
        path.unlink()
        if how == "folder":
            path.mkdir()
    return f"{how} {path.relative_to(root)}"


def examine_damaged(well: Path, tmp_path: Path, rng: random.Random, times: int) -> None:
    for number in range(times):
        root = Path(shutil.copytree(well, tmp_path / f"store-{number}"))
        done = [damage(root, rng) for _ in range(rng.choice((1, 1, 2, 5)))]
        print(number, done)
        found = examine(root, thorough=number % 4 == 0, fix=number % 3 == 0)
        assert all(one.code in KINDS for one in found.findings), done
        shutil.rmtree(root)


def test_no_damage_makes_it_fail(well: Path, tmp_path: Path, rng: random.Random) -> None:
    examine_damaged(well, tmp_path, rng, 24)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_no_damage_makes_it_fail_long(well: Path, tmp_path: Path, rng: random.Random) -> None:
    examine_damaged(well, tmp_path, rng, 1_500)


def test_a_bot_that_commits_all_the_while_has_lost_nothing(root: Path) -> None:
    over = threading.Event()

    def work() -> None:
        with HybridStore(root) as store:
            number = 0
            while not over.is_set():
                number += 1
                store.record_balance_update("ETH", number, 0, "websocket")

    bot = threading.Thread(target=work)
    bot.start()
    try:
        for _ in range(6):
            time.sleep(0.3)  # the watermark is written once a second
            assert "commits-lost" not in codes(examine(root, thorough=False))
    finally:
        over.set()
        bot.join()
