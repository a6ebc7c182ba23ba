"""Bots that die amid fills, funding, corrections and voids leave books that still prove themselves."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from hybridstore.clock import SystemClock
from hybridstore.store import HybridStore
from tests.crash.books_work import TASKS, account_of, action, trades_after
from tests.crash.observer import Wrong
from tests.crash.processes import REPOSITORY, environment

if TYPE_CHECKING:
    from pathlib import Path

_START_MAX_S = 60.0
_LIFE_MAX_S = 0.3
_MOVE_EVERY = 5
_TRADES = "SELECT trade_id, side, price, amount FROM trades WHERE account = $account"


def judge(store: HybridStore, run: int, told: dict[int, int]) -> dict[int, int]:
    """See that the books of a run hold and show what was acknowledged.

    Args:
        store: The store.
        run: Which bot.
        told: How many reports of each task were acknowledged.

    Returns:
        How many reports of each task the store shows: those, or one more.

    Raises:
        Wrong: A report is lost, there twice or half there, or the books do not prove themselves.
    """
    shown = {}
    for task in range(TASKS):
        account, count = account_of(run, task), told.get(task, 0)
        proof = store.books.prove(account)
        if not proof.holds:
            raise Wrong(f"{account} after {count} reports: {proof}")
        rows = store.sql(_TRADES, account=account).rows()
        trades = {row[0]: (row[1], Decimal(row[2]), Decimal(row[3])) for row in rows}
        if len(trades) != len(rows):
            raise Wrong(f"{account} has a trade twice")
        fits = [number for number in (count, count + 1) if trades_after(number) == trades]
        if not fits:
            raise Wrong(f"{account} after {count} reports shows {trades}, not {trades_after(count)}")
        shown[task] = fits[0]
    return shown


class _Campaign:
    """Kills bots of one store, over and over.

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
        self.store = processes.enter_context(HybridStore(folder / "root"))
        self.acknowledged = 0
        self.moved_rows = 0

    def run(self, kills: int) -> None:
        """Kill so many bots, each after a moment of its life; look at the books after each and move in between."""
        earlier: dict[int, dict[int, int]] = {}
        for run in range(kills):
            told = self._kill(run)
            judge(self.store, run, told)
            earlier[run] = told
            if run % _MOVE_EVERY == 0:
                self.moved_rows += self.store.retention.run().rows
                for one in self._rng.sample(sorted(earlier), min(3, len(earlier))):
                    judge(self.store, one, earlier[one])

    def _kill(self, run: int) -> dict[int, int]:
        said = self._folder / f"bot-{run}.out"
        command = [sys.executable, "-W", "error", "-m", "tests.crash.books_process"]
        arguments = [str(self._folder / "root"), str(run), str(self._base_us)]
        with said.open("wb") as out, said.with_suffix(".err").open("wb") as errors:
            bot = subprocess.Popen(
                [*command, *arguments], stdout=out, stderr=errors, env=environment(), cwd=REPOSITORY
            )
        self._processes.callback(bot.wait)
        self._processes.callback(bot.kill)
        deadline_s = time.monotonic() + _START_MAX_S
        while not said.stat().st_size and bot.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.002)
        time.sleep(self._rng.random() * _LIFE_MAX_S)
        assert bot.poll() is None, said.with_suffix(".err").read_text(encoding="utf-8", errors="replace")[
            -2_000:
        ]
        bot.kill()
        bot.wait()
        text = said.read_text(encoding="utf-8")
        told: dict[int, int] = {}
        for line in text[: text.rfind("\n") + 1].splitlines():
            task, number = map(int, line.split())
            assert number == told.get(task, 0) + 1
            told[task] = number
        self.acknowledged += sum(told.values())
        return told


def _kill(folder: Path, seed: int, kills: int) -> None:
    with ExitStack() as processes:
        campaign = _Campaign(folder, seed, processes)
        campaign.run(kills)
        corrections = campaign.store.database.readers.rows("SELECT count(*) FROM corrections")[0][0]
    print(
        f"{kills} kills of bots with {TASKS} books each: {campaign.acknowledged} reports acknowledged,"
        f" {corrections} corrections kept, {campaign.moved_rows} rows archived meanwhile; every proof holds"
    )
    assert campaign.moved_rows > 0
    assert campaign.acknowledged > kills


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM trades WHERE trade_id = 't2'",
        "UPDATE trades SET amount = '7' WHERE trade_id = 't2'",
        "UPDATE ledger SET amount = '7' WHERE entry_id LIKE '%|quote'",
        "UPDATE ledger_balances SET amount = '7' WHERE asset = 'USDT'",
        "UPDATE portfolio_hourly SET fees = '7' WHERE currency = 'USDT'",
        "UPDATE portfolio_daily SET trade_count = 77",
        "UPDATE positions SET entry_cost = '7' WHERE status = 'OPEN'",
        "UPDATE positions SET funding = '7' WHERE symbol = 'BTC/USDT:USDT'",
        "DELETE FROM position_events WHERE seq = 1",
    ],
)
def test_the_judge_sees_what_was_damaged(tmp_path: Path, damage: str) -> None:
    base_us = SystemClock().now_us()
    told = dict.fromkeys(range(TASKS), 20)
    with HybridStore(tmp_path) as store:
        for task, count in told.items():
            for number in range(1, count + 1):
                method, arguments, details = action(0, task, number, base_us)
                getattr(store, method)(*arguments, **details, durability="normal")
        assert judge(store, 0, told) == told
        store.database.writer.call(lambda session: session.execute(damage))
    with HybridStore(tmp_path) as store, pytest.raises(Wrong):
        judge(store, 0, told)


@pytest.mark.timeout(180)
def test_books_prove_themselves_after_deaths(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, 6)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_books_prove_themselves_after_many_deaths(tmp_path: Path, seed: int) -> None:
    _kill(tmp_path, seed, 110)
