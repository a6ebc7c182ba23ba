"""What importing a history brought: rows by kind, what was refused, and what the source had already lost."""

from __future__ import annotations

from decimal import Decimal

from hybridstore.integrations.exchange.report import Problem, StreamCounts
from hybridstore.records import Record


class Loss(Record, frozen=True, gc=False):
    """Something that the source does not hold, so that the store cannot hold it either.

    Attributes:
        what: What it is about: fills, fees, funding, numbers, ...
        rows: Of how many rows.
        said: A sentence.
    """

    what: str
    rows: int
    said: str


class ProfitCheck(Record, frozen=True, gc=False):
    """What a closed trade made, by its own program and by what was imported.

    Attributes:
        trade: Its number in the source.
        symbol: Its market.
        told: What the source says that it made, in the stake currency.
        computed: The same figure computed again by the definition of the source, from what was imported.
        told_ratio: The same as a ratio of what was put in.
        computed_ratio: And that computed again.
        booked: What the store's books make of it: realised, less fees, and funding; None in a dry run, and where its
            position is archived.
        is_reproduced: Whether what is told and what is computed are the same doubles, to their last digit.
    """

    trade: int
    symbol: str
    told: Decimal
    computed: Decimal
    told_ratio: Decimal
    computed_ratio: Decimal
    booked: Decimal | None
    is_reproduced: bool


class ImportReport(Record, frozen=True, gc=False):
    """What an import did, or, as a dry run, would do.

    Attributes:
        source: freqtrade, hummingbot or a dataset's name.
        path: The file.
        account: Whose books it went into; empty where each row says so itself.
        is_dry_run: Whether nothing was recorded; then ``new`` counts rows that the store's door would let in.
        kinds: Counts by kind of row.
        refused: Rows that the store cannot hold; all others are recorded.
        losses: What the source had lost before.
        profits: Closed trades whose profit the source tells.
    """

    source: str
    path: str
    account: str
    is_dry_run: bool
    kinds: dict[str, StreamCounts]
    refused: tuple[Problem, ...] = ()
    losses: tuple[Loss, ...] = ()
    profits: tuple[ProfitCheck, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether every row was taken, and every profit that the source tells came out again."""
        return not self.refused and all(profit.is_reproduced for profit in self.profits)

    @property
    def new(self) -> int:
        """How many rows the store did not know."""
        return sum(counts.new for counts in self.kinds.values())
