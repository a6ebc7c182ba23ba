"""Many processes write one store at full speed: nobody is refused, nothing is lost, no commit is unnumbered."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hybridstore.store import HybridStore
from tests.crash.processes import REPOSITORY, environment
from tests.hot.books import commit_seq, rows

DATASETS = ("balance_history", "trades", "orders")


def _start(root: Path, number: int, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.crash.writer_process", str(root), str(number), str(seconds)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment(),
        cwd=REPOSITORY,
    )


def _write_together(root: Path, writers: int, seconds: float) -> None:
    with HybridStore(root) as store:
        begun_seq = commit_seq(store)
    children = [_start(root, number, seconds) for number in range(writers)]
    told: Counter[str] = Counter()
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            output, complaints = child.communicate(timeout=seconds + 60)
            assert child.returncode == 0, complaints
            told.update(json.loads(output))
    finally:
        for child in children:
            child.kill()
            child.wait()
    with HybridStore(root) as store:
        assert commit_seq(store) - begun_seq == told["commits"], (
            "every commit has a number and no number is left out"
        )
        for name in DATASETS:
            assert rows(store, f"SELECT count(*) FROM {name}") == [(told[name],)]
        assert rows(store, "PRAGMA integrity_check") == [("ok",)]
        later = "SELECT count(*) FROM balance_history a JOIN balance_history b ON b.id = a.id + 1"
        assert rows(store, f"{later} WHERE b.recorded_at < a.recorded_at") == [(0,)]
        balances = {
            (row[0], row[1]): row[2] for row in rows(store, "SELECT account, asset, source FROM balances")
        }
        last = "SELECT account, asset, source FROM balance_history ORDER BY id"
        assert balances == {(row[0], row[1]): row[2] for row in rows(store, last)}
    print(f"{writers} processes x {seconds:g} s: {dict(told)}")


@pytest.mark.timeout(120)
def test_writers_of_several_processes_lose_nothing(tmp_path: Path) -> None:
    _write_together(tmp_path / "root", 4, 2)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_eight_writers_for_a_minute(tmp_path: Path) -> None:
    _write_together(tmp_path / "root", 8, 60)
