"""What reading an exchange brought: rows by kind, and whatever is missing or does not agree."""

from __future__ import annotations

from hybridstore.hot.rows import RowCounts
from hybridstore.records import Record


class StreamCounts(Record, frozen=True, gc=False):
    """What was read of one kind.

    Attributes:
        read: Rows the exchange gave, each counted once.
        new: Those that the store did not know.
        repeated: Those that it knew.
        corrected: Those that it knew with another content.
    """

    read: int = 0
    new: int = 0
    repeated: int = 0
    corrected: int = 0

    def __add__(self, other: StreamCounts) -> StreamCounts:
        """Add what was read besides."""
        return StreamCounts(
            self.read + other.read,
            self.new + other.new,
            self.repeated + other.repeated,
            self.corrected + other.corrected,
        )


def counted(outcome: object) -> StreamCounts:
    """Count what became of a write.

    Args:
        outcome: What the store's call returned.

    Returns:
        The counts.
    """
    if isinstance(outcome, RowCounts):
        return StreamCounts(0, outcome.inserted, outcome.repeated, outcome.corrected)
    if isinstance(outcome, bool):  # an order: whether its state changed
        return StreamCounts(0, int(outcome), int(not outcome))
    if getattr(outcome, "repeated", False):
        return StreamCounts(repeated=1)
    return StreamCounts(corrected=1) if getattr(outcome, "corrected", False) else StreamCounts(new=1)


class Problem(Record, frozen=True, gc=False):
    """Something that was not recorded, or that does not agree.

    Attributes:
        stream: Which kind of history: trades, orders, ...
        part: Of which market or asset; empty where it is of none.
        said: A sentence.
    """

    stream: str
    part: str
    said: str


class SyncReport(Record, frozen=True, gc=False):
    """What one reading of an exchange brought.

    Attributes:
        exchange: ccxt's id of the exchange.
        account: Whose books it went into.
        markets: Markets that were asked about.
        until_ms: By the exchange's clock: what happened before is in the store, ms since 1970.
        streams: Counts by kind.
        gaps: Where rows are missing that the exchange does not give any more, or not all at once.
        refused: Rows that the store cannot hold. Each reading asks for them again.
        differences: Where the exchange's own sums and the store's books part.
        unsupported: Kinds that this exchange cannot be asked for.
        left_out: How many entries of the exchange's ledger were of types that other kinds tell, by type.
    """

    exchange: str
    account: str
    markets: tuple[str, ...]
    until_ms: int
    streams: dict[str, StreamCounts]
    gaps: tuple[Problem, ...]
    refused: tuple[Problem, ...]
    differences: tuple[Problem, ...]
    unsupported: tuple[str, ...]
    left_out: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether everything is there and agrees."""
        return not (self.gaps or self.refused or self.differences)

    @property
    def new(self) -> int:
        """How many rows the store did not know."""
        return sum(counts.new for counts in self.streams.values())
