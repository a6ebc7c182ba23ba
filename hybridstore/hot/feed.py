"""The feed of committed events: every one once, in the order they were committed, from any place of the history on.

There is no outbox: the rows themselves are the feed. Row numbers and commit times are given by one writer at a time in
one order, so what is behind a row number was committed behind it. Each round reads the next rows of every dataset in
one read transaction and merges them by commit, dataset and number. What a correction overwrote is told as it was, for
the correction is an event of its own. Rows that have moved into archives meanwhile are read from there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.feed_event import (
    CorrectionForm,
    Event,
    RowForm,
    Stored,
    Wanted,
    followed_datasets,
    inserted_row,
)
from hybridstore.hot.feed_history import ArchiveAhead, as_committed, begin_again, check_token
from hybridstore.hot.feed_source import Archive, Entry, Moment, Portion, Source, read_moment
from hybridstore.hot.feed_token import NUMBER_MAX, FeedToken, Place, TokenMaker, read_token
from hybridstore.hot.reader import ReadTransaction
from hybridstore.schema.internal import CORRECTIONS
from hybridstore.schema.types import moment


class Feed:
    """The events behind one place. One thread at a time asks for events; rounds may be made in another.

    Args:
        database: The open store.
        datasets: Names; None means all that can be followed.
        wanted: Which rows.
        token: Where to begin; None begins with what is committed from now on.
        from_start: Without a token: begin with the first row there ever was.
        archive: Opens what reads archived rows; called when it is first needed.

    Attributes:
        ready: What was read and not taken yet, in order.
    """

    def __init__(
        self,
        database: DatabaseManager,
        datasets: Iterable[str] | str | None,
        wanted: Wanted,
        *,
        token: str | None,
        from_start: bool,
        archive: Callable[[], Archive],
    ) -> None:
        self._database = database
        self._readers = database.readers
        self._statements = database.statements
        self._open_archive = archive
        self._archive: Archive | None = None
        self._lock = threading.Lock()
        self.ready: deque[Entry] = deque()
        followed = followed_datasets(database.registry, datasets, wanted)
        forms = {dataset.name: RowForm(dataset, wanted) for dataset in followed}
        self._sources = [
            Source(dataset, order, forms[dataset.name], self._statements)
            for order, dataset in enumerate(followed)
        ]
        # Within a commit corrections come last: what they correct may be of the same commit.
        self._corrections = Source(CORRECTIONS, len(followed), CorrectionForm(forms), self._statements)
        self._sources.append(self._corrections)
        self._by_name = {source.name: source for source in self._sources}
        now = read_moment(self._readers.rows(self._statements["feed_position"]))
        self._resumed: FeedToken | None = None
        self._ts_us = 0
        self._seen_us = -1
        self._behind = True
        self._slots: list[int] = []
        self._numbers: list[int] = []
        self._lay_out()
        if token is not None:
            self._resume(check_token(read_token(token), now, database, named=datasets is not None))
        elif not from_start:
            self._ts_us = self._seen_us = now.ts_us
            for source in self._sources:
                self._begin(source, source.end(now), now.ts_us)
        self._tokens = TokenMaker(now.mark, [(source.name, source.timed) for source in self._sources])
        self._token = self._make_token()
        self._committed = (-1, moment(0))

    def _lay_out(self) -> None:
        for source in self._sources:
            self._slots.append(len(self._numbers))
            self._numbers += [0, 0] if source.timed else [0]

    def _begin(self, source: Source, place: Place, ts_us: int) -> None:
        source.read = place
        source.horizon = (ts_us, 0, 0)
        self._tell(source, place)

    def _resume(self, token: FeedToken) -> None:
        self._resumed = token
        self._ts_us = token.ts_us
        for source in self._sources:
            self._begin(source, token.places.get(source.name, Place(0, 0)), token.ts_us)

    def _tell(self, source: Source, place: Place) -> None:
        slot = self._slots[source.order]
        if source.timed:
            self._numbers[slot] = place.ts_us
            slot += 1
        self._numbers[slot] = place.id

    # -- what the subscriber takes ------------------------------------------------------------------------------

    @property
    def token(self) -> str:
        """Where to go on behind what was taken."""
        if self._lock.acquire(blocking=False):  # otherwise a round is being made, and nothing was taken since
            try:
                if not self.ready:
                    self._settle()
            finally:
                self._lock.release()
        return self._token

    def take(self) -> Event | None:
        """Return the next event of those that were read.

        Returns:
            The event, or None where another round is needed.
        """
        if not self.ready:
            return None
        ts_us, order, row_id, row = self.ready.popleft()
        source = self._sources[order]
        self._tell(source, Place(ts_us, row_id))
        if source is self._corrections:
            self._tell_inserted(row)
        self._ts_us = ts_us
        if self._committed[0] != ts_us:
            self._committed = (ts_us, moment(ts_us))
        self._token = self._make_token()
        return source.form.event(row, self._committed[1], self._token)

    def _tell_inserted(self, correction: Stored) -> None:
        """A row that a correction inserted is told by it: go on behind it, for the correction is not read again."""
        name, inserted = inserted_row(correction)
        source = self._by_name[name]
        slot = self._slots[source.order]
        if not source.timed and inserted > self._numbers[slot]:
            self._numbers[slot] = inserted

    def _make_token(self) -> str:
        return self._tokens.text(self._ts_us, self._numbers)

    def _settle(self) -> None:
        """Everything that was read is told: go on behind it, also where it was nothing that is wanted."""
        bound = min(source.horizon for source in self._sources)
        if bound[0] < self._ts_us:
            return
        for source in self._sources:
            # Where corrections alone are advanced, rows they inserted would be told as if nothing had inserted them.
            if source.horizon == bound and (source is not self._corrections or bound[1] == NUMBER_MAX):
                self._tell(source, source.read)
        self._ts_us = bound[0]
        self._token = self._make_token()

    # -- rounds -------------------------------------------------------------------------------------------------

    def has_news(self) -> bool:
        """Say whether anything was committed since the last round: one point read.

        Returns:
            Whether a round is worth making.
        """
        ts_us: int = self._readers.rows(self._statements["commit_position"])[0][1]
        return ts_us > self._seen_us

    def read(self, rows_max: int, *, timeout_ms: float | None = None, archived: bool = True) -> bool:
        """Make a round: read the next rows of each dataset.

        Args:
            rows_max: Rows of a dataset at the most.
            timeout_ms: The round changes nothing when its statements take longer, ms; None never cancels it.
            archived: Whether archived files may be read.

        Returns:
            Whether more can be read at once. What was read is in ``ready``.

        Raises:
            StoreClosed: The store was closed.
            StoreError: The store does not hold what this subscriber was to be told.
            QueryTimeout: It took too long.
            ArchiveAhead: Archived files must be read, and may not be.
        """
        with self._lock:
            if self.ready:
                return self._behind
            self._settle()
            now, found = self._read_hot(rows_max, timeout_ms, archived=archived)
            for source, portion in found:
                source.accept(portion, now)
            bound = min(source.horizon for source in self._sources)
            self._behind = bound[1] != NUMBER_MAX or bound[0] < now.ts_us
            # A commit that was read in part is not seen.
            self._seen_us = bound[0] if bound[1] == NUMBER_MAX else bound[0] - 1
            self.ready += sorted(entry for source in self._sources for entry in source.release(bound))
            return self._behind

    def _read_hot(
        self, rows_max: int, timeout_ms: float | None, *, archived: bool
    ) -> tuple[Moment, list[tuple[Source, Portion]]]:
        with self._readers.transaction(timeout_ms) as transaction:
            now = read_moment(transaction.rows(self._statements["feed_position"]))
            if self._resumed is not None:
                archive = self._opened_archive if archived else None
                begin_again(transaction, self._statements, self._sources, self._resumed, now, archive)
                self._resumed = None
            found = []
            for source in self._sources:
                if source.entries:
                    continue
                portion = source.next_rows(transaction, now, rows_max)
                if portion.files and not archived:
                    raise ArchiveAhead
                if not portion.files:
                    portion = self._as_committed(transaction, source, portion, now)
                found.append((source, portion))
        return now, [
            (source, self._with_archived(source, portion, rows_max) if portion.files else portion)
            for source, portion in found
        ]

    def _as_committed(
        self, transaction: ReadTransaction, source: Source, portion: Portion, now: Moment | None
    ) -> Portion:
        """Return what was read as it was when it was committed first."""
        told = self._numbers[self._slots[self._corrections.order]]
        nothing = now is not None and self._corrections.end(now).id <= told
        return as_committed(transaction, self._statements, source, portion, None if nothing else told)

    def _with_archived(self, source: Source, portion: Portion, rows_max: int) -> Portion:
        """Add the rows of archived files. They are read after the transaction: an archived file never changes."""
        archived, through = self._opened_archive().rows(
            source.dataset, portion.files, source.read, portion.through, rows_max
        )
        hot = [row for row in portion.rows if source.place(row) <= through]
        rows = sorted([*archived, *hot], key=source.place)
        complete = portion.complete and through == portion.through
        with self._readers.transaction() as transaction:
            return self._as_committed(transaction, source, Portion(rows, through, complete, []), None)

    def _opened_archive(self) -> Archive:
        if self._archive is None:
            self._archive = self._open_archive()
        return self._archive
