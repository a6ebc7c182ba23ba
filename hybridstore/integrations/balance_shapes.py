"""The shapes balances come in: arguments of a call, one entry, ccxt's structure, messages, mappings by asset, lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.integrations.calls import Call
from hybridstore.integrations.events import BalanceSeen
from hybridstore.integrations.exact import Exact
from hybridstore.integrations.fields import (
    ASSET,
    DEBT,
    DELTA,
    EXCHANGE_TIME,
    FREE,
    PAYLOAD,
    REASON,
    SOURCE,
    TIME,
    TOTAL,
    USED,
    Fields,
    from_json,
    is_container,
    is_number,
    plain,
    word,
)

_CALL_ASSET = (*ASSET, "name", "code", "key")
_NO_ASSETS = {
    plain(name)
    for name in (
        *ASSET, *TOTAL, *FREE, *USED, *DEBT, *DELTA, *TIME, *EXCHANGE_TIME, *PAYLOAD, *SOURCE, *REASON,
        "info", "success", "code", "status", "error", "type", "id", "seq", "sequence", "version", "nonce", "e", "u",
    )
}  # fmt: skip
_PARTS = {plain(name) for name in (*FREE, *USED)}
_DEPTH_MAX = 6


class Told(NamedTuple):
    """One balance as it was found: figures of whatever kind, not yet exact.

    Attributes:
        asset: The asset.
        total, free, used, debt: Figures; None where absent.
        source, reason, changed_at, exchange_at: What was said about it; None where absent.
        more: Other figures of the asset by name, as staked or interest.
        in_parts: Whether the source has a place for what is free or held, even an empty one. Of a bare figure nothing
            is held back, as in ``record_balance_update``.
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
    in_parts: bool = False

    @property
    def figures(self) -> tuple[Any, ...]:
        """The figures alone, comparable: NaN is equal to itself."""
        return tuple("nan" if value != value else value for value in self[1:5])  # noqa: PLR0124  that is what NaN is


def told_by_call(call: Call) -> list[Told]:
    """Read what a call says of balances.

    Args:
        call: The call, or a notification.

    Returns:
        What was found; empty where it is not about balances.

    Raises:
        InvalidValue: Figures without names, of which nobody can say what they are.
    """
    arguments = {name: from_json(value) for name, value in call.arguments.items()}
    if call.name:
        found = _named_arguments(arguments)
        if found is not None:
            return [found]
    values = list(arguments.values())
    if len(values) > 1 and isinstance(values[0], str) and is_container(values[1]):
        inner = Fields(values[1])
        entry = _entry(inner, values[0], _described(Told("", None), Fields(arguments)))
        if entry is not None and not inner.has(ASSET):
            return [entry]
    for value in values:
        if is_container(value):
            found_inside = list(told_by(value, context=Fields(arguments)))
            if found_inside:
                return found_inside
    unnamed = [value for name, value in arguments.items() if name.startswith("*")]
    return _positional(unnamed) if len(unnamed) > 1 and isinstance(unnamed[0], str) else []


def _named_arguments(arguments: dict[str, Any]) -> Told | None:
    fields = Fields(arguments)
    asset = word(fields.get(_CALL_ASSET))
    if asset is None or asset.isspace():
        return None
    whole = fields.get(TOTAL)
    if is_container(whole):
        return _entry(Fields(whole), asset, _described(Told("", None), fields))
    entry = _entry(fields, asset)
    if entry is None and not fields.has(DELTA):
        figures = [(name, value) for name, value in arguments.items() if is_number(value) and value != asset]
        times = {plain(name) for name in (*TIME, *EXCHANGE_TIME)}
        figures = [(name, value) for name, value in figures if plain(name) not in times]
        if len(figures) == 1 and not figures[0][0].startswith("*"):
            return _described(Told(asset, figures[0][1]), fields)
    return entry


def _positional(values: list[Any]) -> list[Told]:
    asset, *rest = values
    figures = [value for value in rest if is_number(value)]
    if len(figures) == 1:
        return [Told(asset, figures[0], source=next((v for v in rest if isinstance(v, str)), None))]
    if figures:
        raise InvalidValue(
            f"{tuple(values)!r}: which of these figures is the balance?",
            hint="give extract= to integrate_with_balance_manager: it takes the same arguments and returns "
            "{'asset': ..., 'balance': ..., 'hold': ...}",
        )
    return []


def told_by(
    value: object,
    *,
    asset: str | None = None,
    context: Fields | None = None,
    trusted: bool = False,
    depth: int = 0,
) -> Iterator[Told]:
    """Read balances from a value of any shape.

    Args:
        value: An entry, a structure, a mapping by asset, a message, or a list of them.
        asset: Whose entry it is, where something around it says so.
        context: Fields around it: source, time.
        trusted: Whether keys in lower case are assets, too.
        depth: How deep in a message it lies.

    Yields:
        What was found.
    """
    value = from_json(value)
    if not is_container(value) or depth > _DEPTH_MAX:
        return
    if isinstance(value, tuple) and not hasattr(value, "_fields") and value and isinstance(value[0], str):
        yield from _from_row(value)
        return
    if isinstance(value, Iterable) and _is_list(value):
        for item in tuple(value):
            yield from told_by(item, context=context, trusted=trusted, depth=depth + 1)
        return
    fields = Fields(value) if context is None else Fields(value, context.source)
    alone = fields if context is None else Fields(value)
    own = word(alone.get(ASSET)) or asset
    entry = None if own is None else _entry(alone, own, _described(Told("", None), fields))
    if entry is not None:
        yield entry
    elif isinstance(value, Mapping):
        yield from _from_mapping(value, fields, trusted=trusted, depth=depth)
    else:
        yield from _from_payload(fields, depth)


def _is_list(value: object) -> bool:
    return not (
        isinstance(value, Mapping) or hasattr(value, "_fields") or hasattr(value, "__struct_fields__")
    )


def _from_row(row: tuple[Any, ...]) -> Iterator[Told]:
    """Read (asset, balance), (asset, balance, hold, source, reason, time): the order of record_balance_update."""
    asset, *rest = row
    if rest and is_container(rest[0]):
        yield from told_by(rest[0], asset=asset, depth=1)
    elif rest and is_number(rest[0]):
        hold, source, reason, changed_at = (*rest[1:5], *[None] * 4)[:4]
        yield Told(asset, rest[0], None, hold, None, word(source), word(reason), changed_at)


def _from_mapping(value: Mapping[Any, Any], fields: Fields, *, trusted: bool, depth: int) -> Iterator[Told]:
    found = False
    around = _described(Told("", None), fields)
    for key, item in value.items():
        if not isinstance(key, str) or (plain(key) in _NO_ASSETS and not _is_code(key)):
            continue
        if is_number(item):
            if trusted or not key.islower():
                found = True
                yield around._replace(asset=key, total=item)
        elif is_container(item) and not isinstance(item, list | tuple | set):
            entry = _entry(Fields(item), key, around)
            if entry is not None:
                found = True
                yield entry
    if not found:
        yield from _columns(value, fields)
        yield from _from_payload(fields, depth)


def _is_code(key: str) -> bool:
    return key.isupper() and len(key) > 1


def _columns(value: Mapping[Any, Any], fields: Fields) -> Iterator[Told]:
    """Read {"free": {asset: figure}, "used": ..., "total": ...}."""
    columns = [value.get(name) for name in ("total", "free", "used", "debt")]
    if not all(column is None or isinstance(column, Mapping) for column in columns):
        return
    by_asset = [column or {} for column in columns]
    for asset in dict.fromkeys([*by_asset[0], *by_asset[1]]):
        total, free, used, debt = (column.get(asset) for column in by_asset)
        yield _described(Told(asset, total, free, used, debt, in_parts=True), fields)


def _from_payload(fields: Fields, depth: int) -> Iterator[Told]:
    for name in PAYLOAD:
        inner = from_json(Fields(fields.source).get((name,)))
        if is_container(inner):
            found = list(
                told_by(inner, context=fields, trusted=name in {"balances", "balance"}, depth=depth + 1)
            )
            if found:
                yield from found
                return


def _entry(fields: Fields, asset: str, around: Told | None = None) -> Told | None:
    """Read the figures of one asset, with what is said around it; None where there are none."""
    total, free, used = (_figure(fields.get(names)) for names in (TOTAL, FREE, USED))
    if total is None and free is None:
        return None
    entry = _described(Told(asset, total, free, used, _figure(fields.get(DEBT))), fields)
    entry = entry._replace(more=_more(fields.source), in_parts=_has_parts(fields.source))
    if around is None:
        return entry
    return entry._replace(
        source=entry.source or around.source,
        reason=entry.reason or around.reason,
        changed_at=around.changed_at if entry.changed_at is None else entry.changed_at,
        exchange_at=around.exchange_at if entry.exchange_at is None else entry.exchange_at,
    )


def _has_parts(entry: object) -> bool:
    return isinstance(entry, Mapping) and any(plain(str(name)) in _PARTS for name in entry)


def _more(entry: object) -> tuple[tuple[str, Any], ...]:
    """Return what an entry tells beside what is known by name; of a mapping only, whose keys are all its own."""
    if not isinstance(entry, Mapping):
        return ()
    return tuple(
        [
            (name, value)
            for name, value in entry.items()
            if is_number(value) and plain(str(name)) not in _NO_ASSETS
        ]
    )


def _figure(value: Any) -> Any:
    return value if is_number(value) else None


def _described(told: Told, fields: Fields) -> Told:
    changed_at, exchange_at = fields.get(TIME), fields.get(EXCHANGE_TIME)
    return told._replace(
        source=word(fields.get(SOURCE)),
        reason=word(fields.get(REASON)),
        changed_at=exchange_at if changed_at is None or is_container(changed_at) else changed_at,
        exchange_at=exchange_at,
    )


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
        InvalidValue: A figure is missing, not finite, or refused.
    """
    if told.total is None and told.free is None:
        raise InvalidValue(f"the balance of {told.asset} is missing")
    figures = {"balance": told.total, "available": told.free, "hold": told.used, "debt": told.debt}
    amounts = {
        name: None if figure is None else exact.amount(figure, name) for name, figure in figures.items()
    }
    more = {name: exact.amount(figure, name) for name, figure in told.more}
    if told.used is None and told.free is None and not told.in_parts:
        amounts["hold"] = exact.amount(0, "hold")
    changed_at = exact.moment(told.changed_at)
    return BalanceSeen(
        told.asset,
        amounts["balance"],
        amounts["hold"],
        amounts["available"],
        amounts["debt"],
        more or None,
        told.source or source,
        told.reason,
        changed_at or seen_at,
        changed_at if told.exchange_at is None else exact.moment(told.exchange_at),
    )
