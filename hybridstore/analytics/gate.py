"""What a question may be: one SELECT or EXPLAIN over datasets by name, and nothing that reads or writes elsewhere.

The engine's own lock-down is not enough. A folder it may read it may also write (COPY, ATTACH), EXPLAIN ANALYZE runs
what it explains, and a common table expression can INSERT. So the question is parsed, without being bound, and its
syntax tree must consist of known parts only: a part that is not on the lists below is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import duckdb
import msgspec

from hybridstore.errors import QueryFailed, QueryRefused, UnknownDataset
from hybridstore.named_sql import load_named_sql
from hybridstore.schema.registry import Registry

QUERIES = load_named_sql(__package__)

_BLANK = r"(?:\s|--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*\*/)*"
_EXPLAIN = re.compile(
    rf"{_BLANK}EXPLAIN\b{_BLANK}(?P<analyze>ANALYZE\b)?(?P<statement>.*)", re.IGNORECASE | re.DOTALL
)
_PARTS = frozenset({
    "SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE",
    "BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SHOW_REF",
    "ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER",
    "ORDER_DEFAULT", "ASCENDING", "DESCENDING",
})  # fmt: skip
"""Parts of a question that are no expressions: query nodes, sources, modifiers."""
_TABLE_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"}
)
"""Table functions that make rows out of their arguments alone."""
_REFUSED_FUNCTIONS = frozenset({
    "write_log", "nextval", "currval", "setval", "getvariable", "getenv", "current_setting", "current_query",
})  # fmt: skip
"""Scalar functions that write, or tell of the process instead of the data."""
_OPENING_LENGTH = 60
_ELSEWHERE_HINT = "ask for datasets by name; files and addresses cannot be read in a question"


class Question(NamedTuple):
    """A question that may be asked.

    Attributes:
        sql: What to run.
        datasets: Names of the datasets it is about, sorted.
        tree: Its syntax tree.
    """

    sql: str
    datasets: tuple[str, ...]
    tree: Any


def admit(cursor: duckdb.DuckDBPyConnection, query: str, registry: Registry) -> Question:
    """Check a question before anything of it is bound or run.

    Args:
        cursor: Where to parse it.
        query: The question.
        registry: The datasets there are.

    Returns:
        The question as it may run.

    Raises:
        QueryFailed: It is not SQL.
        QueryRefused: It is more than one SELECT or EXPLAIN, or reaches outside the store.
        UnknownDataset: It names a table that is no dataset.
    """
    prefix, select = _statement(cursor, query)
    row: Any = cursor.execute(QUERIES["parse"], [select]).fetchall()[0]
    try:
        tree = msgspec.json.decode(row[0])
    except RecursionError:
        raise QueryRefused(
            "the question is nested too deeply", hint="split it into steps with WITH"
        ) from None
    if tree.get("error"):
        if tree.get("error_type") == "parser":
            raise QueryFailed(tree["error_message"], operation="read the question")
        raise QueryRefused(
            f"{_opening(select)}: only SELECT and EXPLAIN of a SELECT are answered",
            hint="the store is written through its record_ methods",
        )
    return Question(prefix + select, _datasets(tree, registry), tree)


def _statement(cursor: duckdb.DuckDBPyConnection, query: str) -> tuple[str, str]:
    """Return what stands before the SELECT, and the SELECT."""
    if "\x00" in query:
        raise QueryFailed("the question holds a NUL character", operation="read the question")
    try:
        statements = cursor.extract_statements(query)
    except duckdb.Error as error:
        raise QueryFailed(str(error), operation="read the question") from error
    if not statements:
        raise QueryFailed("there is no statement", operation="read the question", hint="give a SELECT")
    if len(statements) > 1:
        raise QueryRefused(
            f"{len(statements)} statements: one question is one statement", hint="ask one by one"
        )
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:
        match = _EXPLAIN.fullmatch(query)
        if match is None:
            raise QueryRefused(
                f"{_opening(query)}: this form of EXPLAIN is not answered", hint="EXPLAIN SELECT ..."
            )
        return ("EXPLAIN ANALYZE " if match["analyze"] else "EXPLAIN "), match["statement"].strip()
    if kind == duckdb.StatementType.MULTI:
        raise QueryRefused(
            f"{_opening(query)}: a PIVOT that has to look up its values is more than one statement",
            hint="name the values: PIVOT ... ON column IN (value, ...)",
        )
    if kind != duckdb.StatementType.SELECT:
        raise QueryRefused(
            f"{kind.name}: only SELECT and EXPLAIN are answered: {_opening(query)}",
            hint="the store is written through its record_ methods",
        )
    return "", query


def _opening(query: str) -> str:
    """Return the first words of a statement, for a message."""
    words = re.sub(r"\s+", " ", query.strip())
    return words if len(words) <= _OPENING_LENGTH else f"{words[:_OPENING_LENGTH]}..."


def _datasets(tree: Any, registry: Registry) -> tuple[str, ...]:
    tables: set[str] = set()
    expressions: set[str] = set()
    for node in nodes(tree):
        for entry in node.get("cte_map", {}).get("map", ()):
            expressions.add(entry["key"].lower())
        kind = node.get("type")
        if node.get("class") == "FUNCTION":
            _check_function(node)
        elif isinstance(kind, str) and "class" not in node:
            if kind not in _PARTS:
                raise QueryRefused(
                    f"{kind.replace('_', ' ').lower()}: not a part of a question", hint=_ELSEWHERE_HINT
                )
            if kind == "BASE_TABLE":
                tables.add(_table(node))
            elif kind == "TABLE_FUNCTION":
                _check_table_function(node)
            elif kind == "SHOW_REF" and "query" not in node:
                raise QueryRefused(
                    "SHOW: there are no tables to show", hint=f"the datasets are {', '.join(registry.public)}"
                )
    return tuple(
        sorted(_declared(name, registry) for name in tables if name in registry or name not in expressions)
    )


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Walk through a syntax tree.

    Args:
        tree: The tree.

    Yields:
        Every object of it.
    """
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _table(node: dict[str, Any]) -> str:
    path = node["qualified_name"]["path"]
    if len(path) > 1:
        raise QueryRefused(f"{'.'.join(path)}: a dataset has no schema or catalog", hint=_ELSEWHERE_HINT)
    return str(path[0]).lower()


def _declared(name: str, registry: Registry) -> str:
    if name in registry and registry[name].kind == "internal":
        raise UnknownDataset(
            f"{name} is the store's own bookkeeping", hint=f"the datasets are {', '.join(registry.public)}"
        )
    if name not in registry and not name.replace("_", "").isalnum():
        raise QueryRefused(f"{name!r} is no dataset", hint=_ELSEWHERE_HINT)
    return registry[name].name


def _check_table_function(node: dict[str, Any]) -> None:
    name = str(node["function"]["function_name"]).lower()
    if name not in _TABLE_FUNCTIONS:
        raise QueryRefused(f"{name}(): this table function is not answered", hint=_ELSEWHERE_HINT)


def _check_function(node: dict[str, Any]) -> None:
    name = str(node["function_name"]).lower()
    if name in _REFUSED_FUNCTIONS:
        raise QueryRefused(f"{name}(): this function is not answered")
