"""The public surface: sorted, loadable, documented to the last argument, annotated, and the same in both facades."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

import hybridstore

ENTRY = re.compile(r"^(?P<indent> +)(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:(?: |$)")
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples|Note|Notes):$")

OPENING = {"open", "initialize"}
"""A block or one call opens a store; each world has its own word for the call."""
HELD = {"snapshot"}
"""A held moment is used in a thread, not on a loop; ``storage.store`` gives it there."""


def documented_names(docstring: str, section: str) -> set[str]:
    """Return the names a section of a Google-style docstring describes ("a, b: text" describes two).

    Args:
        docstring: As :func:`inspect.cleandoc` leaves it.
        section: ``Args`` or ``Attributes``.

    Returns:
        The names, without stars.
    """
    names: set[str] = set()
    inside, indent = False, 0
    for line in docstring.splitlines():
        if SECTION.match(line):
            inside, indent = line == f"{section}:", 0
        elif inside and (entry := ENTRY.match(line)):
            indent = indent or len(entry["indent"])
            if len(entry["indent"]) == indent:
                names.update(name.strip("* ") for name in entry["names"].split(","))
    return names


def callable_complaints(function: Callable[..., Any], name: str, docstring: str) -> list[str]:
    """Return what is missing from a function's annotations and from the Args of a docstring that should hold them."""
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name not in {"self", "cls"}]
    complaints = [
        f"{name}: {p.name} has no type" for p in parameters if p.annotation is inspect.Parameter.empty
    ]
    if signature.return_annotation is inspect.Signature.empty:
        complaints.append(f"{name}: its result has no type")
    described = documented_names(docstring, "Args")
    if len(parameters) > 1 or described:
        missing = {p.name for p in parameters} - described
        complaints += [f"{name}: {parameter} is not described under Args" for parameter in sorted(missing)]
        gone = described - {p.name for p in parameters}
        complaints += [
            f"{name}: Args describes {parameter}, which it does not take" for parameter in sorted(gone)
        ]
    return complaints


def member_complaints(member: object, name: str) -> list[str]:
    """Return what is missing from one method, property or function."""
    function = member
    if isinstance(function, staticmethod | classmethod):
        function = function.__func__
    if isinstance(function, property):
        return [] if function.__doc__ else [f"{name}: no docstring"]
    if not inspect.isfunction(function):
        return []
    docstring = inspect.getdoc(function) if function.__doc__ else None
    if not docstring:
        return [f"{name}: no docstring"]
    return callable_complaints(function, name, docstring)


def class_complaints(kind: type) -> list[str]:
    """Return what is missing from a class, its constructor and its public members, inherited ones of ours included."""
    docstring = inspect.cleandoc(kind.__doc__ or "")
    if not docstring:
        return [f"{kind.__name__}: no docstring"]
    complaints: list[str] = []
    if issubclass(kind, msgspec.Struct):
        own = [f for f in kind.__struct_fields__ if f in kind.__annotations__ and not f.startswith("_")]
        described = documented_names(docstring, "Attributes") | documented_names(docstring, "Args")
        complaints += [f"{kind.__name__}.{field} is not described" for field in own if field not in described]
    elif not getattr(kind, "_is_protocol", False) and inspect.isfunction(
        constructor := vars(kind).get("__init__")
    ):
        complaints += callable_complaints(constructor, kind.__name__, docstring)
    for owner in kind.__mro__:
        if owner.__module__.partition(".")[0] == hybridstore.__name__:
            for name, member in vars(owner).items():
                if not name.startswith("_"):
                    complaints += member_complaints(member, f"{owner.__name__}.{name}")
    return complaints


def complaints_about(thing: object, name: str) -> list[str]:
    """Return what is missing from a public thing; plain values and type aliases need no docstring."""
    return class_complaints(thing) if isinstance(thing, type) else member_complaints(thing, name)


def public_things() -> Iterator[tuple[str, object]]:
    for name in hybridstore.__all__:
        yield name, getattr(hybridstore, name)


def public_methods(kind: type) -> dict[str, set[str]]:
    """Return the parameter names of every public method of a class."""
    return {
        name: set(inspect.signature(member).parameters)
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_all_is_the_sorted_public_surface() -> None:
    assert hybridstore.__all__ == sorted(set(hybridstore.__all__))
    assert dir(hybridstore) == hybridstore.__all__
    assert not any(name.startswith("_") for name in hybridstore.__all__)


def test_every_name_comes_from_the_room_it_is_listed_under() -> None:
    assert sorted(hybridstore._ROOM_OF) == hybridstore.__all__
    strays = [
        f"{name} is defined in {thing.__module__}"
        for name, thing in public_things()
        if isinstance(thing, type) and thing.__module__ != f"hybridstore.{hybridstore._ROOM_OF[name]}"
    ]
    assert strays == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="HybridStor"):
        _ = hybridstore.HybridStor  # type: ignore[attr-defined]  # the point of the test


def test_everything_public_is_documented_and_annotated() -> None:
    complaints = {complaint for name, thing in public_things() for complaint in complaints_about(thing, name)}
    assert not complaints, "\n".join(sorted(complaints))


def test_both_facades_offer_the_same_calls() -> None:
    from hybridstore.hot.async_desk import AsyncDesk
    from hybridstore.hot.desk import Desk

    assert public_methods(AsyncDesk) == public_methods(Desk)
    looped, plain = (
        public_methods(hybridstore.TradingBotStorageSystem),
        public_methods(hybridstore.HybridStore),
    )
    shared = plain.keys() - OPENING - HELD
    assert looped.keys() - OPENING == shared
    differing = {name: looped[name] ^ plain[name] for name in shared if looped[name] != plain[name]}
    assert differing == {"subscribe": {"timeout_s"}}, (
        "a thread cannot be cancelled while it waits, a task can"
    )
    for name in ("root", "config"):
        assert isinstance(vars(hybridstore.TradingBotStorageSystem)[name], property)
        assert isinstance(vars(hybridstore.HybridStore)[name], property)


# -- the checker itself ------------------------------------------------------------------------------------------


class _Bare:
    def __init__(self, size: int, unit: str) -> None:
        """Make one."""


class _Whole:
    """A thing.

    Args:
        size: How large, bytes.
        unit: What is counted: rows
            or: files.
    """

    def __init__(self, size: int, unit: str) -> None:
        self.size, self.unit = size, unit

    def scaled(self, factor: int, *, up: bool) -> int:
        """Scale it.

        Args:
            factor, up: By how much, and where to.

        Returns:
            Bytes.
        """
        return self.size * factor if up else self.size // factor


def _undescribed(a: int, b: int) -> int:
    """Add.

    Args:
        a: One.

    Returns:
        b: is not described here.
    """
    return a + b


def _renamed(a: int) -> int:
    """Negate.

    Args:
        b: What it was called once.
    """
    return -a


def _untyped(a):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  what the checker must see
    """Return it."""
    return a


def _silent(a: int) -> int:
    return a


class _Struct(msgspec.Struct):
    """A struct.

    Attributes:
        a: One.
    """

    a: int
    b: int


@pytest.mark.parametrize(
    ("thing", "complaints"),
    [
        (_Bare, ["_Bare: no docstring"]),
        (_Whole, []),
        (_undescribed, ["_undescribed: b is not described under Args"]),
        (
            _renamed,
            ["_renamed: a is not described under Args", "_renamed: Args describes b, which it does not take"],
        ),
        (_untyped, ["_untyped: a has no type", "_untyped: its result has no type"]),
        (_silent, ["_silent: no docstring"]),
        (_Struct, ["_Struct.b is not described"]),
    ],
)
def test_the_checker_sees_what_is_missing(thing: Any, complaints: list[str]) -> None:
    assert complaints_about(thing, thing.__name__) == complaints
    assert member_complaints(_Whole.scaled, "scaled") == []
