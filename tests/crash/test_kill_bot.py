"""What a bot was told is recorded survives its sudden death, and who follows the store misses and repeats nothing."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hybridstore.clock import SystemClock
from hybridstore.store import HybridStore
from tests.crash.bot_judge import Judge
from tests.crash.bot_work import KEYED, STREAMS, action
from tests.crash.observer import Wrong
from tests.crash.processes import REPOSITORY, environment
from tests.crash.told import committed, line_of, read_journal, resume

if TYPE_CHECKING:
    from pathlib import Path

_START_MAX_S = 60.0
_LIFE_MAX_S = 0.35
_AGAIN = 40
"""Reports of earlier bots that a bot tells again."""
_MOVE_EVERY = 6
"""Kills between moves; half of them are made while the bot lives."""
_MOVE_MAX_S = 0.8
Child = subprocess.Popen[bytes]


class _Campaign:
    """Kills bots and the subscriber of one store, over and over.

    Args:
        folder: An empty folder to work in.
        seed: Decides who dies when.
        processes: Ends what is still alive in the end.
    """

    def __init__(self, folder: Path, seed: int, processes: ExitStack) -> None:
        self._folder = folder
        self._rng = random.Random(seed)
        self._processes = processes
        self._base_us = SystemClock().now_us() - 3_600 * 1_000_000
        self.journal = folder / "told.jsonl"
        self.store = processes.enter_context(HybridStore(folder / "root"))
        self._judge = Judge(folder / "root", self._base_us)
        self._again: list[tuple[int, str, int]] = []
        self._subscriber: Child | None = None
        self.acknowledged: Counter[str] = Counter()
        self.moved_rows = 0
        self.subscriber_deaths = 0

    def run(self, kills: int) -> None:
        """Kill so many bots, and the subscriber about half as often."""
        for run in range(kills):
            if self._subscriber is None:
                self._subscriber = self._start(
                    "subscriber", "ready", str(self._folder / "root"), str(self.journal)
                )
            told = self._kill_bot(run)
            if run % 4 == 1 and self._subscriber is not None:
                self._kill_subscriber()
            self._judge.judge(run, told)
            if run % _MOVE_EVERY == 0:
                self.moved_rows += self.store.retention.run().rows
                self._judge.judge(run, told)
            if run % 2 and self._subscriber is not None:
                self._kill_subscriber()

    def _kill_bot(self, run: int) -> Counter[str]:
        """Let a bot live for a moment after its first acknowledgement; return what it was told, by stream."""
        retold = self._rng.sample(self._again, min(_AGAIN, len(self._again)))
        again = "[" + ",".join(f'[{told[0]},"{told[1]}",{told[2]}]' for told in retold) + "]"
        durability = self._rng.choice(("full", "normal"))
        arguments = (str(self._folder / "root"), str(run), str(self._base_us), durability, again)
        bot = self._start("bot", "", *arguments, log=f"bot-{run}")
        time.sleep(self._rng.random() * _LIFE_MAX_S)
        if run % _MOVE_EVERY == _MOVE_EVERY // 2:
            # Old rows keep coming in, so it is stopped: mostly amid a move, which the next one finishes.
            until_s = time.monotonic() + self._rng.random() * _MOVE_MAX_S
            self.moved_rows += self.store.retention.run(stop=lambda: time.monotonic() > until_s).rows
        if run % 2 and self._rng.getrandbits(1):
            self._kill_subscriber()
            time.sleep(self._rng.random() * 0.05)
        assert bot.poll() is None, f"the bot ended by itself: {self._errors(f'bot-{run}')}"
        bot.kill()
        bot.wait()
        told: Counter[str] = Counter()
        for line in self._whole_lines(f"bot-{run}"):
            stream, *rest = line.split()
            self.acknowledged[stream] += 1
            if stream == "again":
                continue
            told[stream] += 1
            assert int(rest[0]) == told[stream]
            if stream in KEYED:
                self._again.append((run, stream, told[stream]))
        assert told.total()
        return told

    def _kill_subscriber(self) -> None:
        assert self._subscriber is not None
        assert self._subscriber.poll() is None, f"it ended by itself: {self._errors('subscriber')}"
        self._subscriber.kill()
        self._subscriber.wait()
        self._subscriber = None
        self.subscriber_deaths += 1

    def _start(self, module: str, word: str, *arguments: str, log: str | None = None) -> Child:
        """Start a process and wait until it has said a word."""
        name = log or module
        command = [sys.executable, "-W", "error", "-m", f"tests.crash.{module}_process", *arguments]
        said = self._folder / f"{name}.out"
        with said.open("wb") as out, (self._folder / f"{name}.err").open("wb") as errors:
            child = subprocess.Popen(command, stdout=out, stderr=errors, env=environment(), cwd=REPOSITORY)
        self._processes.callback(child.wait)
        self._processes.callback(child.kill)
        deadline_s = time.monotonic() + _START_MAX_S
        while not said.stat().st_size and child.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.002)
        assert child.poll() is None, f"{module} {word} did not start: {self._errors(name)}"
        return child

    def _whole_lines(self, name: str) -> list[str]:
        text = (self._folder / f"{name}.out").read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1].splitlines()

    def _errors(self, name: str) -> str:
        return (self._folder / f"{name}.err").read_text(encoding="utf-8", errors="replace")[-2_000:]

    def follow_to_the_end(self) -> list[tuple[str, str, int]]:
        """Let the subscriber die, go on in its place until nothing is left; return all that was told."""
        if self._subscriber is not None:
            self._kill_subscriber()
        token = resume(self.journal)
        with (
            self.journal.open("ab") as journal,
            self.store.subscribe(token=token, from_start=token is None, timeout_s=0) as events,
        ):
            for event in events:
                journal.write(line_of(event))
        lines = read_journal(self.journal)
        assert len({line.token for line in lines}) == len(lines), "two events have one token"
        return [(line.dataset, line.kind, line.row_id) for line in lines]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM trades WHERE trade_id = 't1' AND symbol = 'ETH/USDT'",
        "DELETE FROM ledger WHERE entry_id = 'ETH/USDT|t1|-|quote'",
        "DELETE FROM balance_history WHERE account LIKE '%/batch' AND source = '1-3'",
        "UPDATE balances SET balance = '0.5' WHERE account LIKE '%/dated'",
        "UPDATE orders SET filled = '0.5' WHERE order_id = 'o0'",
        "UPDATE ledger SET amount = '7' WHERE entry_id = 'd1'",
        "UPDATE positions SET amount = '77' WHERE status = 'OPEN'",
        "UPDATE marks SET mark = '0.5'",
        (
            "INSERT INTO balance_history (account, asset, balance, hold_trade, available, told, source, changed_at,"
            " recorded_at) SELECT account, asset, balance, hold_trade, available, told, source, changed_at, recorded_at"
            " FROM balance_history"
        ),
    ],
)
def test_the_judge_sees_what_is_lost_or_changed_or_twice(tmp_path: Path, damage: str) -> None:
    base_us = SystemClock().now_us()
    with HybridStore(tmp_path) as store:
        for stream in STREAMS:
            for number in (1, 2, 3):
                method, arguments, details = action(stream, 0, number, base_us)
                getattr(store, method)(*arguments, **details)
        Judge(tmp_path, base_us).judge(0, dict.fromkeys(STREAMS, 3))
        Judge(tmp_path, base_us).judge(0, dict.fromkeys(STREAMS, 2))
        store.database.writer.call(lambda session: session.execute(damage))
    with pytest.raises(Wrong):
        Judge(tmp_path, base_us).judge(0, dict.fromkeys(STREAMS, 3))


def _kill(folder: Path, seed: int, kills: int) -> None:
    with ExitStack() as processes:
        campaign = _Campaign(folder, seed, processes)
        campaign.run(kills)
        told_alive = len(read_journal(campaign.journal))
        told = campaign.follow_to_the_end()
        expected = committed(campaign.store)
        check = campaign.store.database.readers.rows("PRAGMA integrity_check")
    wrong = next(
        (place for place, pair in enumerate(zip(told, expected, strict=False)) if pair[0] != pair[1]), None
    )
    print(
        f"{kills} kills of bots with {len(STREAMS)} tasks, {campaign.subscriber_deaths} of their subscriber;"
        f" acknowledged: {dict(campaign.acknowledged)}; {campaign.moved_rows} rows archived meanwhile;"
        f" {len(told)} events, {told_alive} of them told by killed subscribers"
    )
    assert told == expected, (
        wrong,
        len(told),
        len(expected),
        told[wrong or 0 :][:3],
        expected[wrong or 0 :][:3],
    )
    assert check == [("ok",)]
    assert campaign.moved_rows > 0
    assert told_alive > 0
    assert all(campaign.acknowledged[stream] >= kills // 2 for stream in STREAMS)
    assert campaign.acknowledged["again"] > kills
    assert campaign.subscriber_deaths >= kills // 2


@pytest.mark.timeout(180)
def test_acknowledged_reports_survive_and_a_subscriber_is_told_all(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, 12)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_acknowledged_reports_survive_many_deaths(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, 120)
