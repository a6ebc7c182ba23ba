"""Expiry: what the window needs stays, what it does not need goes, and space is bounded."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.backup.chain import Link, Target, choose_chain, choose_epoch
from hybridstore.backup.expirer import EXPIRED_NAME, expire
from hybridstore.backup.expiry import plan_expiry
from hybridstore.backup.pieces import Epoch, Full
from hybridstore.backup.restore import restore
from hybridstore.backup.stock import take_stock
from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.errors import BackupCorrupt, HybridStoreError, NotRestorable
from hybridstore.store import HybridStore
from tests.backup.calendar import Calendar, state


def _full(epoch: int, seq: int, ts_us: int) -> Full:
    return Full(
        store="m",
        epoch=epoch,
        seq=seq,
        ts_us=ts_us,
        created_us=ts_us,
        page_bytes=4096,
        page_checksums=False,
        raw_bytes=1,
        raw_sha256="",
        size_bytes=1,
        sha256="",
        compressed=True,
        origin="live",
    )


def _link(epoch: int, number: int, first: tuple[int, int], last: tuple[int, int]) -> Link:
    return Link(epoch, number, str(number - 1), str(number), *first, *last, first[0] + 1, first[1] + 1, 2)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Epoch], list[Full], list[Link]]:
    """Chains of commits one second apart, with gaps between, some of which go back to an earlier commit."""
    epochs: list[Epoch] = []
    fulls: list[Full] = []
    links: list[Link] = []
    seq, now = 100, 1_000
    for number in range(1, draw(st.integers(1, 4)) + 1):
        before = seq if epochs else 0
        if before and draw(st.booleans()):
            seq = draw(st.integers(100, seq))  # put back to an earlier moment
        now += draw(st.integers(1, 50))
        epochs.append(Epoch(number, "m", now * SECOND_US, "why", before, before * SECOND_US))
        ts = max(now, seq + 1)
        fulls.append(_full(number, seq, ts * SECOND_US))
        for place in range(draw(st.integers(0, 8))):
            last = (seq + draw(st.integers(2, 9)), ts + draw(st.integers(9, 40)))
            links.append(_link(number, place, (seq, ts * SECOND_US), (last[0], last[1] * SECOND_US)))
            (seq, ts), now = last, last[1]
            if draw(st.booleans()):
                fulls.append(_full(number, seq, ts * SECOND_US))
    return epochs, fulls, links


def _way(epochs: list[Epoch], fulls: list[Full], links: list[Link], ts_us: int) -> object:
    target = Target(ts_us=ts_us)
    chain = choose_chain(choose_epoch(epochs, fulls, target), fulls, links, target)
    return chain.epoch, chain.full, chain.links


@given(histories(), st.integers(0, 600))
def test_every_moment_of_the_window_has_the_same_way_as_before(
    history: tuple[list[Epoch], list[Full], list[Link]], start: int
) -> None:
    epochs, fulls, links = history
    start_us = (1_000 + start) * SECOND_US
    gone = {(one.kind, one.epoch, one.number) for one in plan_expiry(epochs, fulls, links, start_us).expired}
    fulls_left = [one for one in fulls if ("full", one.epoch, one.seq) not in gone]
    links_left = [one for one in links if ("segment", one.epoch, one.number) not in gone]
    for ts_us in range(start_us, 2_000 * SECOND_US, 3 * SECOND_US):
        try:
            wanted = _way(epochs, fulls, links, ts_us)
        except HybridStoreError as error:
            with pytest.raises(type(error)):
                _way(epochs, fulls_left, links_left, ts_us)
        else:
            assert _way(epochs, fulls_left, links_left, ts_us) == wanted


@given(histories())
def test_of_what_is_over_one_copy_stays(history: tuple[list[Epoch], list[Full], list[Link]]) -> None:
    epochs, fulls, links = history
    plan = plan_expiry(epochs, fulls, links, 10_000 * SECOND_US)
    gone = {(one.epoch, one.number) for one in plan.expired if one.kind == "full"}
    assert len(gone) == len({(one.epoch, one.seq) for one in fulls}) - len(plan.relied_on)
    assert len(plan.relied_on) == 1


def live(tmp_path: Path, seed: int, *, days: int, commits: int, keep_days: int, moments: int) -> Calendar:
    """Live through some days, then restore moments of the window."""
    rng = random.Random(seed)
    calendar = Calendar(tmp_path / "root", rng, keep_days)
    with calendar.store:
        for day in range(days):
            calendar.day(commits, restarts=day % 11 == 7)
    start_us = calendar.clock.now_us() - keep_days * DAY_US
    inside = [one for one in calendar.known if one[1] >= start_us]
    assert len(inside) > moments // 2
    for number, known in enumerate(rng.choices(inside, k=moments)):
        to = tmp_path / f"restored-{number}"
        restore(calendar.repository, Target(ts_us=known[1]), to, calendar.store.config)
        with HybridStore(to, clock=calendar.clock) as restored:
            assert state(restored) == known
    old_us = start_us - 5 * DAY_US
    with pytest.raises(NotRestorable, match="before the first full backup"):
        restore(calendar.repository, Target(ts_us=old_us), tmp_path / "old", calendar.store.config)
    return calendar


def test_every_moment_of_the_window_is_restored_and_no_older_one(tmp_path: Path, seed: int) -> None:
    calendar = live(tmp_path, seed, days=16, commits=4, keep_days=5, moments=8)
    said = (calendar.repository.base / EXPIRED_NAME).read_bytes().splitlines()
    assert {msgspec.json.decode(line)["path"].split("/")[1] for line in said} >= {"full", "incremental"}


def test_nothing_is_deleted_that_rests_on_a_damaged_copy(tmp_path: Path, seed: int) -> None:
    calendar = Calendar(tmp_path / "root", random.Random(seed), 1000)
    with calendar.store:
        for _ in range(4):
            calendar.day(2, restarts=False)
    stock = take_stock(calendar.repository)
    start_us = calendar.clock.now_us() - DAY_US
    plan = plan_expiry(calendar.repository.epochs(), list(stock.fulls), stock.links, start_us)
    report = expire(calendar.repository, 1, calendar.clock.now_us(), dry_run=True)
    doomed = {calendar.repository.base / one.path for one in report.files}
    relied_on = stock.fulls[plan.relied_on[0]]
    content = bytearray(relied_on.read_bytes())
    content[len(content) // 2] ^= 1
    relied_on.write_bytes(content)
    with pytest.raises(BackupCorrupt, match="nothing is deleted"):
        expire(calendar.repository, 1, calendar.clock.now_us())
    assert all(path.exists() for path in doomed)


@pytest.mark.soak
def test_ninety_days_with_a_window_of_thirty(tmp_path: Path, seed: int) -> None:
    calendar = live(tmp_path, seed, days=90, commits=12, keep_days=30, moments=60)
    counts, stock = calendar.counts, take_stock(calendar.repository)
    print(
        f"\nfulls, segments, copies that do not count after day 35, 60, 90: {counts[34]}, {counts[59]}, {counts[89]}"
    )
    start_us = calendar.clock.now_us() - 32 * DAY_US  # the copy before the window, and what follows it
    assert all(full.created_us >= start_us for full in stock.fulls)
    assert all(segment.created_us >= start_us for _, segment in stock.segments.values())
    for early, late in zip(counts[34], counts[89], strict=True):
        assert late < 1.5 * early + 5
