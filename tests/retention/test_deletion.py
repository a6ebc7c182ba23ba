"""Which rows are deleted: a pure plan that ends, takes whole months, and leaves what is held."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.retention.deletion import deletes_before_us, plan_deletions
from hybridstore.retention.holds import EVERY_DATASET, Hold
from hybridstore.retention.spans import Span, clip, union, without
from tests.retention.test_merging import archived, day

POLICY = RetentionPolicy(name="books", table_name="ledger")
POLICIES = {"ledger": POLICY}
NOW = day("2026-06-15")


def held(start: str, end: str, dataset: str = "ledger") -> Hold:
    return Hold(
        hold_id=f"{start}..{end}",
        dataset=dataset,
        start_us=day(start),
        end_us=day(end),
        reason="audit",
        held_by="counsel",
    )


def year_of(number: int, rows: int = 100) -> ArchiveFile:
    return archived(day(f"{number}-01-01"), rows, "frozen", f"{number}", day(f"{number + 1}-01-01"))


@pytest.mark.parametrize(
    ("now", "years", "before"),
    [
        ("2026-06-15", 7, "2019-06-01"),
        ("2026-06-01", 7, "2019-06-01"),
        ("2024-02-29", 1, "2023-02-01"),
        ("2026-01-31", 56, "1970-01-01"),
    ],
)
def test_rows_go_by_whole_months(now: str, years: int, before: str) -> None:
    policy = RetentionPolicy(name="p", table_name="ledger", frozen_retention_years=years)
    assert deletes_before_us(policy, day(now)) == day(before)


def test_a_policy_that_reaches_behind_the_beginning_deletes_nothing() -> None:
    policy = RetentionPolicy(name="p", table_name="ledger", frozen_retention_years=1_000)
    assert deletes_before_us(policy, NOW) == 0
    assert plan_deletions([year_of(1970)], {"ledger": policy}, [], NOW) == []


def test_a_row_is_never_deleted_before_its_age(rng: random.Random) -> None:
    for _ in range(2_000):
        now = datetime.fromtimestamp(rng.randrange(10**9, 4 * 10**9), UTC)
        years = rng.randrange(1, 30)
        policy = RetentionPolicy(
            name="p", table_name="ledger", frozen_retention_years=years, cold_retention_days=365
        )
        before_us = deletes_before_us(policy, int(now.timestamp()) * 1_000_000)
        newest = datetime.fromtimestamp((before_us - 1) // 1_000_000, UTC)
        assert (newest.year + years, newest.month) < (now.year, now.month)


def test_files_go_whole_in_part_or_not_at_all() -> None:
    files = [year_of(2017), year_of(2018), year_of(2019), year_of(2020)]
    whole, also, part = plan_deletions(files, POLICIES, [], NOW)
    assert [one.file.file_id for one in (whole, also, part)] == ["2017", "2018", "2019"]
    assert (whole.kept, also.kept) == ((), ())
    assert part.kept == (Span(day("2019-06-01"), day("2020-01-01")),)
    assert part.reason == "rows of ledger before 2019-06-01 are older than 7 years"
    assert plan_deletions(files, {}, [], NOW) == []
    unfinished = ArchiveFile(**{**year_of(2017).to_dict(), "visible_through": 7})
    assert plan_deletions([unfinished], POLICIES, [], NOW) == []


def test_what_is_held_stays() -> None:
    hold = held("2018-03-01", "2018-05-01")
    (planned,) = plan_deletions([year_of(2018)], POLICIES, [hold], NOW)
    assert planned.kept == (Span(day("2018-03-01"), day("2018-05-01")),)
    assert planned.holds == (hold.hold_id,)
    assert plan_deletions([year_of(2018)], POLICIES, [held("2017-01-01", "2020-01-01")], NOW) == []
    assert (
        plan_deletions([year_of(2018)], POLICIES, [held("2017-01-01", "2020-01-01", EVERY_DATASET)], NOW)
        == []
    )
    (other,) = plan_deletions([year_of(2018)], POLICIES, [held("2017-01-01", "2020-01-01", "trades")], NOW)
    assert (other.kept, other.holds) == ((), ())


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: Span(pair[0], sum(pair))))


@given(spans, st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_spans_are_sets_of_moments(several: list[Span], bounds: tuple[int, int]) -> None:
    def moments(some: object) -> set[int]:
        return {at for start, end in some for at in range(start, end)}  # type: ignore[attr-defined]

    within = Span(min(bounds), max(bounds))
    joined = union(several)
    assert moments(joined) == moments(several)
    assert all(one.end_us < two.start_us for one, two in pairwise(joined))
    assert moments(clip(several, within)) == moments(several) & moments([within])
    assert moments(without(within, several)) == moments([within]) - moments(several)


def test_a_plan_ends_whatever_is_held(rng: random.Random) -> None:
    for _ in range(200):
        holds = []
        for number in range(rng.randrange(4)):
            start = day("2017-01-01") + rng.randrange(900) * DAY_US
            holds.append(
                Hold(
                    hold_id=str(number),
                    dataset="ledger",
                    start_us=start,
                    end_us=start + rng.randrange(1, 400) * DAY_US,
                    reason="-",
                    held_by="-",
                )
            )
        files = [year_of(number) for number in (2017, 2018, 2019)]
        for planned in plan_deletions(files, POLICIES, holds, NOW):
            files.remove(planned.file)
            for number, span in enumerate(planned.kept):
                facts = {"time_min_us": span.start_us, "time_max_us": span.end_us - 1}
                name = {"file_id": f"{planned.file.file_id}/{number}"}
                files.append(ArchiveFile(**{**planned.file.to_dict(), **facts, **name}))
        assert plan_deletions(files, POLICIES, holds, NOW) == []
