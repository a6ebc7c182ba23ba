"""One balance as it was found: an entry of whatever kind, read part by part, with everything else it tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from numbers import Real
from typing import Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.integrations.events import BalanceSeen
from hybridstore.integrations.exact import Exact
from hybridstore.integrations.fields import (
    ASSET,
    DEBT,
    EXCHANGE_TIME,
    FREE,
    REASON,
    SOURCE,
    TIME,
    TOTAL,
    USED,
    Fields,
    is_container,
    is_number,
    plain,
    word,
)

_KNOWN = {
    plain(name)
    for name in (*TOTAL, *FREE, *USED, *DEBT, *ASSET, *SOURCE, *REASON, *TIME, *EXCHANGE_TIME)
}  # fmt: skip
"""Names that say nothing where they are null: ``told`` has it already."""
_RAW = "info"
"""Where an entry keeps its own raw answer, which tells the same again."""


class Told(NamedTuple):
    """One balance as it was found: figures of whatever kind, not yet exact.

    Attributes:
        asset: The asset.
        total, free, used, debt: Figures; None where absent.
        source, reason, changed_at, exchange_at: What was said about it; None where absent.
        more: What else is told of the asset, by name, as staked, interest or a second total; nulls and texts, too.
    """

    asset: str
    total: Any
    free: Any = None
    used: Any = None
    debt: Any = None
    source: str | None = None
    reason: str | None = None
    changed_at: Any = None
    exchange_at: Any = None
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def figures(self) -> tuple[Any, ...]:
        """The figures alone, comparable: NaN is equal to itself."""
        return tuple("nan" if value != value else value for value in self[1:5])  # noqa: PLR0124  that is what NaN is


def read_entry(fields: Fields, asset: str, around: Told | None = None, *, whole: bool = True) -> Told | None:
    """Read the figures of one asset, with what is said around it.

    Args:
        fields: Its fields.
        asset: Whose they are.
        around: What is said around it: source, reason, times.
        whole: Whether a total or what is free must be among them, so that nothing else is taken for an entry.

    Returns:
        The entry; None where it tells no figure of a balance.
    """
    parts = [_first_figure(fields, names) for names in (TOTAL, FREE, USED, DEBT)]
    (_, total), (_, free), (_, used), (_, debt) = parts
    if all(figure is None for figure in ((total, free) if whole else (total, free, used, debt))):
        return None
    entry = describe(Told(asset, total, free, used, debt), fields)
    taken = {name for name, _ in parts} | {
        _first_name(fields, names) for names in (SOURCE, REASON, TIME, EXCHANGE_TIME)
    }
    entry = entry._replace(more=_more(fields.source, taken, asset))
    if around is None:
        return entry
    return entry._replace(
        source=entry.source or around.source,
        reason=entry.reason or around.reason,
        changed_at=around.changed_at if entry.changed_at is None else entry.changed_at,
        exchange_at=around.exchange_at if entry.exchange_at is None else entry.exchange_at,
    )


def describe(told: Told, fields: Fields) -> Told:
    """Return a balance with the source, the reason and the times some fields name.

    Args:
        told: The balance.
        fields: The fields.

    Returns:
        It with them.
    """
    changed_at, exchange_at = fields.get(TIME), fields.get(EXCHANGE_TIME)
    return told._replace(
        source=word(fields.get(SOURCE)),
        reason=word(fields.get(REASON)),
        changed_at=exchange_at if changed_at is None or is_container(changed_at) else changed_at,
        exchange_at=exchange_at,
    )


def _first_figure(fields: Fields, names: tuple[str, ...]) -> tuple[str, Any]:
    """Return the first figure of some names, and the name, plain; an empty text or a list is none."""
    for name in names:
        value = fields.get((name,))
        if isinstance(value, Mapping):  # {"value": "1.5", "currency": "BTC"}
            value = value.get("value", value.get("amount"))
        if is_number(value):
            return plain(name), value
    return "", None


def _first_name(fields: Fields, names: tuple[str, ...]) -> str:
    return next((plain(name) for name in names if fields.get((name,)) is not None), "")


def _more(entry: object, taken: set[str], asset: str) -> tuple[tuple[str, Any], ...]:
    """Return what an entry tells beside what was taken; of what declares its fields only, not of any object."""
    if isinstance(entry, Mapping):
        content: Mapping[Any, Any] = entry
    elif isinstance(entry, tuple) and hasattr(entry, "_asdict"):
        content = entry._asdict()
    elif dataclasses.is_dataclass(entry) and not isinstance(entry, type):
        content = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    elif hasattr(entry, "__struct_fields__"):
        content = {name: getattr(entry, name) for name in entry.__struct_fields__}
    else:
        return ()
    return tuple([(name, value) for name, value in content.items() if _is_more(name, value, taken, asset)])


def _is_more(name: object, value: object, taken: set[str], asset: str) -> bool:
    if not isinstance(name, str) or name == _RAW or plain(name) in taken or value == asset:
        return False
    if value is None:
        return plain(name) not in _KNOWN
    return isinstance(value, str | bool | Real | Decimal | Enum | date | Mapping | list | tuple)


def exact_balance(told: Told, exact: Exact, source: str, seen_at: datetime) -> BalanceSeen:
    """Make what was found exact.

    Args:
        told: What was found.
        exact: Takes figures and times.
        source: Where it came from, if it does not say.
        seen_at: When it was seen, if it does not say when it was.

    Returns:
        The balance, each figure as it was told.

    Raises:
        InvalidValue: No figure, or one that is not finite, or refused.
    """
    parts = {"balance": told.total, "available": told.free, "hold": told.used, "debt": told.debt}
    if all(figure is None for figure in parts.values()):
        raise InvalidValue(f"the balance of {told.asset} is missing")
    amounts = {name: None if figure is None else exact.amount(figure, name) for name, figure in parts.items()}
    changed_at = exact.moment(told.changed_at)
    return BalanceSeen(
        told.asset,
        amounts["balance"],
        amounts["hold"],
        amounts["available"],
        amounts["debt"],
        {name: _kept(value, exact, name) for name, value in told.more} or None,
        told.source or source,
        told.reason,
        changed_at or seen_at,
        changed_at if told.exchange_at is None else exact.moment(told.exchange_at),
    )


def _kept(value: Any, exact: Exact, name: str) -> Any:
    """Return what else was told as JSON has it: amounts as text, exact; a text, a null or a truth value as it is."""
    value = value.value if isinstance(value, Enum) else value
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _kept(item, exact, name) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_kept(item, exact, name) for item in value]
    if isinstance(value, Decimal | Real):
        try:
            return f"{exact.amount(value, name):f}"
        except InvalidValue:
            return str(value)  # NaN, or more digits than an amount has: kept as it reads
    return value.isoformat() if isinstance(value, date) else str(value)
