"""Which moments can be restored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hybridstore.backup.chain import Link, Target
from hybridstore.backup.commits import ClockRow
from hybridstore.backup.pieces import Epoch, Full
from hybridstore.backup.rebuild import count_wanted
from hybridstore.backup.repository import Repository
from hybridstore.backup.stock import Stock, choose, is_exact, read_links, take_stock
from hybridstore.records import Record
from hybridstore.schema.types import moment


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


class RestorePlan(Record, frozen=True, gc=False):
    """What a restore would use.

    Attributes:
        seq: The commit it would lead to.
        ts_us: Its time, us UTC.
        exact: Whether these are all commits up to the moment.
        epoch: The chain.
        full: The full copy it begins with, relative to the folder of the backups.
        segments: Segments that follow.
        read_bytes: What would be read of the copy and the segments, compressed.
    """

    seq: int
    ts_us: int
    exact: bool
    epoch: int
    full: str
    segments: int
    read_bytes: int

    def sentence(self) -> str:
        """Say it in words."""
        return (
            f"commit {self.seq} of {moment(self.ts_us).isoformat()} from {self.full} and {self.segments:,} segments "
            f"({self.read_bytes:,} bytes)" + ("" if self.exact else "; the backups end there")
        )


def plan_restore(repository: Repository, target: Target) -> RestorePlan:
    """Say what a restore would use; nothing is written.

    Args:
        repository: The backups.
        target: The moment.

    Returns:
        The commit it would lead to, and from which files.

    Raises:
        NotRestorable: The backups do not hold the moment.
        BackupCorrupt: A file that it needs is missing or damaged.
    """
    stock = take_stock(repository)
    chain = choose(repository, stock, target)
    row, followed = ClockRow(chain.full.seq, chain.full.ts_us), False
    for batch in read_links(repository, stock, chain.links[-1:]):
        wanted = count_wanted(batch, target)
        followed = wanted < len(batch.seqs)
        if wanted:
            row = ClockRow(int(batch.seqs[wanted - 1]), int(batch.times_us[wanted - 1]))
        else:  # all of it is later, or the middle of one commit: the last commit is the one before it
            row = ClockRow(chain.links[-1].seq_before, chain.links[-1].ts_before_us)
    return RestorePlan(
        row.seq,
        row.ts_us,
        is_exact(stock, chain.epoch, row, target, followed=followed),
        chain.epoch,
        str(chain.full.path),
        len(chain.links),
        chain.full.size_bytes + sum(stock.size_bytes(link) for link in chain.links),
    )


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
