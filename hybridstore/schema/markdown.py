"""Projection of the declarations to words: the reference page of datasets and columns."""

from __future__ import annotations

from hybridstore.schema.dataset import ROW_ID, Column, Dataset
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import LogicalType

SQL_TYPES = {
    LogicalType.MONEY: ("DECIMAL(38,18)", "an exact amount: at most 20 integer digits and 18 places"),
    LogicalType.TICK: ("DECIMAL(18,8)", "a number of market data: at most 10 integer digits and 8 places"),
    LogicalType.TIMESTAMP: ("TIMESTAMP WITH TIME ZONE", "a moment, microseconds, UTC"),
    LogicalType.NAME: ("VARCHAR", "a short identifier without control characters"),
    LogicalType.TEXT: ("VARCHAR", "any text"),
    LogicalType.JSON: ("VARCHAR", "JSON text"),
    LogicalType.INTEGER: ("BIGINT", "64 bits"),
    LogicalType.BOOLEAN: ("BOOLEAN", "true or false"),
    LogicalType.RATIO: ("DOUBLE", "a figure that is not money"),
}
"""How each type shows in a query, and what it holds."""
_INTRODUCTION = """Made from the declarations in `hybridstore/schema/`; a test keeps the two the same. Each dataset is
a name that `store.sql` and `store.scan` know."""


def reference(registry: Registry) -> str:
    """Return the reference of every dataset that queries may name.

    Args:
        registry: The declared datasets.

    Returns:
        A page of Markdown.
    """
    types = "\n".join(["| type | in SQL | holds |", "|---|---|---|", *map(_type_row, SQL_TYPES)])
    sections = [_section(registry[name]) for name in registry.public]
    return "\n\n".join(["# Datasets", _INTRODUCTION, types, *sections]) + "\n"


def _type_row(kind: LogicalType) -> str:
    return "| {} | `{}` | {} |".format(kind.value, *SQL_TYPES[kind])


def _section(dataset: Dataset) -> str:
    facts = [f"*{dataset.kind}*"]
    if dataset.key:
        facts.append(f"key {_names(dataset.key)}")
    if dataset.tiering:
        limit = ""
        if dataset.tiering.when:
            column, texts = dataset.tiering.when
            limit = f", once `{column}` is {' or '.join(texts)}"
        facts.append(
            f"moves to the archives {dataset.tiering.hot_days} days after its `{dataset.tiering.time}`{limit}"
        )
    rows = [f"| `{ROW_ID}` | integer | Row number, never given twice. |"] if dataset.numbered else []
    rows += [_column_row(column) for column in dataset.columns]
    table = ["| column | type | meaning |", "|---|---|---|", *rows]
    return "\n\n".join([f"## {dataset.name}", dataset.doc, "; ".join(facts) + ".", "\n".join(table)])


def _column_row(column: Column) -> str:
    notes = [column.doc]
    if column.choices:
        notes.append(f"One of {_names(column.choices)}.")
    if column.nullable:
        notes.append("May be absent.")
    meaning = " ".join(notes).replace("|", "\\|")
    return f"| `{column.name}` | {column.type.value} | {meaning} |"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
