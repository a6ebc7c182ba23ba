"""One round of maintenance: it moves what is due, ends where it is told to, and its failure has words."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import filelock
import msgspec
import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig, RetentionPolicy, Settings, load_settings
from hybridstore.errors import NotFound, StoreBusy, StoreError
from hybridstore.operations.maintenance import run_in_process, run_once
from hybridstore.retention.progress import MoveReport, Progress
from hybridstore.retention.rewriting_desk import LOCK_NAME
from hybridstore.store import HybridStore
from tests.tiered import NOW_US, OWN, all_rows, hot_rows, insert, make_rows, open_store


@pytest.fixture
def root(tmp_path: Path, rng: random.Random) -> Path:
    """Return a folder with a store of 80 old rows, of two days."""
    with open_store(tmp_path) as database:
        insert(database, OWN, make_rows(OWN, rng, 80, days=2))
    return tmp_path


def test_the_child_moves_beside_an_open_store_and_knows_its_own_datasets(root: Path) -> None:
    seen: list[Progress] = []
    with open_store(root) as database:
        before = all_rows(database, OWN)
        report = run_in_process(root, now_us=NOW_US, progress=seen.append)
        assert isinstance(report, MoveReport)
        assert (report.rows, report.files, report.complete) == (80, 2, True)
        assert all_rows(database, OWN) == before
        assert hot_rows(database, OWN) == {}
    assert (seen[-1].rows_done, seen[-1].rows_total) == (80, 80)


def test_a_child_that_fails_says_why(root: Path) -> None:
    database = DatabaseConfig(database_path=str(root / DATABASE_NAME), vfs="no-such-vfs")
    with pytest.raises(StoreError, match="no-such-vfs"):
        run_in_process(Settings(database=database), now_us=NOW_US)


def test_one_round_can_be_run_as_of_a_moment(root: Path) -> None:
    assert run_once(root, now_us=NOW_US - 40 * DAY_US).rows == 0
    assert run_once(root, now_us=NOW_US).rows == 80


@pytest.mark.parametrize("run", [run_once, run_in_process])
def test_maintenance_never_makes_a_store(tmp_path: Path, run: Callable[[Path], MoveReport]) -> None:
    with pytest.raises(NotFound, match="there is no store here"):
        run(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_what_was_given_in_code_reaches_the_child(tmp_path: Path) -> None:
    """A database of any name, a policy that no file holds, and the store's own clock."""
    config = DatabaseConfig(database_path=str(tmp_path / "any name.sqlite"))
    policy = RetentionPolicy(name="short", table_name="balance_history", hot_retention_days=1)
    clock = ManualClock(NOW_US)
    with HybridStore(config=config, clock=clock, policies=[policy]) as store:
        store.record_balance_update("BTC", 1)
        store.record_fill("BTC/USDT", "buy", 1, 1)
        clock.advance(3 * DAY_US)
        assert store.cleanup_old_data().rows == 1, "trades stay 7 days"
        clock.advance(30 * DAY_US)
        assert store.cleanup_old_data().rows >= 1
        assert store.get_balance_history("BTC").height == 1
    assert not (tmp_path / DATABASE_NAME).exists()


def test_a_round_stopped_after_any_step_loses_nothing_and_claims_nothing(
    tmp_path: Path, rng: random.Random
) -> None:
    with open_store(tmp_path) as database:
        insert(database, OWN, make_rows(OWN, rng, 2_500))
        before = all_rows(database, OWN)
    asked, open_states, complete = 0, set(), False
    for allowed in range(30):
        asked = 0

        def stop(allowed: int = allowed) -> bool:
            nonlocal asked
            asked += 1
            return asked > allowed

        complete = run_once(tmp_path, now_us=NOW_US, stop=stop).complete
        with open_store(tmp_path) as database:
            assert all_rows(database, OWN) == before
            states = database.readers.rows("SELECT state FROM archive_moves WHERE finished_at IS NULL")
            open_states |= {state for (state,) in states}
        if complete:
            break
        assert asked == allowed + 1
    assert complete
    assert open_states == {"publishing"}, "the rows of a claim could not be changed until the next run"
    with open_store(tmp_path) as database:
        assert hot_rows(database, OWN) == {}


def test_a_move_under_way_is_waited_for(root: Path) -> None:
    lock = filelock.FileLock(root / LOCK_NAME, thread_local=False)
    lock.acquire()
    with pytest.raises(StoreBusy):
        run_once(root, now_us=NOW_US)
    with pytest.raises(StoreBusy, match="another process is moving rows") as caught:
        run_in_process(root, now_us=NOW_US)
    assert caught.value.retryable
    assert (caught.value.path, caught.value.operation) == (str(root), "move")
    release = threading.Timer(0.1, lock.release)
    release.start()
    assert run_once(root, now_us=NOW_US, wait_s=20).rows == 80
    release.join()


@pytest.mark.parametrize("run", [run_once, run_in_process])
def test_a_round_as_of_a_moment_leaves_the_time_of_commits_alone(
    tmp_path: Path, run: Callable[..., MoveReport]
) -> None:
    """Else every later row would be recorded years ahead, and no balance of the present would be the latest."""
    with HybridStore(tmp_path) as store:
        store.record_balance_update("BTC", 1)
        assert run(tmp_path, now_us=store.database.clock.now_us() + 3_650 * DAY_US).rows == 1
        assert store.get_balance_history("BTC").height == 1
        now = datetime.now(UTC)
        assert store.record_balance_update("BTC", 2).recorded_at <= now + timedelta(minutes=1)
        store.record_balance_update("BTC", 3, changed_at=now + timedelta(minutes=1))
        latest = store.get_latest_balance("BTC")
        assert latest is not None
        assert latest.balance == 3


def test_settings_survive_the_way_to_the_child(tmp_path: Path) -> None:
    (tmp_path / "hybridstore.toml").write_text(
        "[database]\nreader_max_age_s = 7.5\n[maintenance]\ninterval_s = 60\nlow_priority = false\n"
        '[[retention]]\nname = "t"\ntable_name = "trades"\nhot_retention_days = 3\n',
        encoding="utf-8",
    )
    settings = load_settings(tmp_path)
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings
    assert (settings.maintenance.interval_s, settings.maintenance.low_priority) == (60, False)
