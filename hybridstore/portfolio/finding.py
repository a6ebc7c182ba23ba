"""What partings are explained with: the evidence there is, and what a finding says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from hybridstore.portfolio.practice import KnownFill, practices
from hybridstore.portfolio.reconcile import BookEntry, Parting
from hybridstore.portfolio.wording import amount_text, when_text

DOUBLED, UNKNOWN, MISSING_FILL, WRONG_FEE, MISSING_FEE, MISSING = (
    "doubled",
    "unknown to the exchange",
    "missing fill",
    "wrong fee",
    "missing fee",
    "missing movement",
)


class Finding(NamedTuple):
    """What probably happened.

    Attributes:
        kind: ``doubled``, ``unknown to the exchange``, ``missing fill``, ``wrong fee``, ``missing fee`` or ``missing
            movement``.
        text: A sentence that says it.
        partings: What it explains.
        exact: Whether it explains them to the last decimal with nothing assumed that is unusual for the account.
        suspects: Entries to look at.
        symbol: The market of a fill.
        side: Its side.
        amount: Its amount, or how much was moved (signed).
        price: Its price.
        fees: What it cost beside, as (asset, cost) pairs.
        since_us: It happened at or after this, us UTC; None means ever.
        until_us: And at or before this.
    """

    kind: str
    text: str
    partings: tuple[Parting, ...]
    exact: bool = False
    suspects: tuple[str, ...] = ()
    symbol: str | None = None
    side: str | None = None
    amount: Decimal | None = None
    price: Decimal | None = None
    fees: tuple[tuple[str, Decimal], ...] = ()
    since_us: int | None = None
    until_us: int | None = None


class Case:
    """What there is to go by, and which partings are not explained yet.

    Args:
        partings: What is to be explained.
        entries: The entries of the books.
        fills: The fills of the books.

    Attributes:
        open: The partings that are not explained yet.
        causes: Entries by what they belong to: the reference they share, or each for itself.
        fills: Fills by reference.
        practices: What is usual, by symbol.
    """

    def __init__(
        self, partings: Iterable[Parting], entries: Iterable[BookEntry], fills: Sequence[KnownFill]
    ) -> None:
        self.open = list(partings)
        self.causes: dict[str, list[BookEntry]] = defaultdict(list)
        if self.open:
            for entry in entries:
                self.causes[entry.reference or f"|{entry.entry_id}"].append(entry)
        self.fills = {fill.reference: fill for fill in fills}
        self.practices = practices(fills) if self.open else {}

    def take(self, partings: Iterable[Parting]) -> None:
        """Note that some partings are explained.

        Args:
            partings: Open ones.
        """
        for parting in partings:
            self.open.remove(parting)

    def of(self, asset: str) -> list[Parting]:
        """Return the open partings of an asset.

        Args:
            asset: The asset.

        Returns:
            In order.
        """
        return [parting for parting in self.open if parting.asset == asset]


def span(partings: Sequence[Parting]) -> tuple[int | None, int | None]:
    """Return the moments in which the cause of all of some partings may lie.

    Args:
        partings: The partings.

    Returns:
        The first and the last such moment, us UTC; None where there is no limit.
    """
    since = [parting.since_us for parting in partings if parting.since_us is not None]
    until = [parting.until_us for parting in partings if parting.until_us is not None]
    return max(since, default=None), min(until, default=None)


def together(partings: Sequence[Parting]) -> bool:
    """Say whether partings may have one cause.

    Args:
        partings: The partings.

    Returns:
        Whether there is a moment it may lie in.
    """
    since_us, until_us = span(partings)
    return since_us is None or until_us is None or since_us <= until_us


def covers(parting: Parting, moment_us: int) -> bool:
    """Say whether the cause of a parting may lie in a moment.

    Args:
        parting: The parting.
        moment_us: The moment, us UTC.

    Returns:
        Whether it may.
    """
    since_us, until_us = parting.since_us, parting.until_us
    return (since_us is None or since_us <= moment_us) and (until_us is None or moment_us <= until_us)


def between(since_us: int | None, until_us: int | None) -> str:
    """Say when something happened.

    Args:
        since_us: Not before this, us UTC; None means ever.
        until_us: Not after this.

    Returns:
        For example ``between ... and ...``.
    """
    if until_us is None:
        return "at some time"
    if since_us is None:
        return f"before {when_text(until_us)}"
    return f"between {when_text(since_us)} and {when_text(until_us)}"


def fill_text(fill: KnownFill) -> str:
    """Say what a fill was.

    Args:
        fill: The fill.

    Returns:
        For example ``BTC/USDT: buy 1 at 50000``.
    """
    return f"{fill.symbol}: {fill.side} {amount_text(fill.amount)} at {amount_text(fill.price)}"


def cause_name(case: Case, cause: str) -> str:
    """Name what entries belong to.

    Args:
        case: The case.
        cause: A name of ``case.causes``.

    Returns:
        The fill or the entry, with its id.
    """
    fill = case.fills.get(cause)
    return f"fill {fill.trade_id}" if fill else f"entry {case.causes[cause][0].entry_id}"
