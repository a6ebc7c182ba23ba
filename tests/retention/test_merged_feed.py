"""A subscriber that was away while its rows became months and years is told what it would have been told before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.feed_event import Event
from hybridstore.store import HybridStore
from tests.hot.books import START_US
from tests.hot.feed_books import Told, Worker, as_told, drain, open_small_feed


@pytest.fixture
def worker(tmp_path: Path, rng: Random) -> Iterator[Worker]:
    """Return random work on a store."""
    clock = ManualClock(START_US)
    with HybridStore(tmp_path, clock=clock, maintenance="off") as store:
        yield Worker(store, clock, rng)


def told_by(worker: Worker, events: list[Event]) -> list[Told]:
    """Leave out candles: of those that are given again before they are read, only the last is told."""
    told = [as_told(worker.store, event) for event in events]
    return [event for event in told if event.dataset != "candles"]


@pytest.mark.parametrize("attempt", range(2))
def test_every_token_goes_on_behind_merges(worker: Worker, attempt: int) -> None:
    events: list[Event] = []
    tokens: list[tuple[int, str]] = []
    feed = open_small_feed(worker.store, None)
    for _ in range(30):
        worker.work()
        if worker.rng.random() < 0.2:
            worker.move(None)
        events += drain(feed, lambda: 5)
        tokens.append((len(events), feed.token))
    merged = 0
    for days in (60, 800):
        merged += worker.store.retention.run(worker.clock.now_us() + days * DAY_US).merged
        for count, token in tokens:
            behind = drain(open_small_feed(worker.store, token), lambda: 7)
            assert told_by(worker, behind) == told_by(worker, events[count:])
    assert merged > 0
    assert told_by(worker, events) == [event for event in worker.told if event.dataset != "candles"]
