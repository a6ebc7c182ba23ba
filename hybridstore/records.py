"""The base of every record handed out: a frozen struct that also reads like a mapping."""

from __future__ import annotations

import difflib
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, gc=False):
    """A frozen struct whose fields can also be read by name: ``balance.available`` or ``balance["available"]``.

    It costs nothing an instance; ``dict(record)`` and ``**record`` work.
    """

    def __getitem__(self, name: str) -> Any:
        """Return a field by name; an unknown one raises KeyError with the names there are."""
        if name in self.__struct_fields__:
            return getattr(self, name)
        near = difflib.get_close_matches(name, self.__struct_fields__, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"{type(self).__name__} has no field {name!r}, only {', '.join(self.__struct_fields__)}{hint}")

    def __iter__(self) -> Iterator[str]:
        """Iterate over field names, as a mapping does."""
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
            Names in order of declaration.
        """
        return self.to_dict().keys()

    def values(self) -> ValuesView[Any]:
        """Return the fields' values.

        Returns:
            Values in order of declaration.
        """
        return self.to_dict().values()

    def items(self) -> ItemsView[str, Any]:
        """Return names and values.

        Returns:
            Pairs in order of declaration.
        """
        return self.to_dict().items()

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or a default where there is none of that name.

        Args:
            name: The field.
            default: What to return otherwise.

        Returns:
            The field's value or the default.
        """
        return getattr(self, name) if name in self.__struct_fields__ else default

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a new dict.

        Returns:
            Values by field name.
        """
        return {name: getattr(self, name) for name in self.__struct_fields__}
