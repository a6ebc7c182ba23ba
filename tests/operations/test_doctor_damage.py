"""The doctor where a store is not alone: its environment, a bot at work, files damaged at random; it never fails."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from hybridstore import HybridStore
from hybridstore.config import CONFIG_NAME
from hybridstore.operations.checks.surroundings import check_memory, check_python, check_sqlite
from hybridstore.operations.condition import maintenance_lock
from hybridstore.operations.doctor import examine_store
from hybridstore.operations.findings import KINDS, Case
from tests.operations import seeding
from tests.operations.examining import codes, content, examine, only


@pytest.fixture
def root(well: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(well, tmp_path / "store"))


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


def test_an_object_that_is_gone_and_a_store_that_does_not_answer_are_told_apart(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore", reason="obstore is not installed")
    (tmp_path / "objects").mkdir()
    url = f"file://{(tmp_path / 'objects').as_posix()}"
    seeding.execute(root, f"UPDATE archive_files SET url = '{url}', offloaded_at = {seeding.now_us()}")
    for thorough in (True, False):
        found = examine(root, thorough=thorough)
        assert codes(found) == {"archive-damaged"}
        assert "no such object" in only(found, "archive-damaged").found
    with socket.socket() as one:  # a port that nobody listens on
        one.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{one.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        seeding.execute(root, "UPDATE archive_files SET url = 's3://nowhere/bot'")
        found = examine(root, thorough=False)
    assert codes(found) == {"archive-unreachable"}
    assert found.is_well, "it may answer again"


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
