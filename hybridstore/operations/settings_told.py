"""Settings for people: a configuration file that explains itself, and where each value in use came from."""

from __future__ import annotations

import inspect
import re
import textwrap
import tomllib
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from hybridstore.config import (
    CONFIG_NAME,
    ENVIRONMENT_PREFIX,
    RetentionPolicy,
    Settings,
    default_root,
    load_settings,
)
from hybridstore.records import Record

Source = Literal["argument", "environment", "file", "default"]
EXAMPLES: dict[str, str] = {
    "database_path": "/srv/trading_data/trading_bot.db",
    "vfs": "unix",
    "archive_url": "s3://my-bucket/bot-1",
    "backup_base_path": "/mnt/other-disk/backups",
    "mirror_url": "s3://my-bucket/backups",
}
"""What settings without a default may look like."""
_WIDTH = 100
_ENTRY = re.compile(r"^    (\w+): (.*(?:\n        .*|\n)*)", re.MULTILINE)
_MAINTENANCE_VARIABLE = f"{ENVIRONMENT_PREFIX}MAINTENANCE"
_ROOT_VARIABLE = f"{ENVIRONMENT_PREFIX}ROOT"
_HIDDEN = "***"


class Setting(Record, frozen=True, gc=False):
    """One setting in use.

    Attributes:
        section: Its table in the configuration file.
        name: Its name.
        value: Its value, credentials masked; None where there is none.
        source: What gave it: argument, environment, file or default.
        where: The variable or the file; None of a default.
        means: What it means.
    """

    section: str
    name: str
    value: Any
    source: Source
    where: str | None
    means: str


def meanings(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return what each field of a section means, from its docstring.

    Args:
        kind: The section.

    Returns:
        By name, plain text; empty texts where Python was told to drop docstrings.
    """
    text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    found = {name: _plain(said) for name, said in _ENTRY.findall(text)}
    return {name: found.get(name, "") for name in kind.__struct_fields__}


def _plain(said: str) -> str:
    """Take the marks of the docstring off."""
    words = " ".join(said.split())
    return re.sub(r":\w+:`([^`]*)`", r"\1", words).replace("``", "")


def sections() -> dict[str, type[msgspec.Struct]]:
    """Return the tables of a configuration file but ``[[retention]]``.

    Returns:
        Name and class of each, in order.
    """
    return {
        field.name: field.type
        for field in msgspec.structs.fields(Settings)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
    }


def example_file(*, page_checksums: bool = False) -> str:
    """Return a configuration file with every setting: its meaning, and its default, commented out.

    Args:
        page_checksums: Whether the store is made with checksums; the file then says so.

    Returns:
        TOML, that changes nothing until a line is uncommented.
    """
    lines = [
        "# Settings of a hybridstore. Each line that is commented out shows the default; take the # away and change",
        "# the value. An argument wins over the environment, the environment over this file. A key that is not known",
        "# is an error. hybridstore config show tells every value in use and where it came from.",
    ]
    for name, kind in sections().items():
        lines += ["", f"[{name}]"]
        told = meanings(kind)
        for field in msgspec.structs.fields(kind):
            lines += ["", *_comment(told[field.name])]
            if page_checksums and field.name == "page_checksums":
                lines.append("page_checksums = true")
            elif field.default is None:
                lines.append(f"# {field.name} = {_toml(EXAMPLES[field.name])}   # for example; default: none")
            else:
                lines.append(f"# {field.name} = {_toml(field.default)}")
    lines += ["", *_comment("A policy replaces the default of one dataset; one table of these each.")]
    lines.append("# [[retention]]")
    told = meanings(RetentionPolicy)
    for field in msgspec.structs.fields(RetentionPolicy):
        value = {"name": "ticks", "table_name": "market_trades"}.get(field.name, field.default)
        lines += [*_comment(told[field.name]), f"# {field.name} = {_toml(value)}"]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(text, _WIDTH - 2))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return msgspec.json.encode(value).decode()  # a JSON string is a TOML string, too
    return str(value)


def explain(root: Path | None, environment: Mapping[str, str]) -> list[Setting]:
    """Say which settings a store is opened with, and where each came from.

    Args:
        root: The store's folder, given as an argument; None: nobody said which.
        environment: The environment variables.

    Returns:
        Every setting, in the order of the file; policies last, one entry each.

    Raises:
        ConfigError: The configuration cannot be read.
    """
    settings = load_settings(root, environment)
    path = config_path(root or default_root(), environment)
    content = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found: list[Setting] = []
    for section, kind in sections().items():
        told = meanings(kind)
        for name in kind.__struct_fields__:
            value = _masked(getattr(getattr(settings, section), name))
            source, where = _source(section, name, environment, content, path)
            if name == "database_path":
                source, where = _source_of_root(root, environment, (source, where))
            found.append(Setting(section, name, value, source, where, told[name]))
    return found + [
        Setting("retention", policy.name, msgspec.to_builtins(policy), "file", str(path), "")
        for policy in settings.retention
    ]


def config_path(root: Path, environment: Mapping[str, str]) -> Path:
    """Return the configuration file of a store, whether it is there or not.

    Args:
        root: The store's folder.
        environment: The environment variables.
    """
    return Path(environment.get("HYBRIDSTORE_CONFIG", root / CONFIG_NAME))


def _source(
    section: str, name: str, environment: Mapping[str, str], content: Mapping[str, Any], path: Path
) -> tuple[Source, str | None]:
    variable = f"{ENVIRONMENT_PREFIX}{name.upper()}" if section == "database" else ""
    if (section, name) == ("maintenance", "mode"):
        variable = _MAINTENANCE_VARIABLE
    if variable and variable in environment and (environment[variable] or variable != _MAINTENANCE_VARIABLE):
        return "environment", variable
    if name in content.get(section, {}):
        return "file", str(path)
    return "default", None


def _source_of_root(
    root: Path | None, environment: Mapping[str, str], found: tuple[Source, str | None]
) -> tuple[Source, str | None]:
    """Say what gave the path of the database: the folder decides where it was given as an argument."""
    if root is not None:
        return "argument", "--root"
    if found[0] == "default" and environment.get(_ROOT_VARIABLE):
        return "environment", _ROOT_VARIABLE
    return found


def _masked(value: Any) -> Any:
    """Hide what of a URL is a secret: user and password, and the values of its query."""
    if not isinstance(value, str) or "://" not in value:
        return value
    parts = urllib.parse.urlsplit(value)
    place = parts.netloc
    if "@" in place:
        place = f"{_HIDDEN}@{place.rpartition('@')[2]}"
    query = "&".join(f"{one.partition('=')[0]}={_HIDDEN}" for one in parts.query.split("&") if one)
    return urllib.parse.urlunsplit((parts.scheme, place, parts.path, query, ""))
