"""A store that does not hold what it had held says so, and one that holds it says nothing."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from random import Random

import pytest

from hybridstore.config import DATABASE_NAME
from hybridstore.hot.session import SEQ_START
from hybridstore.hot.watermark import LOSS_NAME, WATERMARK_NAME, Position, Watermark
from tests.hot.bare import of_guard, open_database, told, touch
from tests.hot.books import START_US, commit_seq
from tests.hot.children import finish, hear, start

MARK, OTHER = "a" * 32, "b" * 32
WAL_NAME = f"{DATABASE_NAME}-wal"
FRAME_BYTES = 24 + 4096
PATIENCE_S = 20.0

WRITE_UNTIL_KILLED = """
import os, sys
from tests.hot.bare import open_database, touch

database = open_database(sys.argv[1])
for _ in range(50):
    touch(database)
print(database.readers.rows("SELECT seq FROM commit_clock")[0][0], flush=True)
if sys.argv[2] == "at once":
    os._exit(9)
sys.stdin.readline()
for _ in range(50):
    touch(database)  # more than the watermark knows of
os._exit(9)
"""


def wait_for(root: Path, seq: int) -> None:
    """Wait until the watermark knows of a commit."""
    deadline = time.monotonic() + PATIENCE_S
    while (position := Watermark(root).read()) is None or position.seq < seq:
        assert time.monotonic() < deadline, f"{position} does not reach {seq}"
        time.sleep(0.02)


def killed(root: Path, when: str) -> int:
    """Let a process write and die without a close; return a commit that the watermark knows in the end."""
    child = start(WRITE_UNTIL_KILLED, root, when)
    assert child.stdout is not None
    seq = int(child.stdout.readline())
    if when != "at once":
        wait_for(root, seq)
        assert child.stdin is not None
        child.stdin.write("die\n")
        child.stdin.flush()
    child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 9
    return seq


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_killed_process_is_no_loss(root: Path, when: str) -> None:
    for _ in range(2):
        seq = killed(root, when)
        (report,) = told(root)
        assert (report.state, report.remedy) == ("ok", None)
        watermark = Watermark(root).read()
        assert watermark is not None
        assert watermark.seq >= seq
    assert not (root / LOSS_NAME).exists()


def test_the_watermark_of_a_closed_store_is_its_last_commit(root: Path) -> None:
    database = open_database(root)
    seq = [touch(database) for _ in range(5)][-1]
    ((mark, ts_us),) = database.readers.rows("SELECT mark, ts FROM commit_clock")
    database.shutdown()
    assert Watermark(root).read() == Position(mark.hex(), seq, ts_us)


def test_a_flipped_bit_in_the_log_is_told_until_it_is_accepted(
    tmp_path: Path, rng: Random, caplog: pytest.LogCaptureFixture
) -> None:
    live = tmp_path / "live"
    seq = killed(live, "later")
    root = tmp_path / "root"
    root.mkdir()
    for name in (DATABASE_NAME, WAL_NAME, WATERMARK_NAME):
        shutil.copy(live / name, root / name)
    log = bytearray((root / WAL_NAME).read_bytes())
    frames = (len(log) - 32) // FRAME_BYTES
    place = 32 + rng.randrange(frames // 3) * FRAME_BYTES + 24 + rng.randrange(4096)
    log[place] ^= 1 << rng.randrange(8)
    (root / WAL_NAME).write_bytes(log)

    with caplog.at_level(logging.WARNING, logger="hybridstore"):
        database = open_database(root)
    found = commit_seq(database)
    assert found < seq
    (report,) = of_guard(database, "watermark")
    assert report.state == "alarm"
    assert f"commit {found} of 20" in report.message
    assert f"{watermark_seq(live)} of 20" in report.message
    assert report.remedy is not None
    assert "restore" in report.remedy
    assert report.sentence() in database.statistics()["warnings"]
    assert report.sentence() in caplog.messages
    while touch(database) <= seq:  # the store outgrows what it had been, and still tells
        pass
    database.shutdown()
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="hybridstore"):
        assert told(root) == [report]
    assert caplog.messages == [report.sentence()]

    database = open_database(root)
    (loss,) = database.accept_loss()
    assert (loss.expected_seq, loss.found_seq) == (watermark_seq(live), found)
    assert [one.state for one in of_guard(database, "watermark")] == ["ok"]
    assert database.accept_loss() == ()
    database.shutdown()
    assert [one.state for one in told(root)] == ["ok"]


def watermark_seq(root: Path) -> int:
    position = Watermark(root).read()
    assert position is not None
    return position.seq


def test_an_old_copy_that_is_put_back_is_told(root: Path, tmp_path: Path) -> None:
    database = open_database(root)
    old = touch(database)
    database.shutdown()
    shutil.copy(root / DATABASE_NAME, tmp_path / "old.db")
    database = open_database(root)
    new = [touch(database) for _ in range(3)][-1]
    database.shutdown()
    shutil.copy(tmp_path / "old.db", root / DATABASE_NAME)
    (report,) = told(root, durability="normal")
    assert report.state == "alarm"
    assert f"commit {new} of" in report.message
    assert f"commit {old} of" in report.message
    assert "3 fewer" in report.message
    assert "durability 'normal'" in report.message, "a power cut may have done it"

    shutil.copy(tmp_path / "old.db", root / DATABASE_NAME)
    assert told(root) == [report], "nothing was written since, so this is the same loss"
    database = open_database(root)
    newer = touch(database)
    database.shutdown()
    shutil.copy(tmp_path / "old.db", root / DATABASE_NAME)
    first, second = told(root)
    assert first == report
    assert f"commit {newer} of" in second.message


def test_the_database_of_another_store_is_told(root: Path, tmp_path: Path) -> None:
    other = open_database(tmp_path / "other")
    touch(other)
    other.shutdown()
    database = open_database(root)
    touch(database)
    database.shutdown()
    shutil.copy(tmp_path / "other" / DATABASE_NAME, root / DATABASE_NAME)
    for _ in range(2):
        (report,) = told(root)
        assert report.state == "warning"
        assert "another store's database" in report.message
        assert report.remedy is not None
    (root / LOSS_NAME).unlink()
    assert [one.state for one in told(root)] == ["ok"], "removing the file accepts it, too"


def test_a_root_without_a_watermark_gets_one(root: Path) -> None:
    database = open_database(root)
    seq = touch(database)
    database.shutdown()
    (root / WATERMARK_NAME).unlink()
    assert [one.state for one in told(root)] == ["ok"]
    assert watermark_seq(root) == seq


def test_processes_that_open_a_store_together_tell_one_loss(root: Path) -> None:
    database = open_database(root)
    touch(database)
    database.shutdown()
    Watermark(root).write(Position(mark_of(root), SEQ_START + 1_000, START_US))
    script = (
        "import sys\nfrom tests.hot.bare import of_guard, open_database\n"
        "print('ready', flush=True)\nsys.stdin.readline()\n"
        "database = open_database(sys.argv[1])\nprint('open', flush=True)\nsys.stdin.readline()\n"
        "print(len([one for one in of_guard(database, 'watermark') if one.state == 'alarm']))\n"
        "database.shutdown()\n"
    )
    children = [start(script, root) for _ in range(3)]
    for child in children:
        hear(child, "ready")
    for word in ("open", ""):
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        if word:
            for child in children:
                hear(child, word)
    assert [finish(child).strip() for child in children] == ["1"] * 3
    assert len(json.loads((root / LOSS_NAME).read_bytes())) == 1


def mark_of(root: Path) -> str:
    position = Watermark(root).read()
    assert position is not None
    return position.mark


def test_a_watermark_never_goes_back(tmp_path: Path, rng: Random) -> None:
    processes = [Watermark(tmp_path) for _ in range(3)]
    highest = 0
    for _ in range(200):
        seq = SEQ_START + rng.randrange(1_000)
        rng.choice(processes).write(Position(MARK, seq, START_US + seq))
        highest = max(highest, seq)
        assert Watermark(tmp_path).read() == Position(MARK, highest, START_US + highest)
    processes[0].write(Position(OTHER, SEQ_START + 5_000, START_US))
    assert watermark_seq(tmp_path) == highest, "another store's commits say nothing"


def test_one_slot_is_always_whole(tmp_path: Path, rng: Random) -> None:
    watermark = Watermark(tmp_path)
    path = tmp_path / WATERMARK_NAME
    for seq in range(1, 60):
        watermark.write(Position(MARK, seq, seq))
        whole = path.read_bytes()
        assert len(whole) == 512
        torn = bytearray(whole)
        start = 256 * rng.randrange(2)
        torn[start + rng.randrange(36)] ^= 1 << rng.randrange(7)
        path.write_bytes(torn)
        found = Watermark(tmp_path).read()
        expected = {seq, seq - 1} if seq > 1 else {1, None}
        assert (found.seq if found else None) in expected
        path.write_bytes(whole)
    path.write_bytes(os.urandom(512))
    assert Watermark(tmp_path).read() is None
    watermark.write(Position(MARK, 60, 60))
    assert watermark_seq(tmp_path) == 60


def test_a_watermark_that_cannot_be_written_is_told_and_stops_nobody(root: Path) -> None:
    (root / WATERMARK_NAME).mkdir(parents=True)
    (root / WATERMARK_NAME / "in the way").touch()
    database = open_database(root)
    touch(database)
    (report,) = of_guard(database, "watermark")
    assert report.state == "warning"
    assert "cannot be" in report.message
    shutil.rmtree(root / WATERMARK_NAME)
    wait_for(root, touch(database))
    assert [one.state for one in of_guard(database, "watermark")] == ["ok"]
    database.shutdown()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_the_watermark_is_private(root: Path) -> None:
    old = os.umask(0)
    try:
        open_database(root).shutdown()
    finally:
        os.umask(old)
    assert (root / WATERMARK_NAME).stat().st_mode & 0o777 == 0o600
