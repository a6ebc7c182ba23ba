"""Which rows should move, and why. Pure: what there is and what time it is come in, decisions go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    """

    unit: Unit
    tier: str
    reason: str


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
