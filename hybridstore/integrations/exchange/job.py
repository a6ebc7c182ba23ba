"""One reading of an exchange: what it is for, what it knows of the store, and what it has found so far."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from hybridstore.errors import ExchangeError, InvalidValue
from hybridstore.hot.desk import Desk
from hybridstore.integrations.exchange.cursor import Cursor, cursor_name, decode_cursor, encode_cursor
from hybridstore.integrations.exchange.paging import Form, Read, read_history
from hybridstore.integrations.exchange.report import Problem, StreamCounts, SyncReport, counted
from hybridstore.integrations.exchange.steps import Keep, Put, Steps, Write
from hybridstore.integrations.exchange.unified import figure
from hybridstore.integrations.integration import LOG
from hybridstore.schema.types import to_decimal

_OF_MANY = {"record_candles", "record_market_trades", "record_ledger_entries"}
"""Calls that take rows."""
_KNOWN_MAX = 20
"""Of so many problems of one kind each is told; beyond that they are counted in the log."""


class Job:
    """What the streams of one reading share.

    Args:
        exchange: ccxt's exchange object; only what it says of itself is read here.
        desk: Point reads of the store.
        account: Whose books.
        tags: strategy and bot of what is recorded.
        cursors: Cursors of the store, by name.
        since_ms: The moment that was asked for; None takes the cursors' and ``default_ms``.
        default_ms: Where to begin without a cursor.
        overlap_ms: How much is read again before a cursor: exchanges tell some rows late.

    Attributes:
        exchange_id: ccxt's id of the exchange.
        default_type: What kind of markets the exchange object is set to, as swap; empty where it is to none.
        now_ms: The present by the exchange's clock.
        markets: Structures by symbol, once they are loaded.
        symbols: Markets to ask about.
        orders_seen: Orders the exchange has named, each its market and id.
        failures: What the exchange refused to tell.
        filled_by_order: Amounts of the fills that were told, by order.
    """

    def __init__(
        self,
        exchange: Any,
        desk: Desk,
        account: str,
        tags: Mapping[str, str],
        cursors: Mapping[str, str],
        *,
        since_ms: int | None,
        default_ms: int,
        overlap_ms: int,
    ) -> None:
        self.exchange_id = str(exchange.id)
        self.default_type = str((getattr(exchange, "options", None) or {}).get("defaultType", ""))
        self.desk, self.account = desk, account
        self.tags: dict[str, Any] = {"account": account, **tags}
        self.markets: Mapping[str, Mapping[str, Any]] = {}
        self.symbols: tuple[str, ...] = ()
        self.now_ms = 0
        self._has: Mapping[str, Any] = exchange.has
        self._cursors = dict(cursors)
        self._since_ms, self._default_ms, self._overlap_ms = since_ms, default_ms, overlap_ms
        self._streams: dict[str, StreamCounts] = {}
        self._problems: dict[str, list[Problem]] = {"gaps": [], "refused": [], "differences": []}
        self._unsupported: list[str] = []
        self._left_out: dict[str, int] = {}
        self.failures: list[ExchangeError] = []
        self._refused_in: set[tuple[str, str]] = set()
        self._trades_from_ms: dict[str, int] = {}
        self.orders_seen: set[tuple[str, str]] = set()
        self._filled_since: dict[tuple[str, str], tuple[int, Decimal]] = {}
        self.filled_by_order: dict[tuple[str, str], list[str]] = {}

    # -- what the exchange can be asked --------------------------------------------------------------------------

    def can(self, method: str) -> bool:
        """Say whether the exchange has a method of ccxt.

        Args:
            method: Its name in ccxt's ``has``, for example fetchMyTrades.

        Returns:
            Whether it has.
        """
        return bool(self._has.get(method))

    def note_unsupported(self, stream: str) -> None:
        """Note that the exchange cannot be asked for a kind.

        Args:
            stream: The kind.
        """
        if stream not in self._unsupported:
            self._unsupported.append(stream)

    @property
    def cursor_names(self) -> list[str]:
        """Names of all cursors of the store."""
        return list(self._cursors)

    def market(self, symbol: str) -> Mapping[str, Any]:
        """Return ccxt's structure of a market.

        Args:
            symbol: The market.

        Returns:
            The structure; empty where the exchange does not list it any more.
        """
        return self.markets.get(symbol) or {}

    # -- histories -----------------------------------------------------------------------------------------------

    def read(
        self,
        stream: str,
        part: str,
        form: Form,
        writes: Callable[[Any], Iterable[Write]],
        *,
        newest: bool = False,
        held_back: Sequence[int] = (),
        overlap_ms: int = 0,
    ) -> Steps[Read]:
        """Read a history from its cursor on, record it, and move the cursor.

        Args:
            stream: Which kind.
            part: Of which market; empty where it is of none.
            form: How to ask.
            writes: What to record of a row.
            newest: Without a cursor and a moment that was asked for, read the newest page only.
            held_back: Moments, ms, that ``writes`` adds rows of which cannot be recorded yet; the cursor stays before
                them.
            overlap_ms: How much is read again at the least, ms: rows that are still changing.

        Returns:
            What was read.
        """
        name = cursor_name(self.account, self.exchange_id, stream, part)
        before = decode_cursor(self._cursors.get(name))
        since_ms: int | None = max(self._begin(before, overlap_ms), self._listed_ms(part))
        if before is None and newest and self._since_ms is None:
            since_ms = None
        if stream == "trades" and since_ms is not None:
            self._trades_from_ms[part] = since_ms

        def take(rows: Sequence[Any]) -> Steps[None]:
            yield from self.put(stream, part, rows, writes)

        def progress(read: Read) -> Steps[None]:
            # Of an overlap all is known, and before what a cursor speaks of there may be no hole.
            is_further = before is None or (since_ms is not None and before.from_ms <= since_ms)
            known_ms = 0 if before is None else before.until_ms
            if (
                is_further
                and read.last_ms > known_ms
                and not held_back
                and (stream, part) not in self._refused_in
            ):
                yield from self._keep(name, before, since_ms, read, min(self.now_ms, read.last_ms))

        self.count(stream, StreamCounts())
        read = yield from read_history(form, since_ms, self.now_ms, take, progress)
        self._note_missing(stream, part, before, since_ms, read)
        if (stream, part) not in self._refused_in:
            yield from self._keep(name, before, since_ms, read, min([self.now_ms, *held_back]))
        return read

    def has_read(self, stream: str, part: str) -> bool:
        """Say whether any row of a history was ever read.

        Args:
            stream: Which kind.
            part: Of which market.

        Returns:
            Whether it was.
        """
        names = (cursor_name(self.account, self.exchange_id, stream, one) for one in (part, ""))
        found = (decode_cursor(self._cursors.get(name)) for name in names)
        return any(cursor is not None and cursor.last_id is not None for cursor in found)

    def note_order(self, row: Mapping[str, Any]) -> None:
        """Remember an order that the exchange named, to compare it with its fills and with what the store has open.

        Args:
            row: ccxt's order structure.
        """
        key = (str(row.get("symbol")), str(row.get("id")))
        self.orders_seen.add(key)
        filled = figure(row.get("filled"), "filled")
        if filled is not None and row.get("timestamp") is not None:
            self._filled_since[key] = (int(row["timestamp"]), to_decimal(filled, "filled"))

    def filled_orders(self) -> dict[tuple[str, str], Decimal]:
        """Return what orders say is filled, of those whose fills were all asked for.

        Returns:
            Amounts by market and order.
        """
        begun = self._trades_from_ms
        return {
            (symbol, order_id): filled
            for (symbol, order_id), (made_ms, filled) in self._filled_since.items()
            if made_ms >= min(begun.get(symbol, self.now_ms + 1), begun.get("", self.now_ms + 1))
        }

    def _listed_ms(self, part: str) -> int:
        created = self.market(part.partition(" ")[0]).get("created")
        return int(created) if created is not None else 0

    def _begin(self, before: Cursor | None, overlap_ms: int) -> int:
        if before is None:
            return self._default_ms if self._since_ms is None else self._since_ms
        if self._since_ms is not None and self._since_ms < before.from_ms:
            return self._since_ms
        return max(before.until_ms - max(self._overlap_ms, overlap_ms), before.from_ms)

    def _note_missing(
        self, stream: str, part: str, before: Cursor | None, since_ms: int | None, read: Read
    ) -> None:
        for at_ms in read.crowded_ms:
            self.problem(
                "gaps", stream, part, f"more rows at {at_ms} ms than {self.exchange_id} gives at once"
            )
        for from_ms, to_ms in read.skipped_ms:
            self.problem(
                "gaps", stream, part, f"from {from_ms} to {to_ms} ms was not asked, for long nothing had come"
            )
        if before is not None and before.last_id in read.ids:
            return
        if read.is_cut:
            self.problem(
                "gaps", stream, part,
                f"{self.exchange_id} gives the newest {read.rows} only: what lies between {since_ms} and "
                f"{read.first_ms} ms may be missing",
            )  # fmt: skip
        if before is not None and before.last_id and since_ms is not None and before.last_ms >= since_ms:
            self.problem(
                "gaps", stream, part,
                f"{before.last_id!r} of {before.last_ms} ms, the last that was read before, is not told any more: what "
                f"followed it may be missing up to {read.first_ms or self.now_ms} ms",
            )  # fmt: skip

    def _keep(
        self, name: str, before: Cursor | None, since_ms: int | None, read: Read, until_ms: int
    ) -> Steps[None]:
        from_ms = (
            since_ms if since_ms is not None else read.first_ms if read.first_ms is not None else self.now_ms
        )
        last_id, last_ms = read.last_id, read.last_ms
        if before is not None:
            from_ms = min(from_ms, before.from_ms)
            if before.last_ms > last_ms:
                last_id, last_ms = before.last_id, before.last_ms
        cursor = Cursor(min(from_ms, until_ms), until_ms, last_id, last_ms)
        self._cursors[name] = encode_cursor(cursor)
        yield Keep(name, self._cursors[name])

    # -- writing -------------------------------------------------------------------------------------------------

    def put(
        self, stream: str, part: str, rows: Sequence[Any], writes: Callable[[Any], Iterable[Write]]
    ) -> Steps[None]:
        """Record rows, and count what became of them.

        Args:
            stream: Which kind.
            part: Of which market.
            rows: The exchange's structures.
            writes: What to record of one.
        """
        calls: list[Write] = []
        for row in rows:
            try:
                calls += writes(row)
            except (InvalidValue, ArithmeticError, KeyError, TypeError) as error:
                self.refuse(stream, part, error)
        outcomes: list[Any] = []
        for call, group in itertools.groupby(calls, key=lambda write: write.call):
            several = list(group)
            if call in _OF_MANY:
                outcomes += yield from _put_together(several)
            else:
                outcomes += yield Put(several)
        counts = StreamCounts(read=len(rows))
        for outcome in outcomes:
            if isinstance(outcome, InvalidValue):
                self.refuse(stream, part, outcome)
            else:
                counts += counted(outcome)
        self.count(stream, counts)

    def count(self, stream: str, counts: StreamCounts) -> None:
        """Add to what was read of a kind.

        Args:
            stream: The kind.
            counts: What was read.
        """
        self._streams[stream] = self._streams.get(stream, StreamCounts()) + counts

    def refuse(self, stream: str, part: str, error: Exception) -> None:
        """Note that a row cannot be recorded; its history will be read again.

        Args:
            stream: Which kind.
            part: Of which market.
            error: Why.
        """
        self._refused_in.add((stream, part))
        self.problem("refused", stream, part, f"{type(error).__name__}: {error}")

    def problem(self, kind: str, stream: str, part: str, said: str) -> None:
        """Note something that is missing or does not agree.

        Args:
            kind: gaps, refused or differences.
            stream: Which kind of history.
            part: Of which market.
            said: A sentence.
        """
        found = self._problems[kind]
        found.append(Problem(stream, part, said))
        if len(found) <= _KNOWN_MAX:
            LOG.warning("%s %s %s: %s", self.exchange_id, stream, part, said)

    def fail(self, error: ExchangeError) -> None:
        """Note that the exchange refused to tell something.

        Args:
            error: What it said.
        """
        self.failures.append(error)

    def leave_out(self, kind: str) -> None:
        """Count an entry of the exchange's ledger that something else tells.

        Args:
            kind: Its type there.
        """
        self._left_out[kind] = self._left_out.get(kind, 0) + 1

    def report(self) -> SyncReport:
        """Say what was found.

        Returns:
            The report.
        """
        return SyncReport(
            self.exchange_id,
            self.account,
            self.symbols,
            self.now_ms,
            dict(self._streams),
            tuple(self._problems["gaps"]),
            tuple(self._problems["refused"]),
            tuple(self._problems["differences"]),
            tuple(self._unsupported),
            dict(self._left_out),
        )


def _put_together(writes: Sequence[Write]) -> Steps[list[Any]]:
    """Make one call of many; where it is refused, each for itself, so that one row does not keep the others out."""
    outcomes = yield Put([Write(writes[0].call, ([row for write in writes for row in write.args[0]],))])
    if isinstance(outcomes[0], InvalidValue) and len(writes) > 1:
        outcomes = yield Put(list(writes))
    return list(outcomes)
