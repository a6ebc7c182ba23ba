"""Which archived files become one, and where. Pure: the manifest and the time come in, decisions go out.

A day is archived as one file, or several where rows came late. When a whole month is older than the warm tier its days
become files of the month in the cold tier, and a whole year that is older than the cold tier becomes files of the year
in the frozen one: so a row is written three times in its life, and a question about years opens few files. What comes
late into a period that was merged before is kept apart until it is worth rewriting what is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hybridstore.archive.layout import partition_of
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.clock import day_of
from hybridstore.config import RetentionPolicy
from hybridstore.schema.internal import TIERS
from hybridstore.schema.types import moment

MERGED_ROWS_MAX = 1_000_000
"""Rows of a merged file at the most."""
MERGED_BYTES_MAX = 12 << 20
"""Bytes of the files that become one at the most: a merge takes some thirty times as much memory."""
_WORTH = 8
"""A file of the right tier is rewritten where it has at most this many times the rows that come to it: so the cost of
a late row does not grow with the period it falls into, and the number of files only with the logarithm of its rows."""


class PlannedMerge(NamedTuple):
    """One decision.

    Attributes:
        dataset: Whose files.
        tier: Where to.
        start_us: First moment of the period, us UTC.
        end_us: First moment after it, us UTC.
        files: Which files become one, by time.
        reason: Why, in words.
    """

    dataset: str
    tier: str
    start_us: int
    end_us: int
    files: tuple[ArchiveFile, ...]
    reason: str

    @property
    def row_count(self) -> int:
        """Rows of all the files."""
        return sum(file.row_count for file in self.files)


def plan_merges(
    files: Iterable[ArchiveFile],
    policies: Mapping[str, RetentionPolicy],
    now_us: int,
    *,
    rows_max: int = MERGED_ROWS_MAX,
) -> list[PlannedMerge]:
    """Decide which files become one.

    Args:
        files: Files of the manifest; one that is still being published is left alone.
        policies: Policy by dataset name.
        now_us: The present, us UTC.
        rows_max: Rows of a merged file at the most.

    Returns:
        Merges, oldest period first. After all of them were done there are none.
    """
    today = day_of(now_us)
    groups: dict[tuple[str, str, int, int], list[ArchiveFile]] = defaultdict(list)
    for file in files:
        policy = policies.get(file.dataset)
        if policy is not None and file.visible_through is None:
            place = _place(file, policy, today)
            if place is not None:
                groups[(file.dataset, *place)].append(file)
    merges = []
    for (dataset, tier, start_us, end_us), members in groups.items():
        for chosen in _chosen(members, tier, rows_max):
            reason = _reason(chosen, tier, start_us, end_us)
            merges.append(PlannedMerge(dataset, tier, start_us, end_us, tuple(chosen), reason))
    return sorted(merges, key=lambda merge: (merge.start_us, merge.dataset, merge.files[0].file_id))


def _place(file: ArchiveFile, policy: RetentionPolicy, today: int) -> tuple[str, int, int] | None:
    """Return tier and period a file belongs to by its age; None where it is in an older tier already."""
    ages = {
        "frozen": policy.cold_retention_days,
        "cold": policy.warm_retention_days,
        "warm": policy.hot_retention_days,
        "hot": -1,
    }
    for tier, age in ages.items():
        start_us, end_us = partition_of(tier, file.start_us)
        if file.end_us <= end_us and today - day_of(end_us - 1) > age:
            return None if TIERS.index(file.tier) > TIERS.index(tier) else (tier, start_us, end_us)
    return None


def _chosen(members: Sequence[ArchiveFile], tier: str, rows_max: int) -> list[list[ArchiveFile]]:
    """Return which files of a period become one each."""
    coming = [file for file in members if file.tier != tier]
    rows = sum(file.row_count for file in coming)
    for file in sorted((file for file in members if file.tier == tier), key=lambda file: file.row_count):
        if rows and file.row_count > _WORTH * rows:
            break
        coming.append(file)
        rows += file.row_count
    bins: list[list[ArchiveFile]] = []
    for file in sorted(coming, key=lambda file: (file.time_min_us, file.file_id)):
        rows = file.row_count + sum(other.row_count for other in bins[-1]) if bins else 0
        size_bytes = file.size_bytes + sum(other.size_bytes for other in bins[-1]) if bins else 0
        if bins and rows <= rows_max and size_bytes <= MERGED_BYTES_MAX:
            bins[-1].append(file)
        else:
            bins.append([file])
    return [files for files in bins if len(files) > 1 or files[0].tier != tier]


def _reason(files: Sequence[ArchiveFile], tier: str, start_us: int, end_us: int) -> str:
    first, last = f"{moment(start_us):%Y-%m-%d}", f"{moment(end_us - 1):%Y-%m-%d}"
    period = first if first == last else f"{first} to {last}"
    several = f"{len(files)} files" if len(files) > 1 else "1 file"
    return f"{period} is old enough for the {tier} tier: {several} in one"
