"""Pruning: files that a question cannot need stay closed, and no row is ever missing for it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from hybridstore.analytics.gate import admit
from hybridstore.analytics.pruning import Wanted, wanted_rows
from hybridstore.clock import DAY_US
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import moment
from hybridstore.store import HybridStore
from tests.analytics.ticks import FIRST_DAY, SYMBOLS, Tick

START_US = FIRST_DAY * DAY_US
BERLIN = timezone(timedelta(hours=2))
DAY_1 = moment(START_US + DAY_US)
DAY_2 = moment(START_US + 2 * DAY_US)
SECOND = 1_000_000


def us(at: datetime) -> int:
    return (at - moment(0)) // timedelta(microseconds=1)


def wanted(store: HybridStore, query: str, params: dict[str, Any] | None = None) -> Wanted:
    with store.analytics._engine.cursor() as cursor:
        question = admit(cursor, query, Registry())
    return wanted_rows(question.tree, Registry()["market_trades"], params or {})


UNDERSTOOD: list[tuple[str, dict[str, Any], tuple[int | None, int | None]]] = [
    ("traded_at >= $a", {"a": DAY_1}, (us(DAY_1), None)),
    ("traded_at > $a", {"a": DAY_1}, (us(DAY_1), None)),
    ("$a <= traded_at", {"a": DAY_1.astimezone(BERLIN)}, (us(DAY_1), None)),
    ("traded_at < $a", {"a": DAY_2}, (None, us(DAY_2) + 1)),
    ("traded_at <= $a", {"a": DAY_2}, (None, us(DAY_2) + 1)),
    ("traded_at = $a", {"a": DAY_2}, (us(DAY_2), us(DAY_2) + 1)),
    ("traded_at BETWEEN $a AND $b", {"a": DAY_1, "b": DAY_2}, (us(DAY_1), us(DAY_2) + 1)),
    (
        "traded_at >= $a AND traded_at < $b AND price > 5",
        {"a": DAY_1, "b": DAY_2},
        (us(DAY_1), us(DAY_2) + 1),
    ),
    ("traded_at >= $a AND (traded_at >= $b)", {"a": DAY_1, "b": DAY_2}, (us(DAY_2), None)),
    ("market_trades.traded_at >= $a", {"a": DAY_1}, (us(DAY_1), None)),
    ("TRADED_AT >= $a", {"a": DAY_1}, (us(DAY_1), None)),
    ("traded_at >= $a", {"a": DAY_1.isoformat()}, (us(DAY_1), None)),
    ("traded_at >= '1970-01-02'", {}, (DAY_US, None)),
    ("traded_at >= DATE '1970-01-02'", {}, (DAY_US, None)),
    ("traded_at >= TIMESTAMP '1970-01-02 00:00:01'", {}, (DAY_US + SECOND, None)),
    ("traded_at >= TIMESTAMPTZ '1970-01-02 02:00:01+02'", {}, (DAY_US + SECOND, None)),
    ("traded_at >= '1970-01-02T00:00:01.5Z'::TIMESTAMPTZ", {}, (DAY_US + SECOND + 500_000, None)),
    ("traded_at >= '1970-01-02 02:00:01+02:00'", {}, (DAY_US + SECOND, None)),
]

NOT_UNDERSTOOD: list[tuple[str, dict[str, Any]]] = [
    ("SELECT * FROM market_trades", {}),
    ("SELECT * FROM market_trades WHERE traded_at >= $a OR price > 5", {"a": DAY_1}),
    ("SELECT * FROM market_trades WHERE NOT traded_at >= $a", {"a": DAY_1}),
    ("SELECT * FROM market_trades WHERE traded_at <> $a", {"a": DAY_1}),
    ("SELECT * FROM market_trades WHERE traded_at >= $a + INTERVAL 1 DAY", {"a": DAY_1}),
    ("SELECT * FROM market_trades WHERE traded_at >= '2026-01-01 10:00 Europe/Berlin'", {}),
    ("SELECT * FROM market_trades WHERE traded_at >= TIMESTAMP '2026-01-01 10:00:00+05'", {}),
    ("SELECT * FROM market_trades WHERE traded_at >= DATE '2026-01-01 10:00:00'", {}),
    ("SELECT * FROM market_trades WHERE traded_at >= $a", {"a": datetime(2026, 1, 1)}),  # noqa: DTZ001  on purpose
    ("SELECT * FROM market_trades WHERE traded_at >= $a", {"a": None}),
    ("SELECT * FROM market_trades WHERE recorded_at >= $a", {"a": DAY_1}),
    ("SELECT * FROM market_trades WHERE traded_at::DATE >= '2026-01-01'", {}),
    ("SELECT * FROM market_trades WHERE traded_at >= recorded_at", {}),
    ("SELECT * FROM market_trades t(traded_at, b) WHERE traded_at >= $a", {"a": DAY_1}),
    ("SELECT * FROM market_trades TABLESAMPLE 10% WHERE traded_at >= $a", {"a": DAY_1}),
    ("SELECT * FROM market_trades, candles WHERE traded_at >= $a", {"a": DAY_1}),
    ("SELECT * FROM candles LEFT JOIN market_trades ON true WHERE traded_at >= $a", {"a": DAY_1}),
    ("SELECT * FROM market_trades WHERE traded_at >= $a UNION ALL FROM market_trades", {"a": DAY_1}),
    (
        "SELECT * FROM market_trades WHERE traded_at >= $a AND price > (SELECT avg(price) FROM market_trades)",
        {"a": DAY_1},
    ),
    (
        "WITH market_trades AS (FROM market_trades) SELECT * FROM market_trades WHERE traded_at >= $a",
        {"a": DAY_1},
    ),
    ("SELECT sum(price) FILTER (WHERE traded_at >= $a) FROM market_trades", {"a": DAY_1}),
    ("SELECT * FROM (FROM market_trades) WHERE traded_at >= $a", {"a": DAY_1}),
    ("SELECT * FROM market_trades HAVING traded_at >= $a", {"a": DAY_1}),
]


@pytest.mark.parametrize(("condition", "params", "bounds"), UNDERSTOOD)
def test_a_plain_condition_bounds_the_time(
    store: HybridStore, condition: str, params: dict[str, Any], bounds: tuple[int | None, int | None]
) -> None:
    found = wanted(store, f"SELECT * FROM market_trades WHERE {condition}", params)
    assert (found.start_us, found.end_us) == bounds


@pytest.mark.parametrize(("query", "params"), NOT_UNDERSTOOD)
def test_anything_else_bounds_nothing(store: HybridStore, query: str, params: dict[str, Any]) -> None:
    assert wanted(store, query, params) == Wanted()


def test_an_alias_qualifies_and_hides_the_name(store: HybridStore) -> None:
    query = "SELECT * FROM market_trades AS t WHERE {}.traded_at >= '1970-01-02'"
    assert wanted(store, query.format("t")).start_us == DAY_US
    assert wanted(store, query.format("market_trades")) == Wanted()


def test_a_symbol_is_a_bound(store: HybridStore) -> None:
    assert wanted(store, "FROM market_trades WHERE symbol = 'BTC/USDT'").symbol == "BTC/USDT"
    assert wanted(store, "FROM market_trades WHERE symbol = $s", {"s": "A/B"}).symbol == "A/B"
    assert wanted(store, "FROM market_trades WHERE symbol >= 'BTC/USDT'").symbol is None
    assert wanted(store, "FROM market_trades WHERE symbol = 5::VARCHAR").symbol is None


def test_a_bound_in_a_part_of_a_question_counts_for_its_only_use(store: HybridStore) -> None:
    query = (
        "WITH recent AS (SELECT * FROM market_trades WHERE traded_at >= '1970-01-02')"
        " SELECT a.price FROM recent a JOIN recent b USING (id) WHERE a.traded_at >= '1980-01-01'"
    )
    assert wanted(store, query).start_us == DAY_US


texts = st.sampled_from((
    "{a} <= traded_at AND traded_at < {b}",
    "traded_at BETWEEN {a} AND {b}",
    "traded_at > {a}",
    "traded_at <= {b}",
    "traded_at >= {a} OR traded_at < {b}",
    "traded_at = {a}",
    "NOT (traded_at < {a})",
    "symbol = {s} AND traded_at > {a}",
    "symbol = {s}",
    "symbol <> {s} AND traded_at <= {b}",
))  # fmt: skip
offsets = st.integers(-DAY_US, 7 * DAY_US)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts, a=offsets, b=offsets, symbol=st.sampled_from((*SYMBOLS, "NO/SUCH")), literal=st.booleans())
def test_no_row_is_missing(
    tiered: HybridStore, ticks: list[Tick], text: str, a: int, b: int, symbol: str, *, literal: bool
) -> None:
    """The same condition on a sub-query, which pruning does not understand, gives the same rows."""
    values = {"a": moment(START_US + a), "b": moment(START_US + b), "s": symbol}
    names = {name: f"'{value}'" if literal else f"${name}" for name, value in values.items()}
    params = {} if literal else {name: value for name, value in values.items() if f"{{{name}}}" in text}
    condition = text.format(**names)

    pruned = tiered.sql(f"SELECT trade_id FROM market_trades WHERE {condition} ORDER BY 1", **params)
    whole = tiered.sql(f"SELECT trade_id FROM (FROM market_trades) WHERE {condition} ORDER BY 1", **params)
    assert pruned.rows() == whole.rows()


def test_files_of_other_days_are_not_opened(tiered: HybridStore, ticks: list[Tick]) -> None:
    for path in sorted((tiered.root / "archives").rglob("*.parquet"))[:2]:
        path.unlink()
    count = tiered.sql("SELECT count(*) FROM market_trades WHERE traded_at >= $start", start=DAY_2)
    assert count.rows() == [(sum(tick.traded_us >= us(DAY_2) for tick in ticks),)]


def test_no_file_left_is_an_answer(tiered: HybridStore) -> None:
    question = "SELECT count(*), sum(price) FROM market_trades WHERE traded_at < '1980-01-01'"
    assert tiered.sql(question).rows() == [(0, None)]


def test_a_column_goes_before_an_alias_of_its_name(tiered: HybridStore, ticks: list[Tick]) -> None:
    """The engine reads a name in WHERE as the column first; were it the alias, pruning by it would be wrong."""
    question = (
        "SELECT TIMESTAMPTZ '2500-01-01' AS traded_at FROM market_trades WHERE traded_at < '2400-01-01'"
    )
    assert len(tiered.sql(question)) == len(ticks)
