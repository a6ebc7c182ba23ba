"""SQL kept in ``.sql`` files as named, described blocks.

A block starts with ``-- name: the_name`` and runs to the next one; comment lines directly below the name describe
it. Parameters are SQLite's or DuckDB's own (``:name``, ``?``, ``$name``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources

import msgspec

_NAME_LINE = re.compile(r"^--\s*name:\s*([a-z][a-z0-9_]*)\s*$")
_NAME_ATTEMPT = re.compile(r"^\s*--\s*name\s*:", re.IGNORECASE)
"""A misspelt name line would join its block to the one before."""


class Statement(msgspec.Struct, frozen=True):
    """One named block.

    Attributes:
        name: The block's name.
        sql: Its text without the name and description lines.
        doc: The description, one line.
    """

    name: str
    sql: str
    doc: str


class NamedSql(Mapping[str, str]):
    """The blocks of one file: a mapping from name to SQL text that also keeps the descriptions.

    Args:
        statements: The blocks, in file order.
        source: Where they came from, for error messages.
    """

    def __init__(self, statements: list[Statement], source: str) -> None:
        self.statements = {statement.name: statement for statement in statements}
        self._source = source
        if len(self.statements) != len(statements):
            names = [statement.name for statement in statements]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"{source}: block names used twice: {', '.join(twice)}")

    def __getitem__(self, name: str) -> str:
        """Return the SQL text of a block; a missing name says which file lacks it."""
        try:
            return self.statements[name].sql
        except KeyError:
            raise KeyError(f"{self._source} has no block '-- name: {name}'") from None

    def __iter__(self) -> Iterator[str]:
        """Iterate over block names in file order."""
        return iter(self.statements)

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.statements)


def parse_named_sql(text: str, source: str = "<text>") -> NamedSql:
    """Split a file's text into its named blocks.

    Args:
        text: The file's text.
        source: Its name, for error messages.

    Returns:
        The blocks by name.

    Raises:
        ValueError: SQL stands before the first name, a name is misspelt or used twice, or a block is empty or
            undescribed.
    """
    statements: list[Statement] = []
    name: str | None = None
    doc: list[str] = []
    body: list[str] = []

    def finish() -> None:
        if name is None:
            return
        sql = "\n".join(body).strip().removesuffix(";").strip()
        if not sql or not doc:
            raise ValueError(f"{source}: block {name!r} has no {'SQL' if doc else 'description'}")
        statements.append(Statement(name=name, sql=sql, doc=" ".join(doc)))

    for line in text.splitlines():
        begun = _block_name(line, source)
        if begun:
            finish()
            name, doc, body = begun, [], []
        elif name is None:
            if line.strip() and not line.startswith("--"):
                raise ValueError(f"{source}: SQL before the first '-- name:' line: {line.strip()!r}")
        elif line.startswith("--") and not body:
            doc.append(line.removeprefix("--").strip())
        elif line.strip() or body:
            body.append(line)
    finish()
    return NamedSql(statements, source)


def _block_name(line: str, source: str) -> str | None:
    match = _NAME_LINE.match(line)
    if match is None and _NAME_ATTEMPT.match(line):
        raise ValueError(f"{source}: not a block name: {line.strip()!r}")
    return match and match.group(1)


def load_named_sql(package: str, filename: str = "queries.sql") -> NamedSql:
    """Read the named blocks of a ``.sql`` file that ships inside a package.

    Args:
        package: The dotted name of the package, usually ``__package__``.
        filename: The file's name in it.

    Returns:
        The blocks by name.
    """
    text = resources.files(package).joinpath(filename).read_text(encoding="utf-8")
    return parse_named_sql(text, f"{package}/{filename}")
