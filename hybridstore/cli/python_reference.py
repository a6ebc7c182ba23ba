"""The reference of the public names of Python as Markdown, made from their docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import hybridstore

_BEGINNING = (
    "Everything that `from hybridstore import ...` gives, with the first sentence of its docstring; `help(name)` has "
    "the rest: arguments, units, errors. What `HybridStore` returns, `TradingBotStorageSystem` is awaited for."
)


_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}


def python_page() -> str:
    """Return the reference of every public name.

    Returns:
        Markdown.
    """
    lines = ["# Python", "", _BEGINNING, ""]
    for name in hybridstore.__all__:
        value = getattr(hybridstore, name)
        lines += [f"## {name}", "", _first(value), ""]
        rows = list(_methods(value)) if inspect.isclass(value) and not issubclass(value, Exception) else []
        if rows:
            lines += ["| call | what |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _methods(kind: type) -> Iterator[str]:
    for name, value in inspect.getmembers(kind):
        if name.startswith("_") or not _is_ours(value):
            continue
        if isinstance(value, property):
            yield f"| `.{name}` | {_first(value)} |"
        elif callable(value):
            yield f"| `{name}({', '.join(_parameters(value))})` | {_first(value)} |"


def _is_ours(value: Any) -> bool:
    """Say whether something is written in this package, and not inherited from another."""
    where = getattr(value.fget if isinstance(value, property) else value, "__module__", None)
    return str(where).startswith("hybridstore")


def _parameters(function: Any) -> Iterator[str]:
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in {"self", "cls"}:
            star = _STARS.get(parameter.kind.name, "")
            optional = "=" if parameter.default is not parameter.empty else ""
            yield f"{star}{name}{optional}"


def _first(value: Any) -> str:
    paragraph = inspect.cleandoc(value.__doc__ or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|").replace("<", "\\<")
