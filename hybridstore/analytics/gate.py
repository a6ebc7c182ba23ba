"""What may be asked: one SELECT over datasets. Everything else is refused before anything runs.

DuckDB's own lock-down keeps queries inside the archives' folder, but would allow writing there, and reading files the
manifest does not name. So the statement's syntax tree decides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hybridstore.errors import QueryFailed, QueryRefused
from hybridstore.schema.registry import Registry

if TYPE_CHECKING:
    import duckdb

_EXPLAIN = re.compile(r"\s*explain(\s+analyze)?\s", re.IGNORECASE)
_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"}
)
"""Table functions that read nothing but their arguments."""
_SCHEMAS = frozenset({"", "main", "temp"})


class Question(NamedTuple):
    """A query that may run.

    Attributes:
        text: The query.
        datasets: The datasets it names.
    """

    text: str
    datasets: tuple[str, ...]


def admit(connection: duckdb.DuckDBPyConnection, text: str, registry: Registry) -> Question:
    """Check a query.

    Args:
        connection: Parses the text; nothing of it is run.
        text: The query.
        registry: The datasets there are.

    Returns:
        The query and the datasets it names.

    Raises:
        QueryRefused: It is not one SELECT or EXPLAIN, or it reads something that is no dataset.
        QueryFailed: It cannot be parsed.
        UnknownDataset: It names a dataset that does not exist.
    """
    import duckdb

    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as error:
        raise QueryFailed(
            str(error), operation="query", hint="check the SQL near the place it names"
        ) from error
    if len(statements) != 1:
        raise QueryRefused(f"{len(statements)} statements were given", hint="ask one question at a time")
    kind = statements[0].type
    if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise QueryRefused(
            f"a {str(kind).rpartition('.')[2]} statement",
            hint="only SELECT and EXPLAIN are answered; nothing was run",
        )
    body = _EXPLAIN.sub("", text, count=1) if kind == duckdb.StatementType.EXPLAIN else text
    tree = _syntax_tree(connection, body)
    return Question(text, _datasets(tree, registry))


def _syntax_tree(connection: duckdb.DuckDBPyConnection, text: str) -> dict[str, Any]:
    serialized = connection.execute("SELECT json_serialize_sql($text)", {"text": text}).fetchall()[0][0]
    tree: dict[str, Any] = msgspec.json.decode(serialized)
    if tree.get("error"):
        message = str(tree.get("error_message"))
        if "Only SELECT" in message:
            raise QueryRefused("not a SELECT", hint="only SELECT and EXPLAIN are answered; nothing was run")
        raise QueryFailed(message, operation="query")
    return tree


def _datasets(tree: dict[str, Any], registry: Registry) -> tuple[str, ...]:
    named: list[str] = []
    local: set[str] = set()
    for node in _nodes(tree):
        kind = node.get("type")
        if kind == "BASE_TABLE":
            _refuse_foreign_schema(node)
            named.append(str(node["table_name"]))
        elif kind == "TABLE_FUNCTION":
            _refuse_foreign_function(node)
        elif kind == "SHOW_REF":
            raise QueryRefused(
                "DESCRIBE, SHOW and SUMMARIZE", hint="use hybridstore status, or select from a dataset"
            )
        for entry in (node.get("cte_map") or {}).get("map", ()):
            local.add(str(entry["key"]).lower())
    datasets = []
    for name in dict.fromkeys(named):
        lowered = name.lower()
        if lowered in registry and registry[lowered].kind != "internal":
            datasets.append(lowered)
        elif lowered not in local:
            if not name.replace("_", "").isalnum():
                raise QueryRefused(
                    f"{name!r} is no dataset", hint="files are read through the datasets they belong to"
                )
            raise registry.unknown(name)
    return tuple(datasets)


def _nodes(value: object) -> Any:
    if isinstance(value, dict):
        yield value
        for child in value.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nodes(child)


def _refuse_foreign_schema(node: dict[str, Any]) -> None:
    schema, catalog = str(node.get("schema_name") or ""), str(node.get("catalog_name") or "")
    if schema.lower() not in _SCHEMAS or catalog:
        raise QueryRefused(
            f"{catalog or schema}.{node['table_name']}", hint="name a dataset without a schema"
        )


def _refuse_foreign_function(node: dict[str, Any]) -> None:
    name = str((node.get("function") or {}).get("function_name", "")).lower()
    if name not in _FUNCTIONS:
        raise QueryRefused(
            f"the table function {name}()", hint="files are read through the datasets they belong to"
        )
