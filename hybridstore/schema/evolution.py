"""What may change about the columns of a declaration while stored rows keep what they mean. Pure.

A column may get another name, a wider type, and rows without a value. Whatever would round, cut or reinterpret a stored
value (another scale, a narrower type) is no widening and is refused.
"""

from __future__ import annotations

import re

import msgspec

from hybridstore.errors import InvalidValue
from hybridstore.schema.dataset import Column, Dataset, Index
from hybridstore.schema.sqlite import ddl
from hybridstore.schema.types import LogicalType

WIDENINGS = {
    LogicalType.NAME: (LogicalType.TEXT,),
    LogicalType.BOOLEAN: (LogicalType.INTEGER,),
}
"""By type, those that hold every value of it in the same stored form."""
COMMIT_TIME = "recorded_at"
"""The store fills it by its name."""


def renamed(dataset: Dataset, old: str, new: str) -> Dataset:
    """Return a declaration with another name of a column, wherever it is mentioned.

    Args:
        dataset: The declaration.
        old: The column's name.
        new: Its new name.

    Returns:
        The new declaration.

    Raises:
        InvalidValue: There is no such column, it cannot have another name, or the new one cannot be a name or is taken.
    """
    dataset.column(old)
    if COMMIT_TIME in (old, new):
        raise InvalidValue(
            f"dataset {dataset.name}: {COMMIT_TIME} is filled by the store, by its name",
            hint="it keeps its name, and no other column can have it",
        )

    def other(name: str) -> str:
        return new if name == old else name

    tiering = dataset.tiering
    if tiering is not None:
        tiering = msgspec.structs.replace(
            tiering,
            time=other(tiering.time),
            cluster=tuple(map(other, tiering.cluster)),
            when=tiering.when and (other(tiering.when[0]), tiering.when[1]),
            symbol=tiering.symbol and other(tiering.symbol),
        )
    return msgspec.structs.replace(
        dataset,
        columns=tuple(msgspec.structs.replace(column, name=other(column.name)) for column in dataset.columns),
        key=tuple(map(other, dataset.key)),
        indexes=tuple(_renamed_index(index, old, new) for index in dataset.indexes),
        tiering=tiering,
    )


def _renamed_index(index: Index, old: str, new: str) -> Index:
    columns = tuple(new if name == old else name for name in index.columns)
    if index.where is None:
        return Index(columns)
    parts = index.where.split("'")  # every second one is a text, which is no name
    parts[::2] = [re.sub(rf"\b{old}\b", new, part) for part in parts[::2]]
    return Index(columns, "'".join(parts))


def widened(
    dataset: Dataset, name: str, kind: LogicalType | None = None, *, nullable: bool = False
) -> Dataset:
    """Return a declaration with a column that holds more than it did.

    Args:
        dataset: The declaration.
        name: The column.
        kind: Its new type, one of :data:`WIDENINGS`; None keeps it.
        nullable: Whether it may be absent from now on.

    Returns:
        The new declaration.

    Raises:
        InvalidValue: It is no widening, or the declaration does not allow it.
    """
    column = dataset.column(name)
    if name == COMMIT_TIME:
        raise InvalidValue(
            f"dataset {dataset.name}: {COMMIT_TIME} is filled by the store, with every row",
            hint="it stays as it is: by it the store tells what was known at an earlier moment",
        )
    wider = column.type if kind is None else kind
    if wider is not column.type and wider not in WIDENINGS.get(column.type, ()):
        may = ", ".join(kind.name for kind in WIDENINGS.get(column.type, ())) or "no other type"
        raise InvalidValue(
            f"dataset {dataset.name}: {name} cannot become {wider.name}: stored values would change or not fit",
            hint=f"a column of type {column.type.name} can become {may}; declare a new column for anything else",
        )
    changed = msgspec.structs.replace(column, type=wider, nullable=column.nullable or nullable)
    if changed == column:
        raise InvalidValue(
            f"dataset {dataset.name}: {name} holds {column.type.name} already"
            + (", and may be absent" if nullable else ""),
            hint="say what it is to hold",
        )
    if column.type is LogicalType.BOOLEAN and wider is not column.type and name in dataset.key:
        raise InvalidValue(
            f"dataset {dataset.name}: {name} is part of the key", hint="rows are known again by its type"
        )
    columns = tuple(changed if one.name == name else one for one in dataset.columns)
    return msgspec.structs.replace(dataset, columns=columns)


def evolving_statements(before: Dataset, after: Dataset) -> list[str]:
    """Return the statements that make a table what a changed declaration says; its rows stay as they are.

    Args:
        before: What it is.
        after: What it is to be: the same columns in the same order, renamed or widened.

    Returns:
        Statements, in order.
    """
    old, new = ddl(before), ddl(after)
    dropped = [name for name in old if name != before.name and new.get(name) != old[name]]
    statements = [f"DROP {_kind(old[name])} {name}" for name in reversed(dropped)]
    for one, other in zip(before.columns, after.columns, strict=True):
        statements += _changed_column(before.name, one, other)
    made = [name for name in new if name != after.name and (name in dropped or name not in old)]
    return statements + [new[name] for name in made]


def _kind(statement: str) -> str:
    return "TRIGGER" if statement.startswith("CREATE TRIGGER") else "INDEX"


def _changed_column(table: str, before: Column, after: Column) -> list[str]:
    statements = []
    if before.name != after.name:
        statements.append(f"ALTER TABLE {table} RENAME COLUMN {before.name} TO {after.name}")
    if after.nullable and not before.nullable:
        statements.append(f"ALTER TABLE {table} ALTER COLUMN {after.name} DROP NOT NULL")
    return statements
