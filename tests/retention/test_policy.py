"""What moves, and why: decisions are a function of what there is and what time it is."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.errors import ConfigError
from hybridstore.retention.policy import Unit, overflow, plan, policies_by_dataset
from hybridstore.schema.registry import Registry

TIERED = Registry().tiered
DEFAULTS = policies_by_dataset(TIERED, ())
UNITS = st.lists(
    st.builds(
        lambda dataset, day, rows, first: Unit(dataset.name, day * DAY_US, rows, first, first + rows),
        st.sampled_from(TIERED),
        st.integers(0, 40_000),
        st.integers(1, 10**9),
        st.integers(1, 10**9),
    ),
    max_size=30,
)


@given(units=UNITS, now_us=st.integers(0, 40_000 * DAY_US), hot_days=st.integers(1, 30))
def test_exactly_the_days_that_are_wholly_past_the_hot_window_move(
    units: list[Unit], now_us: int, hot_days: int
) -> None:
    configured = [
        RetentionPolicy(name=dataset.name, table_name=dataset.name, hot_retention_days=hot_days)
        for dataset in TIERED
    ]
    moves = plan(units, policies_by_dataset(TIERED, configured), now_us)
    # The youngest row a day may hold is one microsecond from its end.
    old = [unit for unit in units if unit.end_us - 1 < now_us // DAY_US * DAY_US - hot_days * DAY_US]
    assert sorted(move.unit for move in moves) == sorted(old)
    assert all(now_us - (move.unit.end_us - 1) > hot_days * DAY_US for move in moves)


@given(units=UNITS, now_us=st.integers(0, 40_000 * DAY_US))
def test_the_oldest_day_moves_first_and_each_says_why(units: list[Unit], now_us: int) -> None:
    moves = plan(units, DEFAULTS, now_us)
    days = [move.unit.start_us for move in moves]
    assert days == sorted(days)
    assert all(move.tier == "warm" and "days old" in move.reason for move in moves)


@given(units=UNITS, now_us=st.integers(0, 40_000 * DAY_US), later_us=st.integers(0, 10**16))
def test_time_only_ever_adds_moves(units: list[Unit], now_us: int, later_us: int) -> None:
    before = {move.unit for move in plan(units, DEFAULTS, now_us)}
    assert before <= {move.unit for move in plan(units, DEFAULTS, now_us + later_us)}


def test_a_row_of_the_future_is_never_old() -> None:
    now_us = 20_600 * DAY_US
    units = [Unit("trades", day * DAY_US, 1, 1, 1) for day in (20_601, 30_000, 47_482)]
    assert plan(units, DEFAULTS, now_us) == []


def test_the_reason_names_day_age_and_policy() -> None:
    (move,) = plan([Unit("trades", 20_000 * DAY_US, 5, 1, 5)], DEFAULTS, 20_010 * DAY_US)
    assert move.reason == "2024-10-04 is 10 days old, trades stays hot 7 days"


def test_every_tiered_dataset_has_its_declared_default() -> None:
    assert {name: policy.hot_retention_days for name, policy in DEFAULTS.items()} == {
        dataset.name: dataset.tiering.hot_days for dataset in TIERED if dataset.tiering
    }


def test_a_policy_for_something_without_tiers_is_refused() -> None:
    with pytest.raises(ConfigError, match="balances") as caught:
        policies_by_dataset(TIERED, [RetentionPolicy(name="p", table_name="balances")])
    assert "balance_history" in (caught.value.hint or "")


@pytest.mark.parametrize("hot_days", [1, 31, 400, 5_000])
def test_any_declared_age_gives_a_policy(hot_days: int) -> None:
    trades = Registry()["trades"]
    assert trades.tiering is not None
    tiering = msgspec.structs.replace(trades.tiering, hot_days=hot_days)
    policies = policies_by_dataset([msgspec.structs.replace(trades, tiering=tiering)], ())
    assert policies["trades"].hot_retention_days == hot_days


NOW = 20_600 * DAY_US + DAY_US // 2


def few(rows_max: int) -> dict[str, RetentionPolicy]:
    """Return a policy that keeps few rows of the ledger."""
    return {"ledger": RetentionPolicy(name="few", table_name="ledger", max_hot_records=rows_max)}


def days(*rows: int) -> list[Unit]:
    """Return units of the days up to the present one."""
    first = 20_600 - len(rows) + 1
    return [Unit("ledger", (first + place) * DAY_US, count, 1, 10) for place, count in enumerate(rows)]


def test_the_oldest_whole_days_leave_first_until_a_quarter_is_free() -> None:
    units = days(10, 20, 30, 40)
    assert overflow(units, few(100), NOW) == []
    assert overflow(units, few(0), NOW) == []
    (first, second) = overflow(units, few(99), NOW)
    assert [one.unit for one in (first, second)] == units[:2], "26 must go, and 30 do"
    assert (first.tier, first.row_count, first.rows_max) == ("hot", 10, None)
    assert first.reason == "ledger has 100 rows in the hot store, 99 at the most: the oldest leave early"


def test_of_the_present_day_only_as_many_rows_leave_as_must() -> None:
    units = days(5, 1_000)
    (_, today) = overflow(units, few(400), NOW)
    assert (today.unit, today.rows_max, today.row_count) == (units[1], 700, 700)
    assert [one.unit for one in overflow(units, few(400), NOW, whole_days=["ledger"])] == units[:1]


def test_what_is_dated_ahead_stays() -> None:
    ahead = Unit("ledger", 20_601 * DAY_US, 1_000, 1, 1_000)
    assert overflow([ahead], few(10), NOW) == []
    assert [one.unit for one in overflow([*days(7), ahead], few(10), NOW)] == days(7)


@given(
    counts=st.lists(st.integers(1, 1_000), min_size=1, max_size=20),
    rows_max=st.integers(1, 5_000),
)
def test_after_it_there_are_as_few_rows_as_wanted_and_no_more_to_do(counts: list[int], rows_max: int) -> None:
    units = days(*counts)
    moves = overflow(units, few(rows_max), NOW)
    left = {unit.start_us: unit.row_count for unit in units}
    for move in moves:
        left[move.unit.start_us] -= move.row_count
    assert sum(left.values()) <= rows_max
    assert bool(moves) == (sum(counts) > rows_max)
    kept = [unit._replace(row_count=left[unit.start_us]) for unit in units if left[unit.start_us]]
    assert overflow(kept, few(rows_max), NOW) == []
