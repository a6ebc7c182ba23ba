"""Settings that are checked when they are made and when they are assigned, and that stores made with them follow."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import msgspec

from hybridstore.errors import ConfigError


def check_types(settings: msgspec.Struct) -> None:
    """Refuse values of the wrong type.

    Args:
        settings: What was just made.

    Raises:
        ConfigError: A value does not fit its field; both are named.
    """
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        try:
            msgspec.convert(value, field.type)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{field.name}={value!r}: {error}") from None


def check_least(settings: msgspec.Struct, least: Mapping[str, float]) -> None:
    """Refuse values that are too small.

    Args:
        settings: What was just made.
        least: The smallest value of each field that has one.

    Raises:
        ConfigError: A value is smaller, or no number; field, value and limit are named.
    """
    for name, minimum in least.items():
        if not getattr(settings, name) >= minimum:  # so that NaN is refused, too
            raise ConfigError(f"{name}={getattr(settings, name)!r}", hint=f"it must be at least {minimum}")


class LiveSettings(msgspec.Struct, dict=True, weakref=True):
    """Base of settings that can be assigned: a value that cannot work is refused there and then.

    Attributes:
        live: The fields that a store follows when they are assigned; all others are decided when it is made, and
            assigning them is refused while such a store exists, because it would have no effect.
    """

    live: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, name: str, value: object) -> None:
        """Change a setting, also of the stores that were made with it."""
        if name not in self.__struct_fields__:
            known = ", ".join(self.__struct_fields__)
            raise ConfigError(f"{name}={value!r}: there is no such setting", hint=f"known: {known}")
        checked = getattr(msgspec.structs.replace(self, **{name: value}), name)
        copies = [copy for reference in vars(self).get("copies", ()) if (copy := reference())]
        if name not in self.live and (copies or "origin" in vars(self)):
            kind = type(self).__name__
            raise ConfigError(
                f"{name}={value!r}: this is decided when the store is made",
                hint=f"give the next store settings of its own: {kind}(...), or msgspec.structs.replace",
            )
        super().__setattr__(name, checked)
        for copy in copies:
            setattr(copy, name, checked)

    def copy_that_follows(self, **changes: Any) -> Self:
        """Return the settings for a store to keep.

        Args:
            **changes: What is different in it.

        Returns:
            A copy, which follows what is assigned to these settings later.
        """
        copy = msgspec.structs.replace(self, **changes)
        vars(copy)["origin"] = self  # whoever copies the copy is reached through it
        known = [reference for reference in vars(self).get("copies", ()) if reference()]
        vars(self)["copies"] = [*known, weakref.ref(copy)]
        return copy


def check_url(name: str, url: str | None) -> None:
    """Refuse what is no URL of an object store.

    Args:
        name: The setting.
        url: Its value; None means none.

    Raises:
        ConfigError: It is none, or one of a store that ends with the process.
    """
    if url is not None and ("://" not in url or url.lower().startswith("memory:")):
        raise ConfigError(
            f"{name}={url!r}",
            hint="give the URL of a bucket, 's3://bucket/prefix', or of a folder, 'file:///mnt/archive'",
        )
