"""Figures and times of other people's objects, in the form the store takes; what that changed is counted.

The store refuses floats, because only who computed one knows what it stands for. A manager that is integrated from the
outside holds what it holds, so here, and only here, a float is taken: as the shortest decimal that reads back as the
same float, which is what was typed where it came from text.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias

from hybridstore.errors import InvalidValue
from hybridstore.integrations.fields import is_number
from hybridstore.portfolio.money import round_money
from hybridstore.schema.types import MONEY_PLACES, moment, to_decimal

Floats: TypeAlias = Literal["convert", "refuse"]
_MICROSECONDS_OF = (
    (10**11, Decimal(1_000_000)),
    (10**14, Decimal(1_000)),
    (10**17, Decimal(1)),
    (10**20, Decimal("0.001")),
)
"""Below the first number a time counts units of that many microseconds: seconds, milliseconds, and so on."""
_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)
"""Before which nothing was traded: what is earlier is a counter or a monotonic clock, not a time."""


class Exact:
    """Takes figures and times.

    Args:
        floats: "convert" takes floats and rounds what has more than 18 places; "refuse" does neither.
        zone: The zone of datetimes that name none; None leaves such a time out.

    Attributes:
        floats_converted: How many floats were taken.
        rounded: How many figures had more than 18 places and were rounded to them, half to even.
        times_ignored: How many times could not be placed: no zone, or no time at all.
    """

    def __init__(self, floats: Floats = "convert", zone: tzinfo | None = None) -> None:
        if floats not in {"convert", "refuse"}:
            raise InvalidValue(f"floats={floats!r}", hint="use 'convert' or 'refuse'")
        self._converts = floats == "convert"
        self._zone = zone
        self._lock = threading.Lock()
        self.floats_converted = 0
        self.rounded = 0
        self.times_ignored = 0

    def amount(self, value: object, name: str) -> Decimal:
        """Take a figure.

        Args:
            value: Decimal, int, decimal text, or a float of Python or numpy.
            name: What it is, for the message.

        Returns:
            The exact figure.

        Raises:
            InvalidValue: Missing, not finite, no number, or a float where floats are refused.
        """
        if value is None:
            raise InvalidValue(f"{name} is missing")
        if self._converts and isinstance(value, float):
            number = to_decimal(
                Decimal(float.__repr__(value)), name
            )  # repr() of numpy's own floats is no number
            self._count("floats_converted")
        elif isinstance(value, Decimal | int | str | float):
            number = to_decimal(value, name)
        else:
            number = self._foreign(value, name)
        exponent = number.as_tuple().exponent
        if self._converts and isinstance(exponent, int) and exponent < -MONEY_PLACES:
            rounded = round_money(number)
            if rounded != number:
                self._count("rounded")
            number = rounded
        return number

    def _foreign(self, value: object, name: str) -> Decimal:
        if isinstance(value, Integral):
            return Decimal(int(value))
        if isinstance(value, Real) and self._converts:
            try:
                number = Decimal(str(value))
            except InvalidOperation:
                raise InvalidValue(f"{name}={value!r}: not a decimal number") from None
            self._count("floats_converted")
            return to_decimal(number, name)
        return to_decimal(value, name)

    def moment(self, value: Any) -> datetime | None:
        """Take a time.

        Args:
            value: A datetime, ISO 8601 text, or a number of seconds, milliseconds, microseconds or nanoseconds since
                1970, told apart by its size.

        Returns:
            The moment in UTC; None where there is none or it cannot be placed, which is counted.
        """
        if value is None or (isinstance(value, str | int | float) and not value):
            return None
        found = self._number_of(value) if not isinstance(value, datetime) else self._placed(value)
        if found is None or found < _EARLIEST:
            self._count("times_ignored")
            return None
        return found

    def _placed(self, value: datetime) -> datetime | None:
        if value.tzinfo is None:
            return None if self._zone is None else value.replace(tzinfo=self._zone).astimezone(UTC)
        return value.astimezone(UTC)

    def _number_of(self, value: Any) -> datetime | None:
        if isinstance(value, str) and not is_number(value):
            return self._parsed(value)
        if isinstance(value, bool) or not isinstance(value, Real | Decimal | str):
            return None
        try:
            number = Decimal(int(value)) if isinstance(value, Integral) else Decimal(str(value))
        except InvalidOperation:
            return None
        if not number.is_finite():
            return None
        for limit, microseconds in _MICROSECONDS_OF:
            if 0 < number < limit:
                return moment(int(number * microseconds))
        return None

    def _parsed(self, text: str) -> datetime | None:
        try:
            return self._placed(datetime.fromisoformat(text))
        except ValueError:
            return None

    def _count(self, name: str) -> None:
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)
