"""Which backups no moment of the window needs any more (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from hybridstore.backup.chain import Link
from hybridstore.backup.pieces import Epoch, Full
from hybridstore.schema.types import moment


class Expired(NamedTuple):
    """A piece that is not needed any more.

    Attributes:
        kind: What it is.
        epoch: Its chain.
        number: Of the segment or tail; the commit of a full copy.
        reason: Why it is not needed.
    """

    kind: Literal["full", "segment"]
    epoch: int
    number: int
    reason: str


class ExpiryPlan(NamedTuple):
    """What can be deleted, and what has to be whole before it is.

    Attributes:
        expired: What is not needed, in the order it is deleted in: what begins a way goes before what lies on it.
        relied_on: Full copies that the ways to the oldest moments of the window begin with from now on.
    """

    expired: tuple[Expired, ...]
    relied_on: tuple[Full, ...]


def plan_expiry(
    epochs: Sequence[Epoch], fulls: Sequence[Full], links: Sequence[Link], window_start_us: int
) -> ExpiryPlan:
    """Say what no moment since the start of the window needs.

    Of each chain the newest full copy from before the window is kept, and everything after it. A chain is not needed
    at all once a later one answers for the start of the window.

    Args:
        epochs: All chains, oldest first.
        fulls: All full copies.
        links: All segments and tails.
        window_start_us: The oldest moment that must stay restorable, us UTC.

    Returns:
        What can go.
    """
    since = {epoch.epoch: _answers_since(epoch, fulls) for epoch in epochs}
    answering = [
        number for number, since_us in since.items() if since_us is not None and since_us <= window_start_us
    ]
    newest_old = max(answering, default=0)
    expired: list[Expired] = []
    relied_on: list[Full] = []
    for epoch in epochs:
        ours = sorted((full for full in fulls if full.epoch == epoch.epoch), key=lambda full: full.seq)
        if epoch.epoch < newest_old:
            reason = f"chain {newest_old} answers for everything since {moment(window_start_us).isoformat()}"
            expired += _all_of(epoch.epoch, ours, links, reason)
            continue
        old = [full for full in ours if full.ts_us <= window_start_us]
        if not old:
            continue
        kept = old[-1]
        relied_on.append(kept)
        reason = (
            f"the full copy of commit {kept.seq} is from before {moment(window_start_us).isoformat()}, too"
        )
        expired += [Expired("full", epoch.epoch, full.seq, reason) for full in old[:-1]]
        expired += [
            Expired("segment", link.epoch, link.number, f"the full copy of commit {kept.seq} holds it")
            for link in _in_order(links, epoch.epoch)
            if link.seq_last < kept.seq and link.sha256
        ]
    return ExpiryPlan(tuple(expired), tuple(relied_on))


def _answers_since(epoch: Epoch, fulls: Sequence[Full]) -> int | None:
    """Return since when a chain says what the store was, see choose_epoch; None while it has no full copy."""
    first = min(
        (full for full in fulls if full.epoch == epoch.epoch), key=lambda full: full.seq, default=None
    )
    if first is None:
        return None
    return max(first.ts_us, epoch.opened_us) if first.seq <= epoch.seq else first.ts_us


def _all_of(epoch: int, fulls: Sequence[Full], links: Sequence[Link], reason: str) -> list[Expired]:
    return [
        *(Expired("full", epoch, full.seq, reason) for full in fulls),
        *(Expired("segment", epoch, link.number, reason) for link in _in_order(links, epoch)),
    ]


def _in_order(links: Sequence[Link], epoch: int) -> list[Link]:
    return sorted((link for link in links if link.epoch == epoch), key=lambda link: link.number)
