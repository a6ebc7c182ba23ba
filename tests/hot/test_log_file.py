"""Files of lines that several processes append to: no line torn, lost or twice, whoever rotates or dies."""

from __future__ import annotations

import json
import random
import time
from functools import partial
from pathlib import Path

import filelock
import pytest

from hybridstore.hot import log_file as log_file_module
from hybridstore.hot.log_file import LOCK_NAME, LogFile, LogFolder
from hybridstore.store import HybridStore
from tests.hot.books import commit_seq
from tests.hot.children import finish, hear, say, start
from tests.hot.logs import lines, of_event, wait_until

WRITER = """
import sys
from pathlib import Path
from hybridstore.hot.log_file import LogFile, LogFolder

path, name, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
folder, file = LogFolder(path), LogFile(path / "x.log", 4000, 1000)
print("ready", flush=True)
sys.stdin.readline()
for number in range(rounds):
    file.add("".join(f'{{"name":"{name}","number":{number},"part":{part},"pad":"{"p" * 40}"}}\\n' for part in range(5)))
    with folder.locked() as locked:
        file.write(locked=locked)
print(file.is_written)
"""

BOT = """
import sys
from hybridstore import DatabaseConfig, HybridStore

config = DatabaseConfig(
    database_path=sys.argv[1], durability="normal", log_size_mb=0.01, log_files=1000, busy_timeout_ms=60_000
)
with HybridStore(config=config) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2])):
        store.record_balance_update(sys.argv[3], number)
    while len(sys.argv) > 4:  # until it is killed
        number += 1
        store.record_balance_update(sys.argv[3], number)
"""


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    """Return a folder of logs that does not exist yet."""
    return LogFolder(tmp_path / "logs")


def set_aside(root: Path) -> int:
    """Count the logs of transactions that were full."""
    return len(list((root / "logs").glob("transactions.log.*")))


def has_written(root: Path, full: int) -> bool:
    return set_aside(root) >= full


def write(folder: LogFolder, file: LogFile, text: str) -> bool:
    file.add(text)
    with folder.locked() as locked:
        file.write(locked=locked)
    return locked


def contents(folder: LogFolder) -> dict[str, str]:
    return {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(folder.path.iterdir())
        if path.name != LOCK_NAME and path.is_file()
    }


def test_four_processes_write_and_rotate(tmp_path: Path) -> None:
    rounds = 100
    children = [start(WRITER, tmp_path / "logs", name, rounds) for name in "abcd"]
    for child in children:
        hear(child, "ready")
    for child in children:
        say(child, "go")
    assert [finish(child) for child in children] == ["True\n"] * 4
    files = sorted((tmp_path / "logs").glob("x.log*"))
    assert len(files) > 20, "they did rotate"
    assert all(path.stat().st_size <= 4000 for path in files)
    found = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    told = sorted((line["name"], line["number"], line["part"]) for line in found)
    assert told == [(name, number, part) for name in "abcd" for number in range(rounds) for part in range(5)]


def test_four_bots_write_and_rotate(root: Path) -> None:
    with HybridStore(root) as store:
        children = [start(BOT, store.database.path, 300, name) for name in "ABCD"]
        for child in children:
            hear(child, "ready")
        for child in children:
            say(child, "go")
        for child in children:
            finish(child)
        last_seq = commit_seq(store)
    found = lines(root)
    seqs = sorted(line["seq"] for line in of_event(found, "commit"))
    assert seqs == list(range(seqs[0], last_seq + 1)), "every commit of every process once"
    assert len({(line["pid"], line["seq"]) for line in of_event(found, "commit")}) == len(seqs)
    assert len({line["pid"] for line in found}) == 5
    assert len(list((root / "logs").iterdir())) > 5, "they did rotate"


def test_a_killed_bot_leaves_whole_lines(root: Path, rng: random.Random) -> None:
    with HybridStore(root) as store:
        path = store.database.path
    for _ in range(3):
        before = set_aside(root)
        child = start(BOT, path, 1, "BTC", "for ever")
        try:
            hear(child, "ready")
            say(child, "go")
            wait_until(partial(has_written, root, before + 4))  # each holds some 50 commits
            time.sleep(rng.random() / 2)
        finally:
            child.kill()
            child.communicate()
    with HybridStore(root) as store:
        last_seq = commit_seq(store)
    seqs = [line["seq"] for line in of_event(lines(root), "commit")]
    assert len(set(seqs)) == len(seqs)
    assert max(seqs) <= last_seq
    assert len(seqs) > 500


def test_a_torn_line_is_cut_off(folder: LogFolder) -> None:
    file = LogFile(folder.path / "x.log", 10_000, 2)
    write(folder, file, "one\n")
    for torn, left in (("tw", "one\n"), ("x" * 70_000, "one\n")):
        with file.path.open("a", encoding="utf-8") as other:
            other.write(torn)
        if len(torn) > 10_000:
            file = LogFile(file.path, 1_000_000, 2)
        write(folder, file, "three\n")
        text = file.path.read_text(encoding="utf-8")
        assert text.startswith(left)
        assert text.endswith("three\n")
        file.path.write_text(left, encoding="utf-8", newline="")
    file.path.write_text("only half a li", encoding="utf-8")
    write(folder, file, "whole\n")
    assert contents(folder) == {"x.log": "whole\n"}


def test_so_many_files_and_no_more(folder: LogFolder) -> None:
    file = LogFile(folder.path / "x.log", 10, 4)
    for number in range(9):
        write(folder, file, f"line {number}\n")
    assert contents(folder) == {
        "x.log": "line 8\n",
        "x.log.1": "line 7\n",
        "x.log.2": "line 6\n",
        "x.log.3": "line 5\n",
    }
    fewer = LogFile(folder.path / "x.log", 10, 2)
    write(folder, fewer, "line 9\n")
    assert contents(folder) == {"x.log": "line 9\n", "x.log.1": "line 8\n"}


def test_a_line_longer_than_a_file_has_one_to_itself(folder: LogFolder) -> None:
    file = LogFile(folder.path / "x.log", 10, 3)
    for text in ("a\n", "b" * 50 + "\n", "c\n"):
        write(folder, file, text)
    assert contents(folder) == {"x.log": "c\n", "x.log.1": "b" * 50 + "\n", "x.log.2": "a\n"}


def test_a_rename_that_is_refused_is_tried_again(folder: LogFolder) -> None:
    """As on Windows, while somebody reads a file."""
    file = LogFile(folder.path / "x.log", 10, 3)
    write(folder, file, "line 0\n")
    (folder.path / "x.log.1" / "busy").mkdir(parents=True)
    (folder.path / "x.log.2" / "busy").mkdir(parents=True)
    write(folder, file, "line 1\n")
    assert contents(folder) == {"x.log": "line 0\nline 1\n"}
    for name in ("x.log.1", "x.log.2"):
        (folder.path / name / "busy").rmdir()
        (folder.path / name).rmdir()
    write(folder, file, "line 2\n")
    assert contents(folder) == {"x.log": "line 2\n", "x.log.1": "line 0\nline 1\n"}


def test_a_lock_that_is_kept_holds_up_nothing(folder: LogFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file_module, "_WAIT_S", 0.05)
    file = LogFile(folder.path / "x.log", 10, 3)
    assert write(folder, file, "line 0\n")
    with filelock.FileLock(folder.path / LOCK_NAME):
        assert not write(folder, file, "line 1\n")
        assert not write(folder, file, "line 2\n")
        assert contents(folder) == {"x.log": "line 0\nline 1\nline 2\n"}, "written, not rotated"
    assert write(folder, file, "line 3\n")
    assert contents(folder) == {"x.log": "line 3\n", "x.log.1": "line 0\nline 1\nline 2\n"}


def test_what_could_not_be_written_is_kept(folder: LogFolder) -> None:
    file = LogFile(folder.path / "x.log", 1_000_000, 3)
    file.path.mkdir(parents=True)
    with pytest.raises(OSError, match=r"x\.log"):
        write(folder, file, "line 0\n")
    file.path.rmdir()
    write(folder, file, "line 1\n")
    assert contents(folder) == {"x.log": "line 0\nline 1\n"}
