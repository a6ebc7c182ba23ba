"""Leases: files of a moment stay while somebody reads them, and no longer than its process lives."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.archive.leases import LEASES, live_leases, take_lease
from hybridstore.clock import DAY_US
from hybridstore.errors import StorageFailure

NOW_US = 20_600 * DAY_US + DAY_US // 2
_HOLDER = """
import sys, time
from pathlib import Path
from hybridstore.archive.leases import take_lease
lease = take_lease(Path(sys.argv[1]), 7, "a notebook", days_max=1)
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path, rng: random.Random) -> Iterator[HybridStore]:
    """A store whose three days of trades were archived, and are due to become a month."""
    clock = ManualClock(NOW_US)
    with HybridStore(tmp_path / "store", clock=clock) as store:
        rows = [
            (
                "BTC/USDT",
                number,
                str(rng.randrange(1, 10**6)),
                "1",
                "buy",
                NOW_US - number % 3 * DAY_US - number,
            )
            for number in range(300)
        ]
        store.record_market_trades(rows)
        clock.set(NOW_US + 10 * DAY_US)
        store.retention.run()
        yield store


def later(store: HybridStore, days: int) -> Any:
    clock: Any = store.database.clock
    clock.advance(days * DAY_US)
    return store.retention.run()


def test_a_frame_can_be_collected_after_its_files_were_replaced(store: HybridStore) -> None:
    frame = store.scan("market_trades")
    expected = store.sql("SELECT sum(price) FROM market_trades").rows()[0][0]
    assert later(store, 60).merged == 3
    assert later(store, 2).collected == 0, "somebody may still collect"
    (lease,) = store.retention.status()["leases"]
    assert (lease["what"], lease["pid"]) == ("a LazyFrame", os.getpid())
    assert frame.collect()["price"].sum() == expected
    store.analytics.close()
    assert live_leases(store.root) == []
    assert later(store, 1).collected == 3
    assert store.retention.verify() == 1


def test_a_later_frame_can_be_collected_after_files_that_came_later_were_replaced(
    store: HybridStore,
) -> None:
    store.scan("market_trades")
    assert later(store, 60).merged == 3
    frame = store.scan("market_trades")
    store.scan("market_trades")
    assert len(live_leases(store.root)) == 2, (
        "another one where there are files that the first does not cover"
    )
    erased = store.retention.erase("side", "sell", reason="request 14", ordered_by="officer", dry_run=True)
    assert erased.erased == ()
    store.retention.erase("side", "buy", reason="request 15", ordered_by="officer")
    assert later(store, 2).collected == 0, "somebody may still collect"
    assert frame.collect().height == 300
    store.analytics.close()
    assert later(store, 1).collected == 4


def test_files_that_came_later_are_not_kept(store: HybridStore) -> None:
    assert later(store, 60).merged == 3
    with store.analytics.lease("a copy"):
        assert later(store, 2).collected == 3, "they had been replaced before"
        collected = [later(store, 30).collected for _ in range(24)]
        assert list(store.retention.status()["tiers"]["market_trades"]) == ["frozen"]
        assert collected == [0] * 24, "the month counted at its moment"
    assert later(store, 1).collected == 1


def test_a_frame_counts_for_a_week_and_a_lease_for_longer(
    store: HybridStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = store.scan("market_trades")
    held = store.analytics.lease("a copy")
    real = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: real + 8 * 86_400 * 10**9)
    assert [lease.what for lease in live_leases(store.root)] == ["a copy"]
    held.release()
    held.release()
    assert live_leases(store.root) == []
    assert frame.collect().height == 300


def test_a_lease_is_taken_once_a_day(store: HybridStore) -> None:
    for _ in range(5):
        store.scan("market_trades").collect()
    assert len(live_leases(store.root)) == 1
    store.get_balance_history("BTC")
    assert len(live_leases(store.root)) == 1


def test_a_lease_ends_with_its_process(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        (lease,) = live_leases(tmp_path)
        assert (lease.seq, lease.what, lease.pid) == (7, "a notebook", holder.pid)
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    assert live_leases(tmp_path) == []
    assert list((tmp_path / LEASES).iterdir()) == []


def test_what_a_crash_left_behind_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / LEASES
    folder.mkdir()
    (folder / "old.lock").touch()
    (folder / "young.lock").touch()
    (folder / "said.json").write_text(json.dumps({"half": "a lease"}))
    day_ago_s = time.time() - 90_000
    os.utime(folder / "old.lock", (day_ago_s, day_ago_s))
    assert live_leases(tmp_path) == []
    assert [path.name for path in folder.iterdir()] == ["young.lock"]


def test_it_covers_what_counted_at_its_moment(tmp_path: Path) -> None:
    with take_lease(tmp_path, 10, "x", days_max=1) as lease:
        covers = lease.facts.covers
        assert covers(1, 11)
        assert covers(10, 11)
        assert not covers(1, 10), "it was replaced by that commit"
        assert not covers(11, 12), "it came later"
    assert live_leases(tmp_path) == []


def test_a_lease_that_cannot_be_written_says_where(store: HybridStore) -> None:
    (store.root / LEASES).write_text("in the way")
    with pytest.raises(StorageFailure, match=LEASES):
        store.analytics.lease("x")
