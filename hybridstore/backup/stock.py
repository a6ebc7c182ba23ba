"""What there is to restore from, and what of it leads to a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from hybridstore.backup.batch import Batch, decode, join
from hybridstore.backup.chain import Chain, Link, Target, choose_chain, choose_epoch, link_of
from hybridstore.backup.commits import ClockRow
from hybridstore.backup.framing import decode_records
from hybridstore.backup.pieces import Full, Segment, Tail
from hybridstore.backup.repository import Repository
from hybridstore.errors import BackupCorrupt, NotRestorable

_LOOKS_MAX = 10
_HINT = "hybridstore backup verify says what can still be restored"


class Stock(NamedTuple):
    """What there is to restore from.

    Attributes:
        fulls: Full copies whose description can be read, and where they are.
        links: Segments and tails.
        segments: Where each segment is, by chain and number.
        tails: What each tail holds, by chain and number.
        damaged: What cannot be read, and why.
    """

    fulls: dict[Full, Path]
    links: list[Link]
    segments: dict[tuple[int, int], tuple[Path, Segment]]
    tails: dict[tuple[int, int], Batch]
    damaged: dict[Path, BackupCorrupt]

    def raw_bytes(self, link: Link) -> int:
        """Say how much a link holds.

        Args:
            link: The link.
        """
        key = (link.epoch, link.number)
        return self.segments[key][1].raw_bytes if link.sha256 else self.tails[key].raw_bytes

    def size_bytes(self, link: Link) -> int:
        """Say how much of the file of a link is read; of a tail, what it holds.

        Args:
            link: The link.
        """
        key = (link.epoch, link.number)
        return self.segments[key][1].size_bytes if link.sha256 else self.tails[key].raw_bytes


def take_stock(repository: Repository) -> Stock:
    """Look at everything there is: heads of segments, descriptions of copies, tails.

    Args:
        repository: The backups.

    Returns:
        What can be used, and what cannot.
    """
    for _ in range(_LOOKS_MAX):
        stock = _look(repository)
        if all(path.exists() for path in stock.damaged):
            break  # else a tail has just become a segment, or something expired: what is there now is another stock
    return stock


def _look(repository: Repository) -> Stock:
    stock = Stock({}, [], {}, {}, {})
    for found in repository.files():
        key = (found.named.epoch, found.named.number)
        try:
            if found.named.kind == "full":
                stock.fulls[repository.read_full(found.path)] = found.path.with_suffix("")
            elif found.named.kind == "segment":
                segment = repository.read_segment(found.path)
                stock.segments[key] = (found.path, segment)
                stock.links.append(link_of(segment))
            else:
                head, body = repository.read_tail(found.path)
                batch = _tail_batch(body)
                if batch is not None:
                    stock.tails[key] = batch
                    stock.links.append(_tail_link(head, batch))
        except BackupCorrupt as error:
            stock.damaged[found.path] = error
    # A segment holds what its tail held; where the process died between, both are there.
    links = {
        (link.epoch, link.number): link for link in sorted(stock.links, key=lambda link: bool(link.sha256))
    }
    return stock._replace(links=list(links.values()))


def is_exact(row: ClockRow, target: Target, *, followed: bool) -> bool:
    """Say whether a commit is known to be the last one up to a moment.

    Args:
        row: The commit.
        target: The moment.
        followed: Whether a later one was seen.
    """
    if target.ts_us is None and target.seq is None:
        return True
    if target.seq is not None and row.seq == target.seq - (not target.inclusive):
        return True  # commits are numbered without a gap
    if target.inclusive and target.ts_us == row.ts_us:
        return True
    return followed


def choose(repository: Repository, stock: Stock, target: Target) -> Chain:
    """Choose the way to a moment.

    Args:
        repository: The backups.
        stock: What there is.
        target: The moment.

    Raises:
        NotRestorable: The backups do not hold it.
        BackupCorrupt: A file that it needs is missing or damaged.
    """
    fulls = list(stock.fulls)
    try:
        epoch = choose_epoch(repository.epochs(), fulls, target)
        return choose_chain(epoch, fulls, stock.links, target)
    except (NotRestorable, BackupCorrupt) as error:
        if not stock.damaged:
            raise
        path, why = next(iter(stock.damaged.items()))
        raise BackupCorrupt(
            f"{error.message}; {len(stock.damaged)} files cannot be read, among them {path.name}: {why.message}",
            path=str(path),
            hint=_HINT,
        ) from error


def read_links(repository: Repository, stock: Stock, links: Iterable[Link]) -> Iterator[Batch]:
    """Read and prove what links hold, one after the other.

    Args:
        repository: The backups.
        stock: What there is.
        links: Of a chain.

    Raises:
        BackupCorrupt: One is damaged or missing.
    """
    for link in links:
        key = (link.epoch, link.number)
        if link.sha256:
            path, segment = stock.segments[key]
            yield read_batch(repository, path, segment)
        else:
            yield stock.tails[key]


def read_batch(repository: Repository, path: Path, segment: Segment) -> Batch:
    """Read and prove what a segment holds.

    Args:
        repository: The backups.
        path: Its file.
        segment: Its head.

    Raises:
        BackupCorrupt: It is damaged or missing.
    """
    try:
        return decode(
            repository.read_content(path, segment), segment.raw_bytes, compressed=segment.compressed
        )
    except BackupCorrupt as error:
        raise BackupCorrupt(error.message, path=str(path), hint=_HINT) from error


def _tail_batch(body: bytes) -> Batch | None:
    records, _ = decode_records(body)
    return join([decode(one.content, one.raw_bytes, compressed=True) for one in records]) if records else None


def _tail_link(head: Tail, batch: Batch) -> Link:
    commits = len(batch.seqs)
    last = (head.seq_before, head.ts_before_us)
    first = (0, 0)
    if commits:
        first, last = ((int(batch.seqs[n]), int(batch.times_us[n])) for n in (0, -1))
    return Link(
        head.epoch, head.number, head.previous, "", head.seq_before, head.ts_before_us, *last, *first, commits
    )
