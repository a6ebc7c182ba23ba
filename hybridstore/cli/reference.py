"""The reference of commands, settings and Python as Markdown, made from their declarations.

``python -m hybridstore.cli.reference docs/reference`` writes the pages; a test compares them with what is declared.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import cyclopts
import msgspec

from hybridstore.cli.app import app
from hybridstore.cli.python_reference import python_page
from hybridstore.config import ENVIRONMENT_PREFIX, RetentionPolicy
from hybridstore.operations.settings_told import meanings, sections

_EXIT_CODES = (
    "Every command ends with exit code 0 when it has done what it says, 1 with one sentence on standard error when it "
    "could not or when it found something wrong, 130 after Ctrl-C. `--help` tells what stands here."
)
_SETTINGS = (
    "An argument wins over the environment, the environment over `hybridstore.toml` in the store's folder (or the file "
    "that `HYBRIDSTORE_CONFIG` names). A key or a variable that is not known is an error. `hybridstore init` writes a "
    "file with all of them, `hybridstore config show` tells those in use and where each came from."
)


def commands_page() -> str:
    """Return the reference of every command.

    Returns:
        Markdown.
    """
    lines = ["# Commands", "", _EXIT_CODES, ""]
    for name, command in _commands(app, "hybridstore"):
        lines += [f"## {name}", "", str(command.help or ""), "", *_usage(name, command), ""]
    return "\n".join(lines)


def _commands(group: cyclopts.App, prefix: str) -> Iterator[tuple[str, cyclopts.App]]:
    for name in group:
        if name.startswith("-"):
            continue
        command = group[name]
        if command.default_command is None:
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _usage(name: str, command: cyclopts.App) -> list[str]:
    arguments = list(command.assemble_argument_collection(parse_docstring=True))
    placed = [one for one in arguments if one.index is not None]
    words = [
        (one.name.lstrip("-").upper() if one.required else f"[{one.name.lstrip('-').upper()}]")
        for one in placed
    ]
    lines = [
        "```text",
        " ".join([name, *words, *(["[OPTIONS]"] if len(placed) < len(arguments) else [])]),
        "```",
    ]
    if arguments:
        lines += ["", "| argument | what | default |", "|---|---|---|"]
    for one in arguments:
        given = one.name.lstrip("-").upper() if one.index is not None else ", ".join(one.names)
        lines.append(f"| `{given}` | {_cell(_means(one))} | {_default(one)} |")
    return lines


def _means(argument: Any) -> str:
    told = str(argument.parameter.help or "")
    hints = [argument.hint, *get_args(argument.hint)]
    choices = next((get_args(hint) for hint in hints if get_origin(hint) is Literal), ())
    return f"{told} One of {', '.join(map(str, choices))}." if choices else told


def _default(argument: Any) -> str:
    default = argument.field_info.default
    if argument.required or default is inspect.Parameter.empty:
        return "required"
    if default is None or default is False or default == ():
        return ""
    return f"`{default}`"


def settings_page() -> str:
    """Return the reference of every setting.

    Returns:
        Markdown.
    """
    lines = ["# Settings", "", _SETTINGS, ""]
    tables: dict[str, type[msgspec.Struct]] = {**sections(), "[retention]": RetentionPolicy}
    for name, kind in tables.items():
        lines += [f"## [{name}]", "", inspect.cleandoc(kind.__doc__ or "").splitlines()[0], ""]
        lines += ["| setting | what | default |", "|---|---|---|"]
        told = meanings(kind)
        for field in msgspec.structs.fields(kind):
            variable = f" (`{ENVIRONMENT_PREFIX}{field.name.upper()}`)" if name == "database" else ""
            default = "" if field.default in {None, msgspec.NODEFAULT} else f"`{_plain(field.default)}`"
            if field.default is msgspec.NODEFAULT:
                default = "required"
            lines.append(f"| `{field.name}`{variable} | {_cell(told[field.name])} | {default} |")
        lines.append("")
    return "\n".join(lines)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")


PAGES = {"commands.md": commands_page, "settings.md": settings_page, "python.md": python_page}


def write_pages(folder: Path) -> None:
    """Write every page.

    Args:
        folder: Where; it is made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
