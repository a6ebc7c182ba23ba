"""Records: frozen structs that also read like a mapping.

What the store hands out is a struct (``balance.available``) whose fields can be reached by name as well
(``balance["available"]``, ``dict(balance)``). The mapping protocol lives on the class, so an instance costs what
a bare struct costs.
"""

from __future__ import annotations

import difflib
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any, TypeAlias

import msgspec

FieldValue: TypeAlias = Any
"""What a field holds; its real type stands in the struct that declares it."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """Base of every struct the store returns: immutable, and readable by field name.

    ``gc=False`` keeps millions of records out of the cycle collector; a field must therefore never hold
    something that leads back to its own record.
    """

    def __getitem__(self, name: str) -> FieldValue:
        """Return a field by name; an unknown one raises KeyError with the names there are."""
        if name in self.__struct_fields__:
            return getattr(self, name)
        near = difflib.get_close_matches(str(name), self.__struct_fields__, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(self.__struct_fields__)
        raise KeyError(f"{type(self).__name__} has no field {name!r}, only {known}{hint}")

    def __iter__(self) -> Iterator[str]:
        """Iterate over the field names, in declared order."""
        return iter(self.__struct_fields__)

    def __len__(self) -> int:
        """Return the number of fields."""
        return len(self.__struct_fields__)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a field of that name."""
        return name in self.__struct_fields__

    def keys(self) -> KeysView[str]:
        """Return the field names.

        Returns:
            Names in declared order.
        """
        return dict.fromkeys(self.__struct_fields__).keys()

    def values(self) -> ValuesView[FieldValue]:
        """Return the fields' values.

        Returns:
            Values in declared order.
        """
        return self._shallow().values()

    def items(self) -> ItemsView[str, FieldValue]:
        """Return names and values.

        Returns:
            Pairs in declared order.
        """
        return self._shallow().items()

    def get(self, name: str, default: FieldValue = None) -> FieldValue:
        """Return a field, or a default where there is none of that name.

        Args:
            name: A field's name.
            default: What to return otherwise.

        Returns:
            The field's value or the default.
        """
        return getattr(self, name) if name in self.__struct_fields__ else default

    def to_dict(self) -> dict[str, FieldValue]:
        """Return plain data: nested records as dicts, tuples as lists.

        Returns:
            Values by field name, with their types: a Decimal stays a Decimal. ``dict(record)`` is the shallow
            form.
        """
        return {name: _plain(value) for name, value in self._shallow().items()}

    def _shallow(self) -> dict[str, FieldValue]:
        return {name: getattr(self, name) for name in self.__struct_fields__}


def _plain(value: FieldValue) -> FieldValue:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
