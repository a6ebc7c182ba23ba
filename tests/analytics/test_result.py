"""Results: money as Decimal, times aware, text escaped, names unique, nothing rounded."""

from __future__ import annotations

import importlib.util
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from hybridstore.analytics.result import Result, plain
from hybridstore.errors import ConfigError, QueryFailed
from hybridstore.store import HybridStore


def test_rows_are_python_values(store: HybridStore) -> None:
    result = store.sql("""
        SELECT 1 AS whole, 1.5::DECIMAL(38, 18) AS money, TIMESTAMPTZ '2026-01-02 03:04:05.000006+02' AS at,
            'x' AS text, NULL AS nothing, true AS yes, DATE '2026-01-02' AS day, [1, 2] AS list,
            sum(i)::HUGEINT AS total, NULL::TIMESTAMPTZ AS never
        FROM range(5) r(i)
    """)
    moment = datetime(2026, 1, 2, 1, 4, 5, 6, tzinfo=UTC)
    assert result.rows() == [(1, Decimal("1.5"), moment, "x", None, True, date(2026, 1, 2), [1, 2], 10, None)]
    assert result.rows()[0][2].tzinfo is UTC
    assert type(result.rows()[0][8]) is int
    assert list(result) == result.rows()


def test_arrow_and_polars_have_the_same_values(store: HybridStore) -> None:
    result = store.sql("SELECT 0.000000000000000001::DECIMAL(38, 18) AS money, now() AS at, sum(1) AS n")
    assert result.arrow().schema.field("money").type == pa.decimal128(38, 18)
    assert result.arrow().schema.field("at").type == pa.timestamp("us", "UTC")
    assert result.pl()["money"].to_list() == [Decimal("1e-18")]
    assert result.pl().row(0)[0] == result.rows()[0][0]
    assert result.arrow() is result.arrow()


def test_sums_of_integers_are_exact_up_to_38_digits(store: HybridStore) -> None:
    largest = 9_223_372_036_854_775_807
    assert store.sql(f"SELECT sum({largest}) AS total FROM range(1000)").rows() == [(largest * 1000,)]
    with pytest.raises(QueryFailed, match="38 digits"):
        store.sql("SELECT 170141183460469231731687303715884105727::HUGEINT AS total")


def test_a_type_that_arrow_does_not_know_says_how_to_get_it(store: HybridStore) -> None:
    with pytest.raises(QueryFailed, match="select huge::VARCHAR"):
        store.sql("SELECT bignum '123456789012345678901234567890123456789012345' AS huge")


def test_lengths_of_time_are_told_by_every_form(store: HybridStore) -> None:
    result = store.sql("""
        SELECT TIMESTAMPTZ '2026-01-03 00:00:00Z' - TIMESTAMPTZ '2026-01-01 12:00:00.000001Z' AS held,
            -INTERVAL '25 hours' AS back, NULL::INTERVAL AS nothing, 'x' AS text
        FROM range(3)
    """)
    held = timedelta(days=1, hours=11, minutes=59, seconds=59, microseconds=999_999)
    assert result.rows() == [(held, timedelta(hours=-25), None, "x")] * 3
    assert result.arrow().schema.field("held").type == pa.duration("us")
    assert result.pl()["held"].sum() == 3 * held
    assert repr(result).splitlines()[1].split() == ["35:59:59.999999", "-25:00:00", "x"]
    assert "<td>-25:00:00</td>" in result._repr_html_()


@pytest.mark.parametrize("rows", [0, 5_000], ids=["none", "several chunks"])
def test_lengths_of_time_are_those_of_integers(store: HybridStore, rows: int) -> None:
    result = store.sql(
        "SELECT CASE WHEN i % 3 <> 0 THEN to_microseconds(i * 7 - 9000) + to_days(i::INT - 2000) END AS length "
        "FROM range($rows) r(i) ORDER BY i",
        rows=rows,
    )
    assert result.rows() == [
        (timedelta(days=i - 2000, microseconds=i * 7 - 9000) if i % 3 else None,) for i in range(rows)
    ]


@pytest.mark.parametrize("length", ["1 month", "-1 year", "100000001 days", "-2000000000 days"])
def test_a_length_that_is_none_says_how_to_get_it(store: HybridStore, length: str) -> None:
    with pytest.raises(QueryFailed, match="select held::VARCHAR"):
        store.sql(f"SELECT INTERVAL '{length}' AS held")
    assert len(store.sql(f"SELECT (INTERVAL '{length}')::VARCHAR AS held")) == 1


def test_names_that_occur_twice_are_numbered(store: HybridStore) -> None:
    result = store.sql("SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a")
    assert result.columns == ("a", "a_1", "a_1_1", "a_2")
    assert result.pl().row(0) == (1, 2, 3, 4)


def test_pandas_is_used_where_it_is_installed(store: HybridStore) -> None:
    result = store.sql("SELECT 1 AS one")
    if importlib.util.find_spec("pandas") is None:
        with pytest.raises(ConfigError, match="pandas is not installed"):
            result.df()
    else:
        assert list(result.df().columns) == ["one"]


def test_text_is_escaped_in_html(store: HybridStore) -> None:
    html = store.sql(
        "SELECT '<script>alert(1)</script>' AS \"<b>\", 1.50::DECIMAL(38, 18) AS m"
    )._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<th>&lt;b&gt;</th>" in html
    assert "<td>1.5</td>" in html


def test_html_shows_the_first_rows_and_says_so(store: HybridStore) -> None:
    html = store.sql("SELECT i FROM range(1000) r(i)")._repr_html_()
    assert html.count("<tr>") == 51
    assert "1,000 rows x 1 columns, the first 50 shown" in html


def test_a_table_prints_aligned(store: HybridStore) -> None:
    text = repr(
        store.sql("SELECT * FROM (VALUES ('BTC', 1.50::DECIMAL(9, 2)), ('SOLANA', NULL)) v(asset, n)")
    )
    assert text.splitlines() == ["asset   n", "BTC     1.5", "SOLANA", "2 rows x 2 columns"]


def test_a_plan_prints_as_it_is(store: HybridStore) -> None:
    result = store.sql("EXPLAIN SELECT sum(amount) FROM trades")
    assert "sum" in repr(result).lower()
    assert result._repr_html_().startswith("<pre>")


def test_no_rows_and_no_columns(store: HybridStore) -> None:
    assert store.sql("SELECT 1 AS one WHERE false").rows() == []
    assert len(store.sql("SELECT 1 AS one WHERE false")) == 0
    assert Result(pa.table({})).rows() == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (Decimal("1.500000000000000000"), "1.5"),
        (Decimal("0E-18"), "0"),
        (Decimal(1000), "1000"),
        (Decimal("1E+3"), "1000"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        ("x", "x"),
    ],
)
def test_plain_text_of_values(value: object, text: str) -> None:
    assert plain(value) == text
