"""How one value of a file's row becomes a value of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hybridstore.errors import ConfigError, InvalidValue
from hybridstore.integrations.importing.rows_of_file import FileRow
from hybridstore.records import Record

_KEYS = {"column", "value", "values", "quotes", "zone", "format", "unit"}
_UNITS: dict[str, int | Decimal] = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": Decimal("0.001")}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_S_MAX, _MS_MAX, _US_MAX = 10**11, 10**14, 10**17
"""A time of our days in seconds has at most 10 digits, in ms 13, in us 16."""


class Rule(Record, frozen=True, gc=False):
    """Where a value comes from.

    Attributes:
        column: The file's column; empty where the value is fixed.
        value: The fixed value.
        words: What the file's words mean here; others are refused.
        quotes: Of a market: quote assets by which a name without a separator is split.
        zone: Of a time: the zone it is told in, where it does not say so itself.
        format: Of a time: as in Python's strptime; None means ISO 8601, or a number since 1970.
        unit: Of a number since 1970: s, ms, us or ns; None tells by its length.
        is_time: Whether it is a time.
    """

    column: str
    value: Any = None
    words: dict[str, Any] | None = None
    quotes: tuple[str, ...] = ()
    zone: str | None = None
    format: str | None = None
    unit: str | None = None
    is_time: bool = False

    @property
    def toml(self) -> str:
        """The rule as a mapping file holds it."""
        column = json.dumps(self.column, ensure_ascii=False)
        return f'{{ column = {column}, zone = "{self.zone}" }}' if self.zone else column

    def take(self, row: FileRow, name: str) -> Any:
        """Take the value of a row.

        Args:
            row: The row.
            name: What it is here, for messages.

        Returns:
            The value; None where the row has none.

        Raises:
            InvalidValue: It cannot be read.
        """
        if not self.column:
            return self.value
        value = row.get(self.column)
        if value is None or value == "":
            return None
        if self.words is not None:
            if str(value) not in self.words:
                raise InvalidValue(f"{name}: {value!r} is not among values of the mapping")
            return self.words[str(value)]
        if self.is_time:
            return self._moment_us(value, name)
        if name == "symbol":
            return self._symbol(str(value))
        return str(value).lower() if name in {"side", "liquidity"} else value

    def _symbol(self, value: str) -> str:
        if "/" in value:
            return value
        for sign in "-_":
            if value.count(sign) == 1:
                return value.replace(sign, "/")
        for quote in self.quotes:
            if value.endswith(quote) and value != quote:
                return f"{value.removesuffix(quote)}/{quote}"
        raise InvalidValue(
            f"symbol={value!r}: where base ends and quote begins is not told",
            hint='in the mapping: symbol = { column = "...", quotes = ["USDT"] }',
        )

    def _moment_us(self, value: Any, name: str) -> int:
        if isinstance(value, datetime):
            return self._of_datetime(value, name)
        text = str(value)
        try:
            if self.format is not None:
                return self._of_datetime(datetime.strptime(text, self.format), name)  # noqa: DTZ007  its zone is next
            number = Decimal(text) if text.replace(".", "", 1).isdigit() else None
            if number is None:
                return self._of_datetime(datetime.fromisoformat(text), name)
        except InvalidValue:  # it says what is wrong itself
            raise
        except ValueError:
            raise InvalidValue(f"{name}={text!r}: no time", hint="say its format in the mapping") from None
        return int(number * (_UNITS[self.unit] if self.unit else _factor(number)))

    def _of_datetime(self, found: datetime, name: str) -> int:
        if found.tzinfo is None:
            if self.zone is None:
                raise InvalidValue(
                    f"{name}={found.isoformat()}: its zone is not told",
                    hint=f'in the mapping: {name} = {{ column = "{self.column}", zone = "UTC" }}',
                )
            found = found.replace(tzinfo=ZoneInfo(self.zone))
        since = found - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _factor(number: Decimal) -> int | Decimal:
    if number < _S_MAX:
        return _UNITS["s"]
    if number < _MS_MAX:
        return _UNITS["ms"]
    return _UNITS["us"] if number < _US_MAX else _UNITS["ns"]


def rule_of(name: str, told: Any, header: Sequence[str], *, is_time: bool) -> Rule:
    """Take a rule of a mapping.

    Args:
        name: Our column.
        told: The file's column, or a table of what is said of it.
        header: The file's columns.
        is_time: Whether it is a time.

    Returns:
        The rule.

    Raises:
        ConfigError: It says what no rule says.
        InvalidValue: The file has no such column.
    """
    if isinstance(told, str):
        told = {"column": told}
    if not isinstance(told, Mapping) or set(told) - _KEYS or ("column" in told) == ("value" in told):
        raise ConfigError(
            f"mapping: {name} = {told!r}",
            hint=f"a column's name, or a table with column or value, and {sorted(_KEYS)}",
        )
    column = told.get("column", "")
    if column and column not in header:
        raise InvalidValue(f"mapping: the file has no column {column!r}", hint=f"it has {', '.join(header)}")
    zone = told.get("zone") or ("UTC" if is_time and "utc" in column.lower() else None)
    try:
        if zone:
            ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(f"mapping: {name}: no zone {zone!r}", hint="as Europe/Berlin or UTC") from None
    if told.get("unit") not in {None, *_UNITS}:
        raise ConfigError(f"mapping: {name}: no unit {told['unit']!r}", hint="s, ms, us or ns")
    return Rule(
        column, told.get("value"), told.get("values"), tuple(told.get("quotes") or ()), zone, told.get("format"),
        told.get("unit"), is_time,
    )  # fmt: skip
