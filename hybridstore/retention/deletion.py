"""Which archived rows are older than their policy keeps, and which of them a legal hold keeps. Pure.

Rows go by whole months of their own time (UTC), once all of the month is older than the policy keeps: a row stays up
to a month longer than its policy says, never shorter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.config import RetentionPolicy
from hybridstore.retention.holds import Hold, held_spans
from hybridstore.retention.spans import Span, clip, union
from hybridstore.schema.types import EPOCH, moment

_MICROSECONDS = 1_000_000


class PlannedDeletion(NamedTuple):
    """One decision.

    Attributes:
        file: From which file rows are deleted.
        policy: Under which policy.
        before_us: Rows before this moment are old enough, us UTC.
        kept: Rows of which times stay, because they are younger or held; empty where the whole file goes.
        holds: Ids of the legal holds that keep some of them.
        reason: Why, in words.
    """

    file: ArchiveFile
    policy: str
    before_us: int
    kept: tuple[Span, ...]
    holds: tuple[str, ...]
    reason: str


def deletes_before_us(policy: RetentionPolicy, now_us: int) -> int:
    """Return before which moment rows are older than a policy keeps.

    Args:
        policy: The policy.
        now_us: The present, us UTC.

    Returns:
        First moment of a month, us UTC; 0 where nothing can be that old.
    """
    now = moment(now_us)
    year = now.year - policy.frozen_retention_years
    if year < EPOCH.year:
        return 0
    return int(datetime(year, now.month, 1, tzinfo=UTC).timestamp()) * _MICROSECONDS


def plan_deletions(
    files: Iterable[ArchiveFile],
    policies: Mapping[str, RetentionPolicy],
    holds: Iterable[Hold],
    now_us: int,
) -> list[PlannedDeletion]:
    """Decide which rows are deleted.

    Args:
        files: Files of the manifest; one that is still being published is left alone.
        policies: Policy by dataset name.
        holds: Legal holds in force.
        now_us: The present by a clock that can be trusted, us UTC.

    Returns:
        Deletions, oldest rows first. After all of them were done there are none.
    """
    holds = list(holds)
    planned = []
    for file in files:
        policy = policies.get(file.dataset)
        if policy is None or file.visible_through is not None:
            continue
        before_us = deletes_before_us(policy, now_us)
        if file.time_min_us >= before_us:
            continue
        own = Span(file.time_min_us, file.time_max_us + 1)
        held = clip(held_spans(holds, file.dataset), own)
        kept = clip(union([*held, Span(before_us, own.end_us)]), own)
        if kept != (own,):
            ids = tuple(hold.hold_id for hold in holds if clip(held_spans([hold], file.dataset), own))
            reason = (
                f"rows of {file.dataset} before {moment(before_us):%Y-%m-%d} are older than "
                f"{policy.frozen_retention_years} years"
                + (f"; {len(ids)} legal hold(s) keep some" if ids else "")
            )
            planned.append(PlannedDeletion(file, policy.name, before_us, kept, ids, reason))
    return sorted(planned, key=lambda one: (one.file.time_min_us, one.file.dataset, one.file.file_id))
