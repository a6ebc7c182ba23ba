"""Projection of a declaration to SQLite: STRICT tables, indexes, triggers."""

from __future__ import annotations

import hashlib

import msgspec

from hybridstore.clock import DAY_US
from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.feed import RECORDED_AT
from hybridstore.schema.internal import OPEN_MOVE_STATES
from hybridstore.schema.types import LogicalType

STORAGE: dict[LogicalType, str] = {
    LogicalType.MONEY: "TEXT",
    LogicalType.TICK: "INTEGER",
    LogicalType.TIMESTAMP: "INTEGER",
    LogicalType.NAME: "TEXT",
    LogicalType.TEXT: "TEXT",
    LogicalType.JSON: "TEXT",
    LogicalType.INTEGER: "INTEGER",
    LogicalType.BOOLEAN: "INTEGER",
    LogicalType.RATIO: "REAL",
    LogicalType.BLOB: "BLOB",
}


def quote_text(text: str) -> str:
    """Return an SQL string literal.

    Args:
        text: Any text.

    Returns:
        The literal with its quotes.
    """
    return "'" + text.replace("'", "''") + "'"


def ddl(dataset: Dataset) -> dict[str, str]:
    """Return everything a dataset needs in the hot database.

    Args:
        dataset: The declaration.

    Returns:
        CREATE statements by the name of what they create, in the order to run them.
    """
    statements = {dataset.name: _table(dataset)}
    if dataset.numbered and dataset.key:
        name = f"{dataset.name}_key"
        statements[name] = f"CREATE UNIQUE INDEX {name} ON {dataset.name} ({', '.join(dataset.key)})"
    for index in dataset.indexes:
        name = f"{dataset.name}_by_{'_'.join(index.columns)}"
        where = f" WHERE {index.where}" if index.where else ""
        statements[name] = f"CREATE INDEX {name} ON {dataset.name} ({', '.join(index.columns)}){where}"
    if dataset.tiering:
        statements[f"{dataset.name}_claimed"] = _claim_trigger(dataset)
        if dataset.kind != "state":  # a state dataset is copied anew anyway
            statements[f"{dataset.name}_mutated"] = _mutation_trigger(dataset)
    return statements


def statements(dataset: Dataset) -> dict[str, str]:
    """Return the statements by which rows of a dataset are written and found.

    Args:
        dataset: The declaration.

    Returns:
        By name: ``insert_<name>`` (a known key is skipped), ``upsert_<name>`` (a known key is overwritten),
        ``find_<name>`` (all stored columns by key), ``rewrite_<name>`` (all other columns, then the key). Parameters
        are positional, in declared order. A dataset without a key has only the insert.
    """
    names = dataset.column_names
    insert = f"INSERT INTO {dataset.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    if not dataset.key:
        return {f"insert_{dataset.name}": insert}
    key = ", ".join(dataset.key)
    others = [name for name in names if name not in dataset.key]
    is_key = " AND ".join(f"{name} = ?" for name in dataset.key)
    overwrite = ", ".join(f"{name} = excluded.{name}" for name in others)
    return {
        f"insert_{dataset.name}": f"{insert} ON CONFLICT ({key}) DO NOTHING",
        f"upsert_{dataset.name}": f"{insert} ON CONFLICT ({key}) DO UPDATE SET {overwrite}",
        f"find_{dataset.name}": f"SELECT {', '.join(dataset.stored_names)} FROM {dataset.name} WHERE {is_key}",
        f"rewrite_{dataset.name}": f"UPDATE {dataset.name} SET {', '.join(f'{n} = ?' for n in others)} WHERE {is_key}",
    }


def tiering_statements(dataset: Dataset) -> dict[str, str]:
    """Return the statements by which rows of a tiered dataset leave the hot store.

    Args:
        dataset: A tiered dataset.

    Returns:
        By name: ``units_<name>`` (day, rows, smallest and largest row number of each UTC day), ``first_<name>`` (the
        smallest row number of a unit), ``limit_<name>`` (the row number of its ``:rows``-th row), ``purge_<name>``
        (delete its rows of a range of row numbers).
    """
    assert dataset.tiering is not None
    name, time = dataset.name, dataset.tiering.time
    unit = unit_condition(dataset)
    may_leave = unit_condition(dataset).replace(":start_us", "0").replace(":end_us", str(2**62))
    return {
        f"units_{name}": (
            f"SELECT {time} / {DAY_US} AS day, count(*), min({ROW_ID}), max({ROW_ID}) FROM {name} "
            f"WHERE {may_leave} GROUP BY day"
        ),
        # By row number, whatever the statistics say: an index by name and time would find all of a day and sort it.
        f"limit_{name}": (
            f"SELECT {ROW_ID} FROM {name} NOT INDEXED WHERE {unit} ORDER BY {ROW_ID} LIMIT 1 OFFSET :rows - 1"
        ),
        f"first_{name}": f"SELECT {ROW_ID} FROM {name} NOT INDEXED WHERE {unit} ORDER BY {ROW_ID} LIMIT 1",
        f"purge_{name}": f"DELETE FROM {name} NOT INDEXED WHERE {ROW_ID} > :above AND {ROW_ID} <= :through AND {unit}",
    }


def last_row(dataset: Dataset) -> str:
    """Return the statement for number and commit time of the last row of a dataset that has both.

    Args:
        dataset: The declaration.
    """
    name = dataset.name
    return f"SELECT {ROW_ID}, {RECORDED_AT} FROM {name} WHERE {ROW_ID} = (SELECT max({ROW_ID}) FROM {name})"


def added_columns(dataset: Dataset, first: int) -> list[str]:
    """Return the statements that add columns to a dataset's table.

    Args:
        dataset: The declaration.
        first: Place of the first that is added; it and all behind it are nullable.

    Returns:
        A statement a column.
    """
    return [
        f"ALTER TABLE {dataset.name} ADD COLUMN {column.name} {STORAGE[column.type]}"
        for column in dataset.columns[first:]
    ]


def is_extension(before: Dataset, after: Dataset) -> bool:
    """Say whether a declaration is another one with more columns, so that stored rows mean what they meant.

    Args:
        before: The one.
        after: The other.

    Returns:
        Whether it has all columns and indexes of the other in the same order, and at least one nullable column more
        behind them.
    """
    width = len(before.columns)
    if len(after.columns) <= width or not all(column.nullable for column in after.columns[width:]):
        return False
    same = msgspec.structs.replace(
        after, columns=after.columns[:width], indexes=after.indexes[: len(before.indexes)]
    )
    return declaration_sha256(same) == declaration_sha256(before)


def erasing_statements(dataset: Dataset, column: str) -> dict[str, str]:
    """Return the statements by which rows with a value in a column are found and erased.

    Args:
        dataset: The declaration.
        column: A declared column.

    Returns:
        By name: ``count`` (how many there are), ``erase`` (all of them); of a tiered dataset also ``find`` (row number
        and time of each) and ``erase_row`` (by row number).
    """
    name = dataset.name
    statements = {
        "count": f"SELECT count(*) FROM {name} WHERE {column} = ?",
        "erase": f"DELETE FROM {name} WHERE {column} = ?",
    }
    if dataset.tiering:
        statements["find"] = f"SELECT {ROW_ID}, {dataset.tiering.time} FROM {name} WHERE {column} = ?"
        statements["erase_row"] = f"DELETE FROM {name} WHERE {ROW_ID} = ?"
    return statements


def count_all(table: str) -> str:
    """Return the statement that counts the rows of a table.

    Args:
        table: Its name, one of a declaration.
    """
    return f"SELECT count(*) FROM {table}"


def ids_between(table: str) -> str:
    """Return the statement that reads which row numbers between two there are.

    Args:
        table: Its name, one of a declaration.
    """
    return f"SELECT {ROW_ID} FROM {table} WHERE {ROW_ID} BETWEEN ? AND ?"


def select_all(table: str) -> str:
    """Return the statement that reads a whole table, in the order it is stored.

    Args:
        table: Its name, whatever it is.

    Returns:
        The statement.
    """
    quoted = table.replace('"', '""')
    return f'SELECT * FROM "{quoted}"'


def declaration_sha256(dataset: Dataset) -> str:
    """Return a fingerprint of what a dataset's stored rows mean.

    Args:
        dataset: The declaration.

    Returns:
        SHA-256, hexadecimal, over all of it but what may change from one day to the next: the words, the texts a new
        row may hold, the order of rows in new files and the age at which rows leave.
    """
    columns = tuple(msgspec.structs.replace(column, doc="", choices=()) for column in dataset.columns)
    tiering = dataset.tiering and msgspec.structs.replace(dataset.tiering, cluster=(), hot_days=1)
    content = msgspec.structs.replace(dataset, doc="", columns=columns, tiering=tiering)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def unit_condition(dataset: Dataset, prefix: str = "") -> str:
    """Return the SQL condition that a row may leave the hot store with its day.

    Args:
        dataset: A tiered dataset.
        prefix: What stands before column names, for example ``OLD.``.

    Returns:
        A condition over ``:start_us`` and ``:end_us``.
    """
    assert dataset.tiering is not None
    time = f"{prefix}{dataset.tiering.time}"
    condition = f"{time} >= :start_us AND {time} < :end_us"
    if dataset.tiering.when:
        column, values = dataset.tiering.when
        condition += f" AND {prefix}{column} IN ({', '.join(map(quote_text, values))})"
    return condition


def _table(dataset: Dataset) -> str:
    lines = [f"{ROW_ID} INTEGER PRIMARY KEY AUTOINCREMENT"] if dataset.numbered else []
    for column in dataset.columns:
        null = "" if column.nullable else " NOT NULL"
        lines.append(f"{column.name} {STORAGE[column.type]}{null}")
    if not dataset.numbered:
        lines.append(f"PRIMARY KEY ({', '.join(dataset.key)})")
    options = "STRICT" if dataset.numbered else "STRICT, WITHOUT ROWID"
    body = ",\n  ".join(lines)
    return f"CREATE TABLE {dataset.name} (\n  {body}\n) {options}"


def _claim_trigger(dataset: Dataset) -> str:
    """A row claimed by a move must not change: what is purged is what was written."""
    states = ", ".join(map(quote_text, OPEN_MOVE_STATES))
    inside = " OR ".join(
        f"({alias}.id <= m.max_id AND {_claimed(dataset, alias)})" for alias in ("OLD", "NEW")
    )
    return (
        f"CREATE TRIGGER {dataset.name}_claimed BEFORE UPDATE ON {dataset.name}\n"
        f"WHEN EXISTS (SELECT 1 FROM archive_moves AS m WHERE m.dataset = {quote_text(dataset.name)}\n"
        f"  AND m.state IN ({states}) AND ({inside}))\n"
        f"BEGIN SELECT RAISE(ABORT, 'row is claimed by a tier move'); END"
    )


def _claimed(dataset: Dataset, alias: str) -> str:
    return (
        unit_condition(dataset, f"{alias}.").replace(":start_us", "m.start_us").replace(":end_us", "m.end_us")
    )


def _mutation_trigger(dataset: Dataset) -> str:
    return (
        f"CREATE TRIGGER {dataset.name}_mutated AFTER UPDATE ON {dataset.name}\n"
        f"BEGIN UPDATE dataset_state SET mutations = mutations + 1 WHERE dataset = {quote_text(dataset.name)}; END"
    )
