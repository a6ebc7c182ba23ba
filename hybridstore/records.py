"""Records: frozen structs that also read like a mapping.

What the store hands out is a struct (``balance.available``) whose fields can be reached by name as well
(``balance["available"]``, ``dict(balance)``). The mapping protocol lives on the class, so an instance costs what a bare
struct costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

FieldValue: TypeAlias = Any
"""What a field holds; its real type stands in the struct that declares it."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """Base of every struct the store returns: immutable, and readable by field name.

    ``gc=False`` keeps millions of records out of the cycle collector; a field must therefore never hold something
    that leads back to its own record.
    """

    def __getitem__(self, name: str) -> FieldValue:
        """Return the field of this name.

        Args:
            name: A field's name.

        Returns:
            The field's value.

        Raises:
            KeyError: No such field; the message names those there are.
        """
        if name in self.__struct_fields__:
            return getattr(self, name)
        raise KeyError(
            f"{type(self).__name__} has no field {name!r}; it has {', '.join(self.__struct_fields__)}"
        )

    def __iter__(self) -> Iterator[str]:
        """Iterate over the field names, in the order they are declared."""
        return iter(self.__struct_fields__)

    def __len__(self) -> int:
        """Return the number of fields."""
        return len(self.__struct_fields__)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a field of this name."""
        return name in self.__struct_fields__

    def keys(self) -> tuple[str, ...]:
        """Return the field names, in the order they are declared."""
        return self.__struct_fields__

    def values(self) -> tuple[FieldValue, ...]:
        """Return the field values, in the order of :meth:`keys`."""
        return tuple([getattr(self, name) for name in self.__struct_fields__])

    def items(self) -> tuple[tuple[str, FieldValue], ...]:
        """Return (name, value) pairs, in the order of :meth:`keys`."""
        return tuple([(name, getattr(self, name)) for name in self.__struct_fields__])

    def get(self, name: str, default: FieldValue = None) -> FieldValue:
        """Return the field of this name, or the default where there is none.

        Args:
            name: A field's name.
            default: What to return instead.

        Returns:
            The field's value, or ``default``.
        """
        return getattr(self, name) if name in self.__struct_fields__ else default

    def to_dict(self) -> dict[str, FieldValue]:
        """Return a plain dict, with nested records as dicts and tuples of them as lists.

        Values keep their types: a Decimal stays a Decimal, a datetime a datetime. ``dict(record)`` is the shallow form.
        """
        return {name: _plain(getattr(self, name)) for name in self.__struct_fields__}


def _plain(value: FieldValue) -> FieldValue:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
