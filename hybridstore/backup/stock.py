"""What there is to restore from, and what of it leads to a moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hybridstore.backup.batch import Batch, check_size, decode, join
from hybridstore.backup.chain import Chain, Link, Target, choose_chain, choose_epoch, link_of
from hybridstore.backup.commits import ClockRow
from hybridstore.backup.framing import decode_records
from hybridstore.backup.newest import Newest, read_newest
from hybridstore.backup.pieces import Full, Segment, Tail
from hybridstore.backup.repository import Found, Repository
from hybridstore.errors import BackupCorrupt, NotRestorable

_LOOKS_MAX = 10
_NOTED_WITHIN_S = 600.0
_HINT = "hybridstore backup verify says what can still be restored"


class Stock(NamedTuple):
    """What there is to restore from.

    Attributes:
        fulls: Full copies whose description can be read, and where they are.
        links: Segments and tails.
        segments: Where each segment is, by chain and number.
        tails: What each tail holds, by chain and number.
        damaged: What cannot be read, and why.
        newest: The last commit that was ever stored; None where nothing says it.
    """

    fulls: dict[Full, Path]
    links: list[Link]
    segments: dict[tuple[int, int], tuple[Path, Segment]]
    tails: dict[tuple[int, int], Batch]
    damaged: dict[Path, tuple[Found, BackupCorrupt]]
    newest: Newest | None

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
    # Before the files: the shipper goes on meanwhile.
    stock = Stock({}, [], {}, {}, {}, read_newest(repository.base))
    held: dict[tuple[int, int], tuple[int, Link]] = {}
    for found in repository.files():
        key = (found.named.epoch, found.named.number)
        try:
            if found.named.kind == "full":
                stock.fulls[repository.read_full(found.path)] = found.path.with_suffix("")
            elif found.named.kind == "segment":
                segment = repository.read_segment(found.path)
                if _is_longer(segment.frames, held.get(key), is_segment=True):
                    held[key] = segment.frames, link_of(segment)
                    stock.segments[key] = (found.path, segment)
            else:
                head, body = repository.read_tail(found.path)
                batch = _tail_batch(body)
                if batch is not None and _is_longer(len(batch.numbers), held.get(key), is_segment=False):
                    held[key] = len(batch.numbers), _tail_link(head, batch)
                    stock.tails[key] = batch
        except BackupCorrupt as error:
            stock.damaged[found.path] = found, error
    return stock._replace(links=[link for _, link in held.values()])


def _is_longer(frames: int, other: tuple[int, Link] | None, *, is_segment: bool) -> bool:
    """Say whether a file is to be used in the place of another one of the same number.

    A segment holds what its tail held; where the process died between, both are there. Where the device failed as a
    segment was written, the tail may have grown since, and another segment may have been made of it.
    """
    if other is None or frames != other[0]:
        return other is None or frames > other[0]
    return is_segment


def unnoted_copies(repository: Repository) -> list[Path]:
    """Return full copies without a note, which do not count: of a process that died before it, or it was deleted.

    Args:
        repository: The backups.
    """
    found = []
    for path in repository.base.glob("[0-9]*/full/*.db*"):
        with suppress(OSError):  # it has just expired
            is_data = path.suffix != ".json" and not path.name.startswith(".")
            is_old = time.time() - path.stat().st_mtime > _NOTED_WITHIN_S
            if is_data and is_old and not path.with_name(f"{path.name}.json").exists():
                found.append(path)
    return sorted(found)


def is_exact(stock: Stock, epoch: int, row: ClockRow, target: Target, *, followed: bool) -> bool:
    """Say whether a commit is known to be the last one up to a moment.

    Args:
        stock: What there is.
        epoch: The chain of the commit.
        row: The commit.
        target: The moment.
        followed: Whether a later one was seen.
    """
    if target.ts_us is None and target.seq is None:
        newest = stock.newest
        return newest is not None and newest.epoch == epoch and newest.seq <= row.seq
    return followed or target.is_at(row.seq, row.ts_us)


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
        epoch = choose_epoch(repository.epochs(), fulls, target, stock.links)
        chain = choose_chain(epoch, fulls, stock.links, target)
        _check_end(stock, chain, target)
    except (NotRestorable, BackupCorrupt) as error:
        if not stock.damaged:
            raise
        path, (_, why) = next(iter(stock.damaged.items()))
        raise BackupCorrupt(
            f"{error.message}; {len(stock.damaged)} files cannot be read, among them {path.name}: {why.message}",
            path=str(path),
            hint=_HINT,
        ) from error
    return chain


def _check_end(stock: Stock, chain: Chain, target: Target) -> None:
    """Refuse a chain that ends before the moment, where a file that may hold what follows is there and damaged."""
    if not chain.ends_before(target):
        return
    last = chain.links[-1].number if chain.links else -1
    for found, _ in stock.damaged.values():
        kind, epoch, number, _ = found.named
        goes_on = kind != "full" and number > last
        if epoch > chain.epoch or (epoch == chain.epoch and goes_on):
            raise BackupCorrupt(f"{target.said()} may be in a file that cannot be read")


def read_links(repository: Repository, stock: Stock, links: Iterable[Link]) -> Iterator[Batch]:
    """Read and prove what links hold, one after the other; the next one while the last is worked on.

    Args:
        repository: The backups.
        stock: What there is.
        links: Of a chain.

    Raises:
        BackupCorrupt: One is damaged or missing.
    """

    def read(link: Link) -> Batch:
        key = (link.epoch, link.number)
        return read_batch(repository, *stock.segments[key]) if link.sha256 else stock.tails[key]

    with ThreadPoolExecutor(1) as reader:
        ahead: Future[Batch] | None = None
        for link in links:
            ready, ahead = ahead, reader.submit(read, link)
            if ready is not None:
                yield ready.result()
        if ahead is not None:
            yield ahead.result()


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
    check_size(sum(record.raw_bytes for record in records))
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
