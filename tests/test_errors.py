"""Errors: one tree, the one its docstring draws; each says what happened, where, and what to do."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

import hybridstore
from hybridstore import errors
from hybridstore.errors import ArchiveCorrupt, HybridStoreError, InvalidValue, NotFound, StoreBusy

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, HybridStoreError) and kind.__module__ == errors.__name__
]


def drawn() -> dict[str, str]:
    """Return each class of the drawing with the class it hangs under."""
    parents: list[tuple[int, str]] = []
    found: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"(?P<indent>[ │├└─]*)(?P<name>[A-Z]\w+)(?: \(\w+\))?(?:  |$)", line)
        if match and (match["indent"].strip() or match["name"] == "HybridStoreError"):
            depth = len(match["indent"])
            parents = [(at, name) for at, name in parents if at < depth]
            found[match["name"]] = parents[-1][1] if parents else "Exception"
            parents.append((depth, match["name"]))
    return found


def test_the_drawing_is_the_tree() -> None:
    assert drawn() == {kind.__name__: kind.__bases__[0].__name__ for kind in KINDS}


def test_every_error_is_public() -> None:
    assert {kind.__name__ for kind in KINDS} <= set(hybridstore.__all__)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_crosses_a_process_whole(kind: type[HybridStoreError]) -> None:
    error = kind("it broke", operation="write", path="/x/y.db", hint="do this")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301  our own bytes
        assert type(again) is kind
        assert (again.message, again.operation, again.path, again.hint) == (
            "it broke",
            "write",
            "/x/y.db",
            "do this",
        )
        assert str(again) == str(error)


def test_the_text_holds_what_is_known() -> None:
    assert str(StoreBusy("busy")) == "busy"
    assert str(StoreBusy("busy", operation="write")) == "write: busy"
    assert str(StoreBusy("busy", path="a.db", hint="wait")) == "busy [a.db] (wait)"
    assert str(StoreBusy("a.db is busy", path="a.db")) == "a.db is busy"
    assert str(StoreBusy("busy", operation="write", path="a.db", hint="wait")) == "write: busy [a.db] (wait)"


def test_what_may_be_tried_again() -> None:
    again = {kind.__name__ for kind in KINDS if kind.retryable}
    assert again == {"StoreBusy", "StorageFull", "QueryTimeout", "ArchiveUnreachable", "ExchangeUnreachable"}


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(InvalidValue, ValueError)
    assert issubclass(NotFound, LookupError)
    assert not issubclass(ArchiveCorrupt, ValueError)
    assert str(NotFound("no 'x'")) == "no 'x'"
