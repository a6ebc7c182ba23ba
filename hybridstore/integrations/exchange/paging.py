"""Reading a history page by page: forwards in time, to the end, without a hole between two pages.

Exchanges differ. Some give what follows a moment, oldest first; some give the newest rows after it; some answer only
for a window of some days; all give no more than so many at once, and few say how many. So a page is known by its rows
alone: reading ends when a page brings nothing new and no time is left, and a first page that was also the last is
looked behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from hybridstore.integrations.exchange.steps import Ask, Steps

_PROBED_ROWS = 10
"""A page with fewer rows was not cut by any exchange."""
_WINDOWS_MAX = 60
"""No exchange's window is so many times the shortest one."""
_EMPTY_MAX = 500
"""So many windows without a row in a row are enough: ten years of weeks, three weeks of hours."""
_PAGE_UNIT = 10
"""Exchanges cut pages at round numbers."""


class Form(msgspec.Struct, frozen=True):
    """How rows of a history are asked for and told apart.

    Attributes:
        ask: Gives the question for what follows a moment, ms (None: the newest), with ccxt's params.
        id_of: What a row is known by.
        ms_of: Its time, ms; None where it has none.
        window_ms: An exchange may answer only for so long after the moment that it is asked for.
    """

    ask: Callable[[int | None, dict[str, Any]], Ask]
    id_of: Callable[[Any], str]
    ms_of: Callable[[Any], int | None]
    window_ms: int


class Read(msgspec.Struct):
    """What was read.

    Attributes:
        rows: How many different rows.
        first_ms: Time of the earliest; None where there was none.
        last_ms: Time of the latest.
        last_id: The latest.
        ids: All of them.
        crowded_ms: Moments with more rows than a page holds: some may be missing.
        skipped_ms: Stretches, from and to, that were not asked about, for nothing had come for long.
        is_cut: Whether there was one page, as full as an exchange makes them, and nothing could be read behind it.
    """

    rows: int = 0
    first_ms: int | None = None
    last_ms: int = 0
    last_id: str | None = None
    ids: set[str] = msgspec.field(default_factory=set)
    crowded_ms: list[int] = msgspec.field(default_factory=list)
    skipped_ms: list[tuple[int, int]] = msgspec.field(default_factory=list)
    is_cut: bool = False


Take = Callable[[Sequence[Any]], Steps[None]]
Progress = Callable[[Read], Steps[None]]


def read_history(
    form: Form, since_ms: int | None, end_ms: int, take: Take, progress: Progress | None = None
) -> Steps[Read]:
    """Read everything from a moment on.

    Args:
        form: How to ask.
        since_ms: The moment; None reads the newest page only.
        end_ms: The present, by the exchange's clock.
        take: Does something with the rows of each page that were not in one before, oldest first.
        progress: Told when everything up to the last row is read, and more may follow.

    Returns:
        What was read.
    """
    read = Read()
    if since_ms is None:
        rows = yield form.ask(None, {})
        yield from _take_new(form, rows, read, take)
        return read
    position, pages, page_rows, is_windowed, empty = since_ms, 0, 0, True, 0
    while True:
        rows = yield form.ask(position, {})
        is_windowed = is_windowed and all(_lies_in(form, row, position) for row in rows)
        if (yield from _take_new(form, rows, read, take)):
            pages += 1
            page_rows, empty = page_rows or len(rows), 0
            position = max(position, read.last_ms)
            if (
                pages > 1 and progress is not None
            ):  # by the first alone it is not known that none lie before it
                yield from progress(read)
        elif _is_full(rows) and all(form.ms_of(row) == position for row in rows):
            read.crowded_ms.append(position)  # the whole page is of one moment, and begins anew each time
            position += 1
        elif is_windowed and position + form.window_ms < end_ms:
            empty += 1
            if empty > _EMPTY_MAX and position < end_ms - 2 * form.window_ms:
                read.skipped_ms.append((position, end_ms - form.window_ms))
                position = end_ms - 2 * form.window_ms
            position += form.window_ms
        else:
            break
    if pages == 1 and page_rows >= _PROBED_ROWS:
        yield from _read_backwards(form, since_ms, read, take)
    return read


def _lies_in(form: Form, row: Any, position: int) -> bool:
    """Say whether a row may be of the window it was asked for; else there is none, or the moment is not heeded."""
    at_ms = form.ms_of(row)
    return at_ms is None or position <= at_ms <= position + _WINDOWS_MAX * form.window_ms


def _is_full(rows: Sequence[Any]) -> bool:
    return len(rows) > _PROBED_ROWS and len(rows) % _PAGE_UNIT == 0


def _read_backwards(form: Form, since_ms: int, read: Read, take: Take) -> Steps[None]:
    """Read what lies before the first page, in case that the exchange gave the newest rows first."""
    while read.first_ms is not None and read.first_ms > since_ms:
        before = read.first_ms
        rows = yield form.ask(since_ms, {"until": before})
        if not (yield from _take_new(form, rows, read, take)):
            read.is_cut = _is_full(rows)  # it gives the same again, whatever it is asked for
            return
        if read.first_ms >= before:
            return


def _in_order(form: Form, rows: Sequence[Any]) -> list[Any]:
    """Put a page in order of time; rows of one moment by their numbers, else in the order of the page."""
    if rows and (form.ms_of(rows[0]) or 0) > (form.ms_of(rows[-1]) or 0):
        rows = list(reversed(rows))

    def place(row: Any) -> tuple[int, int]:
        row_id = form.id_of(row)
        return form.ms_of(row) or 0, int(row_id) if row_id.isdecimal() else 0

    return sorted(rows, key=place)


def _take_new(form: Form, rows: Sequence[Any], read: Read, take: Take) -> Steps[int]:
    new = []
    for row in _in_order(form, rows):
        row_id = form.id_of(row)
        if row_id not in read.ids:
            read.ids.add(row_id)
            new.append(row)
    if new:
        yield from take(new)
        read.rows += len(new)
        for row in new:
            at_ms = form.ms_of(row)
            if at_ms is not None:
                read.first_ms = at_ms if read.first_ms is None else min(read.first_ms, at_ms)
                if at_ms >= read.last_ms:
                    read.last_ms, read.last_id = at_ms, form.id_of(row)
    return len(new)
