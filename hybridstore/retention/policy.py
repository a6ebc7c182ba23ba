"""Which rows should move, and why. Pure: what there is and what time it is come in, decisions go out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from hybridstore.clock import DAY_US, day_of
from hybridstore.config import RetentionPolicy
from hybridstore.errors import ConfigError
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.types import moment


class Unit(NamedTuple):
    """Rows of one dataset and UTC day in the hot store.

    Attributes:
        dataset: The dataset's name.
        start_us: First moment of the day, us UTC.
        row_count: Rows that may leave.
        id_min: Smallest row number among them.
        id_max: Largest row number among them.
    """

    dataset: str
    start_us: int
    row_count: int
    id_min: int
    id_max: int

    @property
    def end_us(self) -> int:
        """First moment after the day, us UTC."""
        return self.start_us + DAY_US


class PlannedMove(NamedTuple):
    """One decision.

    Attributes:
        unit: What moves.
        tier: Where to.
        reason: Why, in words.
        rows_max: Only so many of its rows, the first by row number; None means all.
    """

    unit: Unit
    tier: str
    reason: str
    rows_max: int | None = None

    @property
    def row_count(self) -> int:
        """How many rows move."""
        return self.unit.row_count if self.rows_max is None else min(self.rows_max, self.unit.row_count)


def policies_by_dataset(
    datasets: Iterable[Dataset], configured: Iterable[RetentionPolicy]
) -> dict[str, RetentionPolicy]:
    """Give each tiered dataset its policy: the configured one, else its declaration's default.

    Args:
        datasets: The tiered datasets.
        configured: Policies of the configuration; the last one for a dataset counts.

    Returns:
        Policy by dataset name.

    Raises:
        ConfigError: A policy is for a dataset that has no tiers.
    """
    policies = {
        dataset.name: RetentionPolicy(
            name=dataset.name,
            table_name=dataset.name,
            hot_retention_days=dataset.tiering.hot_days,
            warm_retention_days=max(30, dataset.tiering.hot_days),
            cold_retention_days=max(365, dataset.tiering.hot_days),
            frozen_retention_years=max(7, -(-dataset.tiering.hot_days // 365)),
        )
        for dataset in datasets
        if dataset.tiering
    }
    for policy in configured:
        if policy.table_name not in policies:
            raise ConfigError(
                f"retention policy {policy.name!r} is for {policy.table_name!r}, which has no tiers",
                hint=f"tiered datasets: {', '.join(policies)}",
            )
        policies[policy.table_name] = policy
    return policies


def plan(units: Iterable[Unit], policies: Mapping[str, RetentionPolicy], now_us: int) -> list[PlannedMove]:
    """Decide what leaves the hot store.

    A unit leaves when its whole day is older than the policy's hot days. A row dated in the future is never old,
    whatever the clock says; late rows of an old day leave with the next run.

    Args:
        units: What the hot store holds.
        policies: Policy by dataset name.
        now_us: The present, us UTC.

    Returns:
        Moves, oldest first.
    """
    today = day_of(now_us)
    moves = []
    for unit in units:
        policy = policies[unit.dataset]
        age_days = today - day_of(unit.start_us)
        if age_days > policy.hot_retention_days:
            reason = (
                f"{moment(unit.start_us):%Y-%m-%d} is {age_days} days old, "
                f"{unit.dataset} stays hot {policy.hot_retention_days} days"
            )
            moves.append(PlannedMove(unit, "warm", reason))
    return sorted(moves, key=lambda move: (move.unit.start_us, move.unit.dataset))


def overflow(
    units: Iterable[Unit],
    policies: Mapping[str, RetentionPolicy],
    now_us: int,
    *,
    whole_days: Collection[str] = (),
) -> list[PlannedMove]:
    """Decide what leaves the hot store before its age because there are more rows than it should keep.

    The oldest days go first, whole, until three quarters of ``max_hot_records`` are left: so that it does not happen
    again with the next row. Of the present day only as many rows go as must. What is dated ahead stays.

    Args:
        units: What the hot store holds and will keep by its age.
        policies: Policy by dataset name.
        now_us: The present, us UTC.
        whole_days: Datasets whose rows of the present day may still be written again, and stay.

    Returns:
        Moves into archives/hot, oldest first.
    """
    by_dataset: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        by_dataset[unit.dataset].append(unit)
    moves = []
    for dataset, kept in by_dataset.items():
        limit, total = policies[dataset].max_hot_records, sum(unit.row_count for unit in kept)
        excess = total - limit * 3 // 4 if limit and total > limit else 0
        for unit in sorted(kept, key=lambda unit: unit.start_us):
            is_over = unit.end_us <= now_us
            if excess <= 0 or unit.start_us > now_us or not (is_over or dataset not in whole_days):
                break
            reason = f"{dataset} has {total:,} rows in the hot store, {limit:,} at the most: the oldest leave early"
            moves.append(PlannedMove(unit, "hot", reason, None if is_over else excess))
            excess -= moves[-1].row_count
    return sorted(moves, key=lambda move: (move.unit.start_us, move.unit.dataset))
