"""The shapes balances come in: arguments of a call, one entry, ccxt's structure, messages, mappings by asset, lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hybridstore.errors import InvalidValue
from hybridstore.integrations.balance_entries import Told, describe, read_entry
from hybridstore.integrations.calls import Call
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
_PLACES = (
    *PAYLOAD, "list", "details", "coin", "coins", "summaries", "accounts", "assets", "user_assets", "asset_positions",
    "subaccount", "wallets", "results", "rows", "a",
)  # fmt: skip
"""Where in a message balances are."""
_NO_ASSETS = {
    plain(name)
    for name in (
        *ASSET, *TOTAL, *FREE, *USED, *DEBT, *DELTA, *TIME, *EXCHANGE_TIME, *_PLACES, *SOURCE, *REASON,
        "info", "success", "code", "status", "error", "type", "id", "seq", "sequence", "version", "nonce", "e", "u",
    )
}  # fmt: skip
_ASSET = re.compile(r"([a-z]{0,2}[A-Z0-9+][A-Z0-9._+-]*|[A-Z0-9]{2,}\.?[a-z])\Z")
_DEPTH_MAX = 6


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
        entry = read_entry(inner, values[0], describe(Told("", None), Fields(arguments)))
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
        return read_entry(Fields(whole), asset, describe(Told("", None), fields))
    entry = read_entry(Fields(_said(arguments)), asset, whole=False)
    if entry is None and not fields.has(DELTA):
        figures = [(name, value) for name, value in arguments.items() if is_number(value) and value != asset]
        times = {plain(name) for name in (*TIME, *EXCHANGE_TIME)}
        figures = [(name, value) for name, value in figures if plain(name) not in times]
        if len(figures) == 1 and not figures[0][0].startswith("*"):
            return describe(Told(asset, figures[0][1]), fields)
    return entry


def _said(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that may be part of an entry: not what is around it, nor what was left out."""
    return {name: value for name, value in arguments.items() if value is not None and not is_container(value)}


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
    entry = None if own is None else read_entry(alone, own, describe(Told("", None), fields))
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
    around = describe(Told("", None), fields)
    for key, item in value.items():
        if not isinstance(key, str) or (plain(key) in _NO_ASSETS and not _is_code(key)):
            continue
        if is_number(item):
            if _is_asset(key, trusted=trusted) and not (len(key) == 1 and "e" in value):
                found = True
                yield around._replace(asset=key, total=item)
        elif is_container(item) and not isinstance(item, list | tuple | set):
            inner = Fields(item)
            own = word(inner.get(ASSET))
            entry = read_entry(inner, own or key, around, whole=not _is_asset(key, trusted=trusted))
            if entry is not None:
                found = True
                yield entry
    if not found:
        yield from _columns(value, fields)
        yield from _from_payload(fields, depth)


def _is_code(key: str) -> bool:
    return key.isupper() and len(key) > 1


def _is_asset(key: str, *, trusted: bool) -> bool:
    """Return whether a key names an asset, as BTC, XBt or stETH, and not a figure of the account, as totalEquity."""
    return trusted or (_ASSET.match(key) is not None and not key.islower())


def _columns(value: Mapping[Any, Any], fields: Fields) -> Iterator[Told]:
    """Read {"free": {asset: figure}, "used": ..., "total": ...}."""
    columns = [value.get(name) for name in ("total", "free", "used", "debt")]
    if not all(column is None or isinstance(column, Mapping) for column in columns):
        return
    by_asset = [column or {} for column in columns]
    for asset in dict.fromkeys([asset for column in by_asset for asset in column]):
        total, free, used, debt = (column.get(asset) for column in by_asset)
        if any(figure is not None for figure in (total, free, used, debt)):
            yield describe(Told(asset, total, free, used, debt), fields)


def _from_payload(fields: Fields, depth: int) -> Iterator[Told]:
    for name in _PLACES:
        inner = from_json(Fields(fields.source).get((name,)))
        if is_container(inner):
            found = list(
                told_by(inner, context=fields, trusted=name in {"balances", "balance"}, depth=depth + 1)
            )
            if found:
                yield from found
                return
