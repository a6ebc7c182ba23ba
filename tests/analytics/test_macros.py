"""dmul, dmul_round and ddiv against Decimal in a context of a hundred digits."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path

import duckdb
import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from hybridstore.analytics.engine import Engine
from hybridstore.named_sql import load_named_sql
from hybridstore.store import HybridStore
from tests.analytics.ticks import SYMBOLS, Tick, notional

WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)
UNIT = Decimal("1e-18")
LIMIT = Decimal(10) ** 20
DIVISOR_LIMIT = Decimal(10) ** 14
amounts = st.builds(
    lambda sign, digits, size, places: Decimal(sign * (digits % 10**size)).scaleb(-places, WIDE),
    st.sampled_from((1, -1)),
    st.integers(0, 10**38 - 1),
    st.integers(1, 38),
    st.integers(0, 18),
).filter(lambda amount: amount.copy_abs() < LIMIT)
MOST = Decimal("99999999999999999999.999999999999999999")


@pytest.fixture(scope="module")
def cursor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    engine = Engine(tmp_path_factory.mktemp("root"))
    with engine.cursor() as opened:
        yield opened
    engine.close()


def evaluate(cursor: duckdb.DuckDBPyConnection, macro: str, a: Decimal, b: Decimal) -> Decimal | None:
    """Return what a macro makes of two amounts, or None where it is an error."""
    query = f"SELECT {macro}(a, b) AS result FROM (SELECT $a::DECIMAL(38, 18) AS a, $b::DECIMAL(38, 18) AS b)"
    relation = cursor.sql(query, params={"a": f"{a:f}", "b": f"{b:f}"})
    assert str(relation.types[0]) == "DECIMAL(38,18)"
    try:
        result: Decimal = relation.fetchall()[0][0]
    except duckdb.Error:
        return None
    return result


def rounded(value: Decimal) -> Decimal | None:
    """Return a value at 18 places, or None where it does not fit."""
    result = value.quantize(UNIT, context=WIDE) if value.copy_abs() < LIMIT * 10 else value
    return result if result.copy_abs() < LIMIT else None


@given(a=amounts, b=amounts)
@example(a=Decimal(10), b=Decimal(10))
@example(a=MOST, b=Decimal(1))
@example(a=MOST.copy_negate(), b=Decimal(-1))
@example(a=UNIT, b=Decimal(1))
@example(a=UNIT, b=UNIT)
@example(a=Decimal("1e-9"), b=Decimal("1e-9"))
@example(a=Decimal("9999999999.999999999"), b=Decimal("9999999999.999999999"))
def test_a_product_is_exact_or_an_error(cursor: duckdb.DuckDBPyConnection, a: Decimal, b: Decimal) -> None:
    exact = WIDE.multiply(a, b)
    fits = rounded(exact) == exact
    assert evaluate(cursor, "dmul", a, b) == (exact if fits else None)


@given(a=amounts, b=amounts)
@example(a=Decimal("0.5"), b=UNIT)
@example(a=Decimal("1.5"), b=UNIT)
@example(a=Decimal("-0.5"), b=UNIT)
@example(a=Decimal("-1.5"), b=UNIT)
def test_a_rounded_product_rounds_half_to_even(
    cursor: duckdb.DuckDBPyConnection, a: Decimal, b: Decimal
) -> None:
    assert evaluate(cursor, "dmul_round", a, b) == rounded(WIDE.multiply(a, b))


@given(a=amounts, b=amounts)
@example(a=Decimal(1), b=Decimal(3))
@example(a=Decimal(2), b=Decimal(-3))
@example(a=UNIT, b=Decimal(2))
@example(a=3 * UNIT, b=Decimal(2))
@example(a=-3 * UNIT, b=Decimal(2))
@example(a=MOST, b=WIDE.subtract(DIVISOR_LIMIT, UNIT))
@example(a=MOST, b=UNIT)
@example(a=Decimal(1), b=DIVISOR_LIMIT)
@example(a=Decimal(1), b=Decimal(0))
def test_a_quotient_rounds_half_to_even(cursor: duckdb.DuckDBPyConnection, a: Decimal, b: Decimal) -> None:
    result = evaluate(cursor, "ddiv", a, b)
    if b == 0 or b.copy_abs() >= DIVISOR_LIMIT:
        assert result is None
    else:
        assert result == rounded(WIDE.divide(a, b))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("dmul(0.000000000000000001, 0.1)", "more than 18 decimal places"),
        ("ddiv(1, 0)", "division by zero"),
        ("ddiv(1, 200000000000000)", "1e14"),
    ],
)
def test_an_error_says_what_to_do(cursor: duckdb.DuckDBPyConnection, expression: str, message: str) -> None:
    with pytest.raises(duckdb.Error, match=message):
        cursor.sql(f"SELECT {expression}").fetchall()


def test_null_stays_null(cursor: duckdb.DuckDBPyConnection) -> None:
    products = "dmul(NULL, 1), dmul(1, NULL), dmul_round(NULL, 1)"
    query = f"SELECT {products}, ddiv(NULL, 2), ddiv(1, NULL), ddiv(1, nullif(0, 0))"
    assert cursor.sql(query).fetchall() == [(None,) * 6]


def test_ticks_are_multiplied_without_overflow(cursor: duckdb.DuckDBPyConnection) -> None:
    """The engine's own product of two DECIMAL(18,8) stays in 18 digits and overflows at 100."""
    factors = "SELECT 60000::DECIMAL(18, 8) AS price, 2.5::DECIMAL(18, 8) AS amount"
    with pytest.raises(duckdb.OutOfRangeException):
        cursor.sql(f"SELECT price * amount FROM ({factors})").fetchall()
    assert cursor.sql(f"SELECT dmul(price, amount) FROM ({factors})").fetchall() == [(Decimal(150000),)]


def test_sums_of_products_equal_decimal_arithmetic(tiered: HybridStore, ticks: list[Tick]) -> None:
    query = "SELECT symbol, sum(dmul(price, amount)) FROM market_trades GROUP BY symbol ORDER BY symbol"
    expected = [(symbol, notional([tick for tick in ticks if tick.symbol == symbol])) for symbol in SYMBOLS]
    assert tiered.sql(query).rows() == expected


def test_the_macros_are_portable_sql(tmp_path: Path) -> None:
    """Any other DuckDB can have them: each block is one statement without a setting of this session."""
    with duckdb.connect() as other:
        for macro in load_named_sql("hybridstore.analytics", "macros.sql").values():
            other.execute(macro)
        assert other.sql("SELECT ddiv(1, 8)").fetchall() == [(Decimal("0.125"),)]
