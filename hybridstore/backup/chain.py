"""Which copies lead to a moment (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from hybridstore.backup.pieces import Epoch, Full, Segment
from hybridstore.errors import BackupCorrupt, NotRestorable
from hybridstore.schema.types import moment


class Link(NamedTuple):
    """Commits in a row, of a segment or a tail.

    Attributes:
        epoch: Its chain.
        number: Its place in the chain.
        previous: Hash of the content of the one before.
        sha256: Hash of its content; empty for a tail.
        seq_before: Last commit before it.
        ts_before_us: Time of that commit, us UTC.
        seq_last: Last commit that ends in it.
        ts_last_us: Time of that commit, us UTC.
        seq_first: First commit that ends in it; 0 where none does.
        ts_first_us: Time of that commit, us UTC.
        commits: How many end in it.
    """

    epoch: int
    number: int
    previous: str
    sha256: str
    seq_before: int
    ts_before_us: int
    seq_last: int
    ts_last_us: int
    seq_first: int
    ts_first_us: int
    commits: int

    def follows(self, before: Link) -> bool:
        """Say whether this is the one after another one.

        Args:
            before: The other one.
        """
        return (
            self.number == before.number + 1
            and self.previous == before.sha256
            and self.seq_before == before.seq_last
        )


class Target(NamedTuple):
    """What to restore: every commit up to one of these.

    Attributes:
        ts_us: Commits up to this time, us UTC; None where a number is given, or the last one is wanted.
        seq: Commits up to this number.
        epoch: Of this chain; None takes the one that was written at that time.
        inclusive: Whether a commit of exactly that time or number counts.
    """

    ts_us: int | None = None
    seq: int | None = None
    epoch: int | None = None
    inclusive: bool = True

    def admits(self, seq: int, ts_us: int) -> bool:
        """Say whether a commit counts.

        Args:
            seq: Its number.
            ts_us: Its time, us UTC.
        """
        if self.ts_us is not None and not (ts_us <= self.ts_us if self.inclusive else ts_us < self.ts_us):
            return False
        return self.seq is None or (seq <= self.seq if self.inclusive else seq < self.seq)

    def is_at(self, seq: int, ts_us: int) -> bool:
        """Say whether a commit is the very one, so that all others that count came before it.

        Args:
            seq: Its number.
            ts_us: Its time, us UTC.
        """
        if self.seq is not None:
            return seq == self.seq - (not self.inclusive)  # commits are numbered without a gap
        return self.inclusive and self.ts_us == ts_us

    def said(self) -> str:
        """Say it in words."""
        if self.seq is not None:
            return f"commit {self.seq}"
        return "the latest commit" if self.ts_us is None else moment(self.ts_us).isoformat()


class Chain(NamedTuple):
    """The way to a moment.

    Attributes:
        epoch: The chain.
        full: The copy it begins with.
        links: What is applied to it, in order; the last one may hold later commits, too.
        whole: Of each, whether what it holds behind its last commit counts: the beginning of a commit that ends in
            another link and is wanted.
    """

    epoch: int
    full: Full
    links: tuple[Link, ...]
    whole: tuple[bool, ...]

    def ends_before(self, target: Target) -> bool:
        """Say whether more commits up to a moment may have been made than the chain holds.

        Args:
            target: The moment.
        """
        last = self.links[-1] if self.links else None
        seq, ts_us = (last.seq_last, last.ts_last_us) if last else (self.full.seq, self.full.ts_us)
        return target.admits(seq, ts_us) and not target.is_at(seq, ts_us)


def link_of(segment: Segment) -> Link:
    """Return a segment as a link.

    Args:
        segment: The segment.
    """
    return Link(
        segment.epoch,
        segment.number,
        segment.previous,
        segment.sha256,
        segment.seq_before,
        segment.ts_before_us,
        segment.seq_last,
        segment.ts_last_us,
        segment.seq_first,
        segment.ts_first_us,
        segment.commits,
    )


def choose_epoch(
    epochs: Sequence[Epoch], fulls: Sequence[Full], target: Target, links: Sequence[Link] = ()
) -> int:
    """Say which chain holds a moment.

    Times of two chains overlap where a store was put back to an earlier moment and went on from there. What it was at a
    time is what the chain says that was being written then.

    Args:
        epochs: All chains, oldest first.
        fulls: All full copies.
        target: What to restore.
        links: All segments and tails.

    Returns:
        The number of the chain.

    Raises:
        NotRestorable: No chain holds it, or the one that does has no full copy as old.
    """
    if target.epoch is not None:
        return target.epoch
    first = {epoch.epoch: _first(fulls, epoch.epoch) for epoch in epochs}
    begun = [epoch for epoch in epochs if first[epoch.epoch] is not None]
    if not begun:
        what = "no full copy is left, or none was made yet" if links else "there is no backup yet"
        raise NotRestorable(what, hint="hybridstore backup now makes the first")
    for epoch in reversed(epochs):
        full = first[epoch.epoch]
        if full is None:
            _check_history(epoch, links, target)
            continue
        # A chain that goes on from before the end of the one before counts from the time it was begun.
        went_back = full.seq <= epoch.seq
        since_us = max(full.ts_us, epoch.opened_us) if went_back else full.ts_us
        if target.seq is not None and target.admits(full.seq, full.ts_us):
            return epoch.epoch
        if target.seq is None and target.admits(full.seq, full.ts_us) and target.admits(full.seq, since_us):
            return epoch.epoch
        _check_history(epoch, links, target)
    oldest = first[begun[0].epoch]
    assert oldest is not None
    raise NotRestorable(
        f"{target.said()} is before the first full backup, which holds commit {oldest.seq} of "
        f"{moment(oldest.ts_us).isoformat()}",
        hint="hybridstore backup list shows what can be restored",
    )


def _check_history(epoch: Epoch, links: Sequence[Link], target: Target) -> None:
    """Refuse a moment of a chain that has no full copy as old, where the one before would lead to another history."""
    start = min(
        (link for link in links if link.epoch == epoch.epoch), key=lambda link: link.number, default=None
    )
    if start is None or start.seq_before >= epoch.seq:
        return
    if target.admits(start.seq_before, max(start.ts_before_us, epoch.opened_us)):
        raise NotRestorable(
            f"{target.said()} is in chain {epoch.epoch}, which went on from commit {start.seq_before} again, and there "
            "is no full copy of it that is as old",
            hint="hybridstore backup verify says what can still be restored",
        )


def _first(fulls: Sequence[Full], epoch: int) -> Full | None:
    return min((full for full in fulls if full.epoch == epoch), key=lambda full: full.seq, default=None)


def choose_chain(epoch: int, fulls: Sequence[Full], links: Sequence[Link], target: Target) -> Chain:
    """Choose the way to a moment: the newest copy before it, and what follows.

    Args:
        epoch: The chain.
        fulls: Its full copies.
        links: Its segments and tail.
        target: What to restore.

    Returns:
        The way.

    Raises:
        NotRestorable: No copy of the chain is as old.
        BackupCorrupt: A segment between is missing, or does not belong there.
    """
    full = max(
        (full for full in fulls if full.epoch == epoch and target.admits(full.seq, full.ts_us)),
        key=lambda full: full.seq,
        default=None,
    )
    if full is None:
        raise NotRestorable(
            f"{target.said()} is before the first full backup of its chain {epoch}",
            hint="hybridstore backup list shows what can be restored",
        )
    ordered = sorted((link for link in links if link.epoch == epoch), key=lambda link: link.number)
    wanted = [
        # One that ends with the copy's commit may hold what has no number and follows it.
        link
        for link in ordered
        if link.seq_last >= full.seq and target.admits(link.seq_before, link.ts_before_us)
    ]
    check_links(wanted)
    if wanted and wanted[0].seq_before > full.seq:
        raise _missing(epoch, full.seq, wanted[0].seq_before)
    chain = Chain(epoch, full, tuple(wanted), _whole(wanted, target))
    end = wanted[-1].seq_last if wanted else full.seq
    later = [link for link in ordered if link.seq_last > end]
    if later and chain.ends_before(target):  # what follows is not wanted, and does not follow
        raise _missing(epoch, end, later[0].seq_before)
    return chain


def _whole(links: Sequence[Link], target: Target) -> tuple[bool, ...]:
    """Say of each link whether the commit that it holds the beginning of, and not the end, is wanted."""
    found: list[bool] = []
    wanted = False
    for link in reversed(links):
        found.append(wanted)
        if link.commits:
            wanted = target.admits(link.seq_first, link.ts_first_us)
    return tuple(reversed(found))


def check_links(links: Sequence[Link]) -> None:
    """Refuse links of which one is missing, or of another chain.

    Args:
        links: Of one chain, in their order.

    Raises:
        BackupCorrupt: They do not follow each other.
    """
    for before, link in pairwise(links):
        if not link.follows(before):
            raise _missing(link.epoch, before.seq_last, link.seq_before)


def _missing(epoch: int, before: int, after: int) -> BackupCorrupt:
    return BackupCorrupt(
        f"of chain {epoch} a segment between commit {before} and commit {after} is missing or another's",
        hint="hybridstore backup verify says what can still be restored",
    )
