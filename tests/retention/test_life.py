"""Eight years: late rows, corrections, holds, overflow, deletion, other columns, and exact totals at every moment."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import pytest

from hybridstore.retention.verification import examine
from tests.retention.life import BEGIN, Life, first_kept, misplaced


def _live(life: Life) -> None:
    end = date(BEGIN.year + 8, BEGIN.month, BEGIN.day)
    moments = {
        BEGIN + timedelta(days=900): lambda: life.hold(
            "first", BEGIN + timedelta(days=40), BEGIN + timedelta(days=75)
        ),
        BEGIN + timedelta(days=1_500): lambda: life.hold("second", *_HELD),
        BEGIN + timedelta(days=2_850): life.release_first,
    }
    try:
        while life.today < end:
            life.step()
            for moment in [moment for moment in moments if moment <= life.today]:
                moments.pop(moment)()
        store = life.store
        assert misplaced(store, life.today) == []
        assert store.retention.plan() == []
        assert store.retention.plan_merges() == []
        assert store.retention.plan_deletions() == []
        gone = store.retention.certificates()
        assert sum(one.rows for one in gone) >= life.done["deleted"] > 0, "superseded versions go, too"
        for name, at in _TIMES:
            days = [row[0] for row in store.sql(f"SELECT DISTINCT {at}::DATE AS day FROM {name}").rows()]
            held = [day for day in days if day < first_kept(life.today)]
            assert held, "the second hold holds"
            assert all(_HELD[0] <= day <= _HELD[1] for day in held)
        assert examine(store.database, "scrub").problems == ()
        assert not list((store.root / "archives").rglob("*.tmp"))
        assert all(life.done[name] > 5 for name in ("late", "corrected", "reopened"))
        assert life.done["extended"] == 1
        assert life.done["renamed"] > 100
    finally:
        life.store.close()


_HELD = (BEGIN + timedelta(days=130), BEGIN + timedelta(days=140))
_TIMES = (("market_trades", "traded_at"), ("notes", "noted_at"))


@pytest.mark.timeout(300)
def test_eight_years_of_a_small_store(tmp_path: Path, rng: random.Random) -> None:
    elsewhere = (tmp_path / "other disk").as_uri()
    life = Life(
        tmp_path / "store",
        rng,
        ticks_a_day=12,
        step_days=31,
        checks_a_step=2,
        quiet_days=6,
        archive_url=elsewhere,
    )
    _live(life)
    assert life.checks > 200
    assert life.done["evicted"] > 10**5


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_eight_years_of_twenty_million_rows(tmp_path: Path, rng: random.Random) -> None:
    life = Life(tmp_path / "store", rng, ticks_a_day=7_000, step_days=10, checks_a_step=4)
    _live(life)
    assert life.checks >= 1_000
    print(f"{life.checks} moments, {dict(life.done)}, {sum(one.rows for one in life.reports):,} rows moved")
