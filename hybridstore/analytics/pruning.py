"""Which files a question cannot need: what its conditions on time and symbol say, so that the rest stay closed.

A condition counts only where it holds for every use of a dataset: the dataset stands once in the question, alone in its
FROM, and the condition is one of those its WHERE joins by AND. Everything that is not plainly understood counts as
no condition, which costs time and never rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.types import check_timestamp

_COMPARISONS = {
    "COMPARE_EQUAL": (True, True),
    "COMPARE_GREATERTHAN": (True, False),
    "COMPARE_GREATERTHANOREQUALTO": (True, False),
    "COMPARE_LESSTHAN": (False, True),
    "COMPARE_LESSTHANOREQUALTO": (False, True),
}
"""Whether ``column <comparison> value`` bounds the column from below, and from above."""
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
_UNZONED = ("TIMESTAMP", "DATE")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
_ZONE = re.compile(r"(Z|[+-]\d\d(:\d\d)?)\Z", re.ASCII)


class Wanted(NamedTuple):
    """What the rows a question needs have in common.

    Attributes:
        start_us: None is earlier, us UTC.
        end_us: None is at this moment or later, us UTC.
        symbol: All are of this symbol.
    """

    start_us: int | None = None
    end_us: int | None = None
    symbol: str | None = None


def wanted_rows(tree: object, dataset: Dataset, params: Mapping[str, object]) -> Wanted:
    """Read a question's conditions on one dataset.

    Args:
        tree: The question's syntax tree.
        dataset: The dataset.
        params: The question's parameters.

    Returns:
        What is known of the rows it needs; all None where that is nothing.
    """
    if dataset.tiering is None:
        return Wanted()
    uses = 0
    select: dict[str, Any] | None = None
    for node in _objects(tree):
        if node.get("type") == "BASE_TABLE" and _name(node) == dataset.name:
            uses += 1
        if any(entry["key"].lower() == dataset.name for entry in node.get("cte_map", {}).get("map", ())):
            return Wanted()  # the name stands for something else in a part of the question
        source = node.get("from_table", {})
        if (
            node.get("type") == "SELECT_NODE"
            and source.get("type") == "BASE_TABLE"
            and _name(source) == dataset.name
        ):
            select = node
    if (
        uses != 1
        or select is None
        or {"sample", "column_name_alias", "at_clause"} & select["from_table"].keys()
    ):
        return Wanted()
    source = select["from_table"]
    qualifier = str(source.get("alias") or dataset.name).lower()
    conditions = list(_conditions(select.get("where_clause"), qualifier, params))
    starts = [value for column, below, _, value in conditions if below and column == dataset.tiering.time]
    ends = [value for column, _, above, value in conditions if above and column == dataset.tiering.time]
    start_us = max((us for us in map(_moment_us, starts) if us is not None), default=None)
    end_us = min((us + 1 for us in map(_moment_us, ends) if us is not None), default=None)
    symbols = [
        value.text
        for column, below, above, value in conditions
        if below
        and above
        and column == dataset.tiering.symbol
        and isinstance(value.text, str)
        and not value.cast
    ]
    return Wanted(start_us, end_us, symbols[0] if symbols else None)


class _Value(NamedTuple):
    """A constant or parameter, and the type it is cast to in the question."""

    text: object
    cast: str


def _objects(tree: object) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _name(table: dict[str, Any]) -> str:
    return str(table["qualified_name"]["path"][-1]).lower()


def _conditions(
    where: dict[str, Any] | None, qualifier: str, params: Mapping[str, object]
) -> Iterator[tuple[str, bool, bool, _Value]]:
    """Yield column, whether it is bounded from below and from above, and by what."""
    waiting = [where] if where else []
    while waiting:
        node = waiting.pop()
        kind = node.get("type")
        if kind == "CONJUNCTION_AND":
            waiting.extend(node["children"])
        elif kind == "COMPARE_BETWEEN":
            column = _column(node["input"], qualifier)
            for side, below in (("lower", True), ("upper", False)):
                value = _value(node[side], params)
                if column and value:
                    yield column, below, not below, value
        elif kind in _COMPARISONS:
            below, above = _COMPARISONS[kind]
            column, value = _column(node["left"], qualifier), _value(node["right"], params)
            if column is None:  # value <comparison> column
                column, value = _column(node["right"], qualifier), _value(node["left"], params)
                below, above = above, below
            if column and value:
                yield column, below, above, value


def _column(node: dict[str, Any], qualifier: str) -> str | None:
    if node.get("class") != "COLUMN_REF":
        return None
    *qualifiers, name = [str(part).lower() for part in node["column_names"]]
    return name if qualifiers in ([], [qualifier]) else None


def _value(node: dict[str, Any], params: Mapping[str, object]) -> _Value | None:
    cast = ""
    if node.get("type") == "OPERATOR_CAST" and not node.get("try_cast"):
        cast = str(node.get("type_expr", {}).get("type_name", "?")).upper()
        node = node["child"]
    if node.get("type") == "VALUE_PARAMETER":
        return _Value(params.get(str(node["identifier"])), cast)
    literal = node.get("literal", {})
    if node.get("type") == "VALUE_CONSTANT" and literal.get("kind") == "STRING":
        return _Value(literal["text"], cast)
    return None


def _moment_us(value: _Value) -> int | None:
    """Return the moment a value means when it is compared with a time, or None where that is not plain."""
    text, cast = value
    moment: datetime | None = None
    if type(text) is datetime and text.tzinfo is not None and cast in ("", *_ZONED):
        moment = text
    elif isinstance(text, str):
        moment = _written_moment(text, cast)
    try:
        return None if moment is None else check_timestamp(moment, "condition")
    except InvalidValue:
        return None


def _written_moment(text: str, cast: str) -> datetime | None:
    zone = _ZONE.search(text[10:])
    bare = text[: len(text) - len(zone[0])] if zone else text
    unzoned = cast in _UNZONED
    if not (cast in ("", *_ZONED) or (unzoned and not zone)):
        return None
    if not (_DAY.fullmatch(bare) or (_MOMENT.fullmatch(bare) and cast != "DATE")):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
