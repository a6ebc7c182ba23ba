"""An acknowledged write survives the sudden death of the bot's process, whatever its durability."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from tests.crash.bot_process import TASKS
from tests.crash.processes import REPOSITORY, environment
from tests.crash.reopen import integrity
from tests.crash.stock import store_config

if TYPE_CHECKING:
    from pathlib import Path

_START_MAX_S = 60.0
_LIFE_MAX_S = 0.25


def _run_and_kill(root: Path, run: int, durability: str, rng: random.Random) -> list[str]:
    """Let a bot live for a moment after its first acknowledgement; return what it was told."""
    command = [sys.executable, "-m", "tests.crash.bot_process", str(root), str(run), durability]
    said = root.parent / f"said-{run}.txt"
    with (
        said.open("wb") as out,
        subprocess.Popen(command, stdout=out, env=environment(), cwd=REPOSITORY) as bot,
    ):
        deadline_s = time.monotonic() + _START_MAX_S
        while not said.stat().st_size and bot.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.002)
        time.sleep(rng.random() * _LIFE_MAX_S)
        assert bot.poll() is None, f"the bot ended by itself with code {bot.returncode}"
        bot.kill()
    text = said.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()


def _check(root: Path, acknowledged: set[str]) -> None:
    connection = apsw.Connection(str(store_config(root).path))
    history: list[tuple[Any, ...]] = connection.execute(
        "SELECT id, asset, balance, source FROM balance_history ORDER BY id"
    ).fetchall()
    sources = [row[3] for row in history]
    assert len(sources) == len(set(sources))
    assert acknowledged <= set(sources)
    assert [row[0] for row in history] == list(range(1, len(history) + 1))
    runs: dict[tuple[str, str], list[int]] = defaultdict(list)
    for source in sources:
        run, task, number = source.split()
        runs[run, task].append(int(number))
    for numbers in runs.values():
        assert numbers == list(range(1, len(numbers) + 1))
    latest: list[tuple[Any, ...]] = connection.execute("SELECT asset, balance FROM balances").fetchall()
    assert dict(latest) == {row[1]: row[2] for row in history}
    assert integrity(connection) == "ok"
    connection.close()


def _kill_bots(root: Path, seed: int, kills: int) -> None:
    rng = random.Random(seed)
    acknowledged: set[str] = set()
    for run in range(kills):
        lines = _run_and_kill(root, run, rng.choice(("full", "normal")), rng)
        assert lines
        acknowledged |= set(lines)
        _check(root, acknowledged)
    print(f"{kills} kills of {TASKS} concurrent tasks, {len(acknowledged)} updates acknowledged")


@pytest.mark.timeout(180)
def test_acknowledged_updates_survive_the_death_of_the_bot(tmp_path: Path, seed: int) -> None:
    _kill_bots(tmp_path / "root", seed, 12)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_acknowledged_updates_survive_many_deaths(tmp_path: Path, seed: int) -> None:
    _kill_bots(tmp_path / "root", seed, 300)
