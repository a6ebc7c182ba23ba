"""Which moments can be restored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hybridstore.backup.chain import Link
from hybridstore.backup.pieces import Epoch, Full
from hybridstore.backup.repository import Repository
from hybridstore.backup.restore import Stock, take_stock
from hybridstore.records import Record


class RestorePoint(Record, frozen=True, gc=False):
    """Moments in a row that can be restored.

    Attributes:
        epoch: Their chain.
        seq_first: The first commit.
        ts_first_us: Its time, us UTC.
        seq_last: The last commit.
        ts_last_us: Its time, us UTC.
        fulls: Full copies among them.
        segments: Segments among them.
        reason: Why the chain was begun.
    """

    epoch: int
    seq_first: int
    ts_first_us: int
    seq_last: int
    ts_last_us: int
    fulls: int
    segments: int
    reason: str


def restore_points(repository: Repository, stock: Stock | None = None) -> list[RestorePoint]:
    """Say which moments can be restored. Where a segment is missing a range ends, and the next full begins another.

    Args:
        repository: The backups.
        stock: What there is; None looks.

    Returns:
        Ranges, oldest first.
    """
    stock = stock or take_stock(repository)
    found: list[RestorePoint] = []
    for epoch in repository.epochs():
        alone = sorted((full for full in stock.fulls if full.epoch == epoch.epoch), key=lambda full: full.seq)
        for run in _runs([link for link in stock.links if link.epoch == epoch.epoch]):
            last = run[-1]
            inside = [full for full in alone if run[0].seq_before <= full.seq <= last.seq_last]
            if inside:
                alone = [full for full in alone if full not in inside]
                segments = sum(link.seq_last > inside[0].seq for link in run)
                found.append(_point(epoch, inside, (last.seq_last, last.ts_last_us), segments))
        found += [_point(epoch, [full], (full.seq, full.ts_us), 0) for full in alone]
    return sorted(found, key=lambda point: (point.epoch, point.seq_first))


def _point(epoch: Epoch, fulls: Sequence[Full], last: tuple[int, int], segments: int) -> RestorePoint:
    first = fulls[0]
    return RestorePoint(epoch.epoch, first.seq, first.ts_us, *last, len(fulls), segments, epoch.reason)


def _runs(links: Iterable[Link]) -> list[list[Link]]:
    """Return links that follow each other, together."""
    runs: list[list[Link]] = []
    for link in sorted(links, key=lambda link: link.number):
        if runs and link.follows(runs[-1][-1]):
            runs[-1].append(link)
        else:
            runs.append([link])
    return runs
