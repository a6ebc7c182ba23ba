"""Reading pages of exchanges that differ: everything is read, each row once, or it is said what may be missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from hybridstore.integrations.exchange.paging import Form, Read, read_history
from hybridstore.integrations.exchange.steps import Ask, Steps

Row = tuple[int, int]
"""Number and time, ms."""
WINDOW_MS = 100
END_MS = 2000
Exchange = Callable[[int | None, dict[str, Any]], list[Row]]


def read_all(exchange: Exchange, since_ms: int | None) -> tuple[Read, list[Row], int]:
    """Read an exchange; return what is said of it, the rows in the order they came, and how often it was asked."""
    form = Form(
        lambda since, params: Ask("fetch", (since, params)),
        lambda row: str(row[0]),
        lambda row: row[1],
        WINDOW_MS,
    )
    taken: list[Row] = []

    def take(rows: Sequence[Row]) -> Steps[None]:
        taken.extend(rows)
        yield from ()

    steps = read_history(form, since_ms, END_MS, take)
    asked, answer = 0, None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return end.value, taken, asked
        assert isinstance(step, Ask)
        asked += 1
        answer = exchange(*step.args)


def oldest_first(rows: list[Row], page: int, window_ms: int | None = None) -> Exchange:
    def told(since: int | None, params: dict[str, Any]) -> list[Row]:
        start, end = since or 0, params.get("until", END_MS)
        if window_ms is not None:
            end = min(end, start + window_ms)
        return [row for row in rows if start <= row[1] <= end][:page]

    return told


def newest_only(rows: list[Row], page: int, *, heeds_until: bool) -> Exchange:
    def told(since: int | None, params: dict[str, Any]) -> list[Row]:
        end = params.get("until", END_MS) if heeds_until else END_MS
        return [row for row in rows if (since or 0) <= row[1] <= end][-page:]

    return told


def shuffled(exchange: Exchange) -> Exchange:
    return lambda since, params: list(reversed(exchange(since, params)))


HISTORIES = st.lists(st.integers(0, END_MS), max_size=120).map(lambda times: list(enumerate(sorted(times))))


def is_crowded(rows: list[Row], page: int) -> bool:
    times = [at for _, at in rows]
    return any(times.count(at) >= page for at in set(times))


@given(
    HISTORIES, st.sampled_from([11, 20, 30]), st.integers(0, END_MS), st.sampled_from([None, WINDOW_MS, 250])
)
def test_pages_that_follow_a_moment_are_read_to_the_end(
    rows: list[Row], page: int, since_ms: int, window_ms: int | None
) -> None:
    assume(not is_crowded(rows, page))
    wanted = [row for row in rows if row[1] >= since_ms]
    for exchange in (oldest_first(rows, page, window_ms), shuffled(oldest_first(rows, page, window_ms))):
        read, taken, asked = read_all(exchange, since_ms)
        assert taken == sorted(wanted, key=lambda row: row[1])
        assert (read.rows, read.crowded_ms, read.is_cut) == (len(wanted), [], False)
        assert asked <= 3 + len(wanted) + END_MS // WINDOW_MS
        if wanted:
            assert (read.first_ms, read.last_ms) == (wanted[0][1], wanted[-1][1])


@given(HISTORIES, st.sampled_from([20, 50]), st.integers(0, END_MS))
def test_an_exchange_that_gives_the_newest_rows_is_read_backwards(
    rows: list[Row], page: int, since_ms: int
) -> None:
    assume(not is_crowded(rows, page))
    read, taken, _ = read_all(newest_only(rows, page, heeds_until=True), since_ms)
    assert sorted(taken) == [row for row in rows if row[1] >= since_ms]
    assert not read.is_cut


@given(HISTORIES, st.sampled_from([20, 50]))
@example([(number, number) for number in range(21)], 20)
@example([(number, number) for number in range(120)], 20)
def test_an_exchange_that_gives_nothing_else_is_told_to_be_cut(rows: list[Row], page: int) -> None:
    read, taken, _ = read_all(newest_only(rows, page, heeds_until=False), 0)
    assert taken == rows[-page:]
    if len(rows) > page and rows[-page][1] > 0 and not is_crowded(rows, page):
        assert read.is_cut


@given(st.integers(20, 60), st.integers(0, END_MS - 1))
def test_one_moment_with_more_rows_than_a_page_is_named(count: int, at_ms: int) -> None:
    rows = [*((number, at_ms) for number in range(count)), (count, at_ms + 1)]
    read, taken, _ = read_all(oldest_first(rows, 20), 0)
    assert read.crowded_ms == [at_ms]
    assert taken == [*rows[:20], rows[-1]], "what follows is read all the same"


def test_long_emptiness_is_not_asked_through_and_said() -> None:
    form = Form(lambda since, params: Ask("fetch", (since, params)), str, int, 1)

    def take(_rows: Sequence[Row]) -> Steps[None]:
        yield from ()

    steps = read_history(form, 0, 10_000_000, take)
    next(steps)
    asked = 1
    while True:
        try:
            steps.send([])
        except StopIteration as end:
            read = end.value
            break
        asked += 1
    assert asked < 1000
    ((from_ms, to_ms),) = read.skipped_ms
    assert (from_ms, to_ms) == (500, 9_999_999)


def test_without_a_moment_the_newest_page_is_read_once() -> None:
    rows = [(number, number) for number in range(100)]
    read, taken, asked = read_all(newest_only(rows, 20, heeds_until=True), None)
    assert (taken, asked, read.rows) == (rows[-20:], 1, 20)
