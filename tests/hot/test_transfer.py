"""Hot rows to Arrow: the bulk way gives exactly what the row-by-row way gives, for every dataset and every type."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridstore.clock import DAY_US
from hybridstore.hot import transfer
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.hot.transfer import read_rows
from hybridstore.schema.arrow import arrow_schema
from hybridstore.schema.books import BALANCE_HISTORY, BALANCES
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.types import LogicalType
from tests.tiered import NOW_US, OLD_DAY, OWN, TIERED, hot_rows, insert, make_rows, open_store, table_rows


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseManager]:
    with open_store(tmp_path) as database:
        yield database


def read(database: DatabaseManager, dataset: Dataset, **bounds: int) -> Any:
    with database.readers.transaction() as transaction:
        return read_rows(transaction, dataset, **bounds)


@pytest.mark.parametrize("dataset", TIERED, ids=lambda dataset: dataset.name)
def test_every_dataset_comes_out_as_it_went_in(
    database: DatabaseManager, dataset: Dataset, rng: random.Random
) -> None:
    insert(database, dataset, make_rows(dataset, rng, 300))
    table = read(database, dataset)
    assert table.schema == arrow_schema(dataset)
    assert table_rows(dataset, table) == hot_rows(database, dataset)
    assert table.num_rows == 300
    table.validate(full=True)


def test_small_windows_and_chunks_join_without_a_seam(
    database: DatabaseManager, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(database, OWN, make_rows(OWN, rng, 200))
    monkeypatch.setattr(transfer, "_WINDOW_IDS", 7)
    monkeypatch.setattr(transfer, "_CHUNK_BYTES", 500)
    assert table_rows(OWN, read(database, OWN)) == hot_rows(database, OWN)


def test_bounds_of_number_and_unit(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, OWN, make_rows(OWN, rng, 400, days=3))
    start_us = (OLD_DAY + 1) * DAY_US
    found = table_rows(
        OWN, read(database, OWN, id_above=50, id_through=350, start_us=start_us, end_us=start_us + DAY_US)
    )
    place = OWN.column_names.index("timestamp_always")
    expected = {
        number: row
        for number, row in hot_rows(database, OWN).items()
        if 50 < number <= 350 and start_us <= row[place] < start_us + DAY_US
    }
    assert found == expected
    assert found


def test_no_rows_give_an_empty_table_of_the_right_schema(database: DatabaseManager) -> None:
    for dataset in (OWN, BALANCES):
        table = read(database, dataset)
        assert (table.num_rows, table.schema) == (0, arrow_schema(dataset))
    insert(database, OWN, make_rows(OWN, random.Random(1), 3))
    assert read(database, OWN, id_above=3).num_rows == 0


def test_a_state_dataset_without_numbers_is_read_whole(database: DatabaseManager) -> None:
    row = ("main", "BTC", "1.5", "0.5", "1", None, "total used", "socket\nline", NOW_US, NOW_US)

    def write(session: WriteSession) -> None:
        session.run("insert_balances", row)

    database.writer.call(write)
    table = read(database, BALANCES)
    assert table.column("source").to_pylist() == ["socket\nline"]
    assert table.column("debt").to_pylist() == [None]
    assert table.column("updated_at").cast("int64").to_pylist() == [NOW_US]


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
_DOUBLE = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=20)  # each example makes a store
@given(
    texts=st.lists(st.tuples(_TEXT, st.none() | _TEXT), min_size=1, max_size=20),
    ratios=st.lists(_DOUBLE, max_size=20),
)
def test_any_text_and_any_double_survive(texts: list[tuple[str, str | None]], ratios: list[float]) -> None:
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as database:
        rows = [
            dict(zip(OWN.column_names, row, strict=True))
            for row in make_rows(OWN, rng, max(len(texts), len(ratios)))
        ]
        for row, (always, maybe) in zip(rows, texts, strict=False):
            row |= {"text_always": always, "text_maybe": maybe}
        for row, ratio in zip(rows, ratios, strict=False):
            row["ratio_always"] = ratio
        insert(database, OWN, [tuple(row.values()) for row in rows])
        table = read(database, OWN)
        assert table_rows(OWN, table) == hot_rows(database, OWN)


@pytest.mark.parametrize("marks", [1, 2])
def test_a_byte_order_mark_at_the_beginning_of_a_name_stays(database: DatabaseManager, marks: int) -> None:
    """Of a state dataset the first column is a name; a reader of text takes what stands there for its encoding."""
    account = "\ufeff" * marks + "main"

    def write(session: WriteSession) -> None:
        values = dict.fromkeys(BALANCES.column_names, "0") | {"account": account, "asset": "BTC"}
        times = {c.name: 1 for c in BALANCES.columns if c.type is LogicalType.TIMESTAMP}
        session.run("insert_balances", tuple((values | times).values()))

    database.writer.call(write)
    with database.readers.transaction() as transaction:
        table = read_rows(transaction, BALANCES)
    assert table.column("account").to_pylist() == [account]


def test_names_hold_no_separator() -> None:
    """The separator of fields is a control character, and names are what is not escaped."""
    with pytest.raises(ValueError, match="control"):
        BALANCE_HISTORY.column("asset").check("BTC\x1fETH")
