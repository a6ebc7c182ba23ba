"""The supervisor with real processes: one a root, back when it dies, gone when nobody wants it any more."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import pytest

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import ManualClock, SystemClock
from hybridstore.config import CONFIG_NAME, Settings, load_settings
from hybridstore.errors import ConfigError
from hybridstore.operations import launch
from hybridstore.operations.child import _NICENESS
from hybridstore.operations.condition import describe_maintenance, is_maintained, maintenance_status
from hybridstore.operations.launch import Job, cut_life_line, start_child
from hybridstore.operations.supervisor import Pace, Supervisor
from hybridstore.retention.rewriting_desk import LOCK_NAME
from hybridstore.sections import MaintenanceConfig
from hybridstore.store import HybridStore
from tests.tiered import NOW_US, OWN, all_rows, hot_rows, insert, make_rows, open_store

PATIENCE_S = 30.0
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
QUICK = Pace(look_every_s=0.05, restart_first_s=0.05)

BOT = """
import sys, time
from hybridstore import HybridStore
store = HybridStore(sys.argv[1], maintenance="auto").open()
print("open", flush=True)
sys.stdin.readline()
"""
"""A bot that has a store open until it is told to end, and then ends without closing it."""


@pytest.fixture
def root(tmp_path: Path, rng: random.Random) -> Path:
    """Return a folder with a store of 80 old rows, and settings that maintain it without a pause."""
    with open_store(tmp_path) as database:
        insert(database, OWN, make_rows(OWN, rng, 80, days=2))
    text = "[maintenance]\nstart_after_s = 0\ninterval_s = 0.1\n"
    (tmp_path / CONFIG_NAME).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def settings(root: Path) -> Settings:
    """Return the settings of that store."""
    return load_settings(root)


@contextmanager
def supervised(settings: Settings, pace: Pace = QUICK) -> Iterator[Supervisor]:
    supervisor = Supervisor(settings, pace)
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.close()


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python with these words; it is killed at the end if it is still there."""
    with subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "500"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(true: Callable[[], Any]) -> Any:
    """Wait until something is so, and return it."""
    end_s = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end_s, f"not so after {PATIENCE_S} s"
        time.sleep(0.01)
    return found


def is_gone(pid: int) -> bool:
    """Say whether a process has ended; one that nobody has reaped yet has."""
    if sys.platform == "win32":
        return str(pid) not in output_of("tasklist", "/fi", f"pid eq {pid}")
    return output_of("ps", "-o", "stat=", "-p", str(pid)).strip()[:1] in {"", "Z"}


def output_of(program: str, *words: str) -> str:
    path = shutil.which(program)
    assert path, f"{program} lists processes"
    return subprocess.run([path, *words], capture_output=True, text=True, check=False).stdout


def running(status: Callable[[], dict[str, Any]]) -> int:
    """Wait for a maintenance process that has moved the rows; return its process number."""
    found = until(lambda: (now := status())["state"] == "running" and now["rounds"] and now)
    pid = found["pid"]
    assert isinstance(pid, int)
    return pid


def test_the_child_moves_old_rows_and_is_gone_after_closing(root: Path) -> None:
    threads = set(threading.enumerate())
    with HybridStore(root, maintenance="auto") as store:
        pid = running(lambda: store.get_system_status()["maintenance"])
        status = store.get_system_status()["maintenance"]
        assert (status["owner"], status["owner_pid"], status["restarts"]) == ("bot", os.getpid(), 0)
        assert (status["rows_moved"], status["last_error"], status["log"]) == (80, None, [])
        assert f"process {pid}, for the bot with process {os.getpid()}" in describe_maintenance(status)
        assert not is_gone(pid)
        if hasattr(os, "getpriority"):
            own, most = os.getpriority(os.PRIO_PROCESS, os.getpid()), 19
            assert os.getpriority(os.PRIO_PROCESS, pid) == min(own + _NICENESS, most)
            assert os.getsid(pid) != os.getsid(0), "Ctrl-C in the bot's terminal is for the bot"
    assert is_gone(pid)
    assert not is_maintained(root)
    assert set(threading.enumerate()) == threads
    with HybridStore(root) as store:
        status = store.get_system_status()["maintenance"]
        assert (status["state"], status["pid"], status["rows_moved"]) == ("off", None, 80)
        assert describe_maintenance(status).startswith("off; last round 20")
        store.open()
        assert store.get_system_status()["maintenance"]["state"] == "off"


def test_a_store_can_be_opened_again_and_again(root: Path) -> None:
    store = HybridStore(root, maintenance="auto")
    pids = set()
    for _ in range(2):
        with store:
            pids.add(running(lambda: store.get_system_status()["maintenance"]))
    assert len(pids) == 2
    assert all(map(is_gone, pids))


def test_a_child_that_is_killed_is_started_again_and_counted(settings: Settings) -> None:
    with supervised(settings) as supervisor:
        first = running(supervisor.status)
        os.kill(first, KILL)
        until(lambda: supervisor.status()["pid"] not in {first, None})
        second = running(supervisor.status)
        os.kill(second, KILL)
        until(lambda: supervisor.status()["restarts"] == 2)
        third = running(supervisor.status)
        assert maintenance_status(settings.database.root)["restarts"] == 2
    assert all(map(is_gone, (first, second, third)))


def test_a_child_that_cannot_start_is_a_failure_with_words(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "CHILD_MODULE", "hybridstore.no_such_module")
    with supervised(settings) as supervisor:
        status = until(lambda: (now := supervisor.status())["state"] == "failed" and now)
        assert "no_such_module" in status["last_error"]
        assert any("no_such_module" in line for line in status["log"])
        monkeypatch.undo()
        assert running(supervisor.status)
        assert supervisor.status()["restarts"] >= 1
    monkeypatch.setattr(sys, "executable", "")
    with supervised(settings) as supervisor:
        status = until(lambda: (now := supervisor.status())["state"] == "failed" and now)
        assert "hybridstore run" in status["last_error"]


def test_waits_between_restarts_grow_and_end_with_closing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(settings.database.root / "no-python"))
    begun_s = time.monotonic()
    with supervised(settings, Pace(restart_first_s=0.01, restart_most_s=300.0)) as supervisor:
        until(lambda: supervisor.status()["restarts"] >= 5)
        assert time.monotonic() - begun_s > 0.3, "0.01 s, then twice as long each time"
    assert supervisor.status()["state"] == "off"


def test_a_round_that_fails_shows_in_the_status_and_is_tried_again(settings: Settings) -> None:
    obstacle = settings.database.root / "archives"
    obstacle.write_text("not a folder", encoding="utf-8")
    with supervised(settings) as supervisor, HybridStore(settings.database.root) as store:
        status = until(lambda: (now := supervisor.status())["last_error"] and now["log"] and now)
        assert status["state"] == "running"
        assert str(obstacle) in status["last_error"]
        assert any(str(obstacle) in line for line in status["log"])
        warnings = store.get_system_status()["warnings"]
        assert any(str(obstacle) in sentence for sentence in warnings)
        obstacle.unlink()
        until(lambda: supervisor.status()["rows_moved"] == 80)
        assert supervisor.status()["last_error"] is None
        assert supervisor.status()["restarts"] == 0


def test_of_two_bots_one_works_and_the_other_takes_over(settings: Settings) -> None:
    with supervised(settings) as first:
        pid = running(first.status)
        with supervised(settings) as second:
            status = until(lambda: (now := second.status())["state"] == "standby" and now)
            assert status["pid"] == pid
            first.close()
            assert is_gone(pid)
            other = running(second.status)
            assert other != pid
            assert second.status()["restarts"] == 0
    assert is_gone(other)


def test_a_child_whose_step_takes_too_long_is_cut_off(settings: Settings) -> None:
    lock = filelock.FileLock(settings.database.root / LOCK_NAME)
    with lock:  # the child waits for it, and asks nobody whether it should
        job = Job(settings=settings, owner_pid=os.getpid(), once=True, wait_s=600, grace_s=0.2)
        with start_child(job) as child:
            until((settings.database.root / "trading_bot.db-wal").exists)
            cut_life_line(child)
            assert child.wait(PATIENCE_S) == 1


def test_a_bot_that_is_killed_leaves_no_process_behind(root: Path) -> None:
    with started("-c", BOT, str(root)) as bot:
        assert bot.stdout is not None
        assert bot.stdout.readline() == "open\n"
        pid = running(lambda: maintenance_status(root))
        assert maintenance_status(root)["owner_pid"] == bot.pid
        bot.kill()
        until(lambda: is_gone(pid))
        assert not is_maintained(root)


def test_a_bot_that_ends_without_closing_leaves_no_process_behind(root: Path) -> None:
    with started("-W", "error", "-c", BOT, str(root)) as bot:
        assert bot.stdout is not None
        assert bot.stdout.readline() == "open\n"
        pid = running(lambda: maintenance_status(root))
        _, complaints = bot.communicate("end\n", timeout=PATIENCE_S)
        assert (bot.returncode, complaints) == (0, "")
        assert is_gone(pid), "the bot waited for its end"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on POSIX only")
def test_a_forked_process_neither_ends_the_child_nor_keeps_it_alive(root: Path) -> None:
    fork = (
        f"{BOT}import os\nif os.fork() == 0:\n    store.close()\n    print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with started("-c", fork, str(root)) as bot:
        assert bot.stdin is not None
        assert bot.stdout is not None
        assert bot.stdout.readline() == "open\n"
        pid = running(lambda: maintenance_status(root))
        bot.stdin.write("fork\n")  # only now the fork has the life line, too
        bot.stdin.flush()
        forked = int(bot.stdout.readline())
        try:
            assert not is_gone(pid)
            assert maintenance_status(root)["pid"] == pid
            bot.kill()
            until(lambda: is_gone(pid))
            assert not is_gone(forked)
        finally:
            os.kill(forked, KILL)
    assert not is_maintained(root)


def test_a_service_and_a_bot_take_turns(settings: Settings) -> None:
    root = settings.database.root
    command = ("-m", "hybridstore", "run", "--root", str(root), "--interval-s", "0.1")
    with started(*command) as service:
        pid = running(lambda: maintenance_status(root))
        assert (pid, maintenance_status(root)["owner"]) == (service.pid, "service")
        with supervised(settings) as supervisor:
            until(lambda: supervisor.status()["state"] == "standby")
            service.send_signal(signal.SIGTERM)
            assert service.wait(PATIENCE_S) == 0 or sys.platform == "win32"
            pid = running(supervisor.status)
            with started(*command, "--no-wait") as refused:
                _, said = refused.communicate(timeout=PATIENCE_S)
                assert refused.returncode == 1
                assert f"process {pid}, started by the bot with process {os.getpid()}" in said
            with started(*command) as waiting:
                assert waiting.stderr is not None
                assert "waiting for its end" in waiting.stderr.readline()
                supervisor.close()
                until(lambda: maintenance_status(root)["pid"] == waiting.pid)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process could obey")
def test_a_service_told_to_end_in_the_middle_of_a_move_ends_well(tmp_path: Path, rng: random.Random) -> None:
    with open_store(tmp_path) as database:
        insert(database, OWN, make_rows(OWN, rng, 20_000, days=4))
        before = all_rows(database, OWN)
    with started("-m", "hybridstore", "run", "--root", str(tmp_path)) as service:
        with open_store(tmp_path) as database:
            until(lambda: database.readers.rows("SELECT count(*) FROM archive_files")[0][0])
        service.send_signal(signal.SIGTERM)
        said, complaints = service.communicate(timeout=PATIENCE_S)
        assert (service.returncode, complaints) == (0, "")
        assert "rows into" in said
    with open_store(tmp_path) as database:
        assert all_rows(database, OWN) == before
    with HybridStore(tmp_path, clock=ManualClock(NOW_US)) as store:
        store.cleanup_old_data()
    with open_store(tmp_path) as database:
        assert all_rows(database, OWN) == before
        assert hot_rows(database, OWN) == {}


@pytest.mark.parametrize(
    ("variable", "arguments", "state"),
    [
        (None, {}, "starting"),
        ("off", {}, "off"),
        ("off", {"maintenance": "auto"}, "starting"),
        (None, {"maintenance": "off"}, "off"),
        (None, {"clock": SystemClock()}, "starting"),
        (None, {"clock": ManualClock(NOW_US)}, "off"),
        (None, {"clock": ManualClock(NOW_US), "maintenance": "auto"}, "starting"),
    ],
)
async def test_when_a_bot_has_its_store_maintained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    arguments: dict[str, Any],
    state: str,
) -> None:
    monkeypatch.delenv("HYBRIDSTORE_MAINTENANCE")
    if variable:
        monkeypatch.setenv("HYBRIDSTORE_MAINTENANCE", variable)
    async with TradingBotStorageSystem(tmp_path, **arguments) as storage:
        assert storage.get_system_status()["maintenance"]["state"] == state
        names = {thread.name for thread in threading.enumerate()}
        assert ("hybridstore-maintenance" in names) == (state == "starting")
    assert not (tmp_path / "maintenance.json").exists(), "nothing was started by so short a script"


def test_the_file_decides_where_nobody_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYBRIDSTORE_MAINTENANCE")
    (tmp_path / CONFIG_NAME).write_text('[maintenance]\nmode = "off"\n', encoding="utf-8")
    assert load_settings(tmp_path).maintenance.mode == "off"
    assert load_settings(tmp_path, {"HYBRIDSTORE_MAINTENANCE": "auto"}).maintenance.mode == "auto"
    with pytest.raises(ConfigError, match="sometimes"):
        load_settings(tmp_path, {"HYBRIDSTORE_MAINTENANCE": "sometimes"})
    with pytest.raises(ConfigError, match="sometimes"):
        HybridStore(tmp_path, maintenance="sometimes")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="interval_s"):
        MaintenanceConfig(interval_s=0)
