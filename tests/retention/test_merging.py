"""Which files become one: a pure plan that ends, rewrites little, and puts every row in the tier its period is for."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.archive.layout import partition_of
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.retention.merging import MERGED_BYTES_MAX, PlannedMerge, plan_merges

POLICIES = {"ledger": RetentionPolicy(name="ledger", table_name="ledger")}


def day(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


NOW = day("2026-06-15")


def archived(
    start_us: int, rows: int, tier: str = "warm", name: str = "", end_us: int | None = None
) -> ArchiveFile:
    """Return a file of the manifest that holds rows of one day, or of a period."""
    end_us = start_us + DAY_US if end_us is None else end_us
    return ArchiveFile(
        file_id=name or f"{start_us}-{tier}", dataset="ledger", tier=tier, path="", start_us=start_us, end_us=end_us,
        id_min=1, id_max=rows, visible_through=None, time_min_us=start_us, time_max_us=end_us - 1, symbol_min=None,
        symbol_max=None, row_count=rows, size_bytes=1, sha256="", sums="{}", schema_version=1,
        column_count=1, created_seq=1,
    )  # fmt: skip


def merged(merge: PlannedMerge, name: str) -> ArchiveFile:
    first, last = merge.files[0], merge.files[-1]
    file = archived(merge.start_us, merge.row_count, merge.tier, name, merge.end_us)
    facts = {"time_min_us": first.time_min_us, "time_max_us": last.time_max_us}
    return ArchiveFile(**{**file.to_dict(), **facts})


@pytest.mark.parametrize(
    ("tier", "moment", "period"),
    [
        ("warm", "2024-02-29T13:00:00", ("2024-02-29", "2024-03-01")),
        ("hot", "2024-02-29", ("2024-02-29", "2024-03-01")),
        ("cold", "2024-02-29T23:59:59", ("2024-02-01", "2024-03-01")),
        ("cold", "2024-12-31", ("2024-12-01", "2025-01-01")),
        ("frozen", "2024-12-31", ("2024-01-01", "2025-01-01")),
        ("frozen", "1969-07-20", ("1969-01-01", "1970-01-01")),
    ],
)
def test_partitions_are_days_months_and_years(tier: str, moment: str, period: tuple[str, str]) -> None:
    assert partition_of(tier, day(moment)) == (day(period[0]), day(period[1]))


def test_a_month_becomes_cold_when_all_of_it_is_old_enough() -> None:
    april = [archived(day("2026-04-01") + n * DAY_US, 10) for n in range(30)]
    assert plan_merges(april, POLICIES, day("2026-05-30")) == [], "its last day is 30 days old"
    (merge,) = plan_merges(april, POLICIES, day("2026-05-31"))
    assert (merge.tier, merge.start_us, merge.end_us) == ("cold", day("2026-04-01"), day("2026-05-01"))
    assert merge.files == tuple(april)
    assert merge.reason == "2026-04-01 to 2026-04-30 is old enough for the cold tier: 30 files in one"


def test_a_year_becomes_frozen_when_all_of_it_is_old_enough() -> None:
    months = [
        archived(day(f"2024-{n:02}-01"), 10, "cold", end_us=partition_of("cold", day(f"2024-{n:02}-01"))[1])
        for n in range(1, 13)
    ]
    assert plan_merges(months, POLICIES, day("2025-12-31")) == []
    (merge,) = plan_merges(months, POLICIES, day("2026-01-01"))
    assert (merge.tier, merge.start_us, merge.end_us, len(merge.files)) == (
        "frozen", day("2024-01-01"), day("2025-01-01"), 12,
    )  # fmt: skip


def test_several_files_of_a_young_day_become_one() -> None:
    files = [archived(NOW - 10 * DAY_US, 10, name=name) for name in "ab"]
    (merge,) = plan_merges(files, POLICIES, NOW)
    assert (merge.tier, merge.end_us - merge.start_us) == ("warm", DAY_US)
    assert merge.reason == "2026-06-05 is old enough for the warm tier: 2 files in one"


def test_a_late_row_does_not_rewrite_a_year() -> None:
    year = archived(day("2020-01-01"), 1_000_000, "frozen", end_us=day("2021-01-01"))
    late = archived(day("2020-05-05"), 1)
    (merge,) = plan_merges([year, late], POLICIES, NOW)
    assert merge.files == (late,)
    assert merge.tier == "frozen"
    assert plan_merges([year, merged(merge, "late")], POLICIES, NOW) == []


def test_what_becomes_one_is_bounded_by_rows_and_by_bytes() -> None:
    april = [archived(day("2026-04-01") + n * DAY_US, 10) for n in range(30)]
    assert [len(merge.files) for merge in plan_merges(april, POLICIES, NOW, rows_max=100)] == [10, 10, 10]
    large = [ArchiveFile(**{**file.to_dict(), "size_bytes": MERGED_BYTES_MAX // 3}) for file in april]
    assert [len(merge.files) for merge in plan_merges(large, POLICIES, NOW)] == [3] * 10


def test_what_is_being_published_or_has_no_policy_is_left_alone() -> None:
    files = [archived(NOW - 10 * DAY_US, 10, name=name) for name in "ab"]
    unfinished = ArchiveFile(**{**files[0].to_dict(), "visible_through": 3})
    assert plan_merges([unfinished, files[1]], POLICIES, NOW) == []
    assert plan_merges(files, {}, NOW) == []


def test_nothing_goes_back_to_a_younger_tier() -> None:
    frozen = [archived(NOW - 10 * DAY_US, 10, "frozen", name) for name in "ab"]
    assert plan_merges(frozen, POLICIES, NOW) == []


@given(
    days=st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 60)), min_size=1, max_size=60),
    rows_max=st.sampled_from([50, 200, 10**6]),
    seed=st.integers(0, 999),
)
def test_plans_end_keep_every_row_and_honour_ages(
    days: list[tuple[int, int]], rows_max: int, seed: int
) -> None:
    rng = random.Random(seed)
    files = [archived(NOW - age * DAY_US, rows, name=f"f{n}") for n, (age, rows) in enumerate(days)]
    rewritten = 0
    for number in range(100):
        merges = plan_merges(files, POLICIES, NOW, rows_max=rows_max)
        if not merges:
            break
        merge = rng.choice(merges)
        assert len(merge.files) == 1 or merge.row_count <= rows_max
        files = [file for file in files if file not in merge.files] + [merged(merge, f"m{number}")]
        rewritten += merge.row_count
    assert plan_merges(files, POLICIES, NOW, rows_max=rows_max) == []
    assert sum(file.row_count for file in files) == sum(rows for _, rows in days)
    for file in files:
        year_end, month_end = (partition_of(tier, file.start_us)[1] for tier in ("frozen", "cold"))
        expected = (
            "frozen"
            if NOW - year_end >= 365 * DAY_US
            else "cold"
            if NOW - month_end >= 30 * DAY_US
            else "warm"
        )
        assert (file.tier, (file.start_us, file.end_us)) == (expected, partition_of(expected, file.start_us))
    assert rewritten <= sum(rows for _, rows in days) * (3 + len(days)), "and not for ever the same rows"
