"""Style as a test: sizes, names, unfinished work, paths of one machine, and where SQL may stand.

A check takes one file and returns its complaints. Each is tried on text it must refuse and text it must accept, so
that none can pass for being blind; then it reads the whole tree.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeAlias

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "stuff"}

# A bracket around one letter keeps each pattern from finding itself in this file.
UNFINISHED = re.compile(r"\b([T]ODO|[F]IXME|[X]XX|[N]otImplementedError)\b")
MACHINE_PATH = re.compile(r"/[h]ome/\w|/[r]oot/|/[U]sers/\w|\b[A-Za-z]:[\\/]+[U]sers\b")
SQL = re.compile(
    r"^\s*SELECT\s+(?!and\b|or\b)|\bSELECT\s.*\sFROM\s"
    r"|(?:^|[\s(])(?:INSERT\s+(?:OR\s+\w+\s+)?INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|ALTER\s+TABLE\s"
    r"|(?:CREATE|DROP)\s+(?:(?:TEMP|TEMPORARY|UNIQUE|VIRTUAL|OR REPLACE)\s+)*(?:TABLE|INDEX|VIEW|TRIGGER|MACRO)\s)",
    re.DOTALL,
)

SQL_ALLOWED = {
    "hybridstore/analytics/gate.py": "asks DuckDB's own parser for the syntax tree of a question",
    "hybridstore/analytics/snapshot.py": "names the views of whatever datasets are declared",
    "hybridstore/schema/": "generates DDL and projections from the declarations",
    "hybridstore/hot/session.py": "reads and advances the commit clock, the end of every write transaction",
    "hybridstore/hot/transfer.py": "reads all columns of whatever datasets are declared, as text and in windows",
    "hybridstore/operations/status.py": "counts the rows of whatever datasets are declared",
}
"""Where SQL may stand in Python text, by path prefix, and why; everything else belongs in a queries.sql."""


class Source(NamedTuple):
    """One file: its path from the repository's root, with forward slashes, and its text."""

    path: str
    text: str


Check: TypeAlias = Callable[[Source], list[str]]


@cache
def tree_of(source: Source) -> ast.Module:
    return ast.parse(source.text, filename=source.path)


def at(source: Source, line: int, complaint: str) -> str:
    return f"{source.path}:{line}: {complaint}"


def matches(source: Source, pattern: re.Pattern[str], complaint: str) -> list[str]:
    lines = enumerate(source.text.splitlines(), start=1)
    return [at(source, n, f"{complaint}: {found[0]}") for n, line in lines if (found := pattern.search(line))]


def check_module_size(source: Source) -> list[str]:
    lines = len(source.text.splitlines())
    return [at(source, lines, f"{lines} lines, limit {MODULE_LINES_MAX}")] if lines > MODULE_LINES_MAX else []


def check_function_size(source: Source) -> list[str]:
    """Count a body with its docstring, without the signature: a record may have many fields."""
    complaints = []
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
            if lines > FUNCTION_LINES_MAX:
                complaints.append(
                    at(source, node.lineno, f"{node.name}: {lines} lines, limit {FUNCTION_LINES_MAX}")
                )
    return complaints


def check_names(source: Source) -> list[str]:
    path = PurePosixPath(source.path)
    vague = VAGUE_NAMES.intersection([*path.parts[:-1], path.stem])
    return [at(source, 1, f"{name!r} says nothing about what is inside") for name in sorted(vague)]


def check_finished(source: Source) -> list[str]:
    return matches(source, UNFINISHED, "unfinished")


def is_notebook(source: Source) -> bool:
    """Cells that are read from top to bottom, no module: tests/test_notebooks.py wants a title of each."""
    return source.path.startswith("notebooks/")


def check_module_docstring(source: Source) -> list[str]:
    said = is_notebook(source) or ast.get_docstring(tree_of(source))
    return [] if said else [at(source, 1, "a module says what it is for")]


def check_future_annotations(source: Source) -> list[str]:
    body = [node for node in tree_of(source).body if not isinstance(node, ast.Expr)]
    if not body or is_notebook(source):
        return []
    first = body[0]
    found = isinstance(first, ast.ImportFrom) and first.module == "__future__"
    return [] if found else [at(source, first.lineno, "from __future__ import annotations comes first")]


def check_machine_paths(source: Source) -> list[str]:
    own = "|".join(re.escape(f"{path}/") for path in (REPOSITORY.as_posix(), str(REPOSITORY)) if path != "/")
    return matches(source, MACHINE_PATH, "a path of one machine") + matches(
        source, re.compile(own), "the path of this working copy"
    )


def check_sql_place(source: Source) -> list[str]:
    if source.path.startswith(tuple(SQL_ALLOWED)) or not source.path.startswith("hybridstore/"):
        return []
    tree = tree_of(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        at(source, node.lineno, "SQL belongs in queries.sql, named and described")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        if SQL.search(node.value)
    ]


def check_reasons(source: Source) -> list[str]:
    """A test that is passed over, or expected to fail, says why; nothing is replaced by a stand-in."""
    complaints = []
    for node in ast.walk(tree_of(source)):
        match node:
            case ast.Attribute(attr="skip" | "xfail", value=ast.Attribute(attr="mark")):
                complaints.append(
                    at(source, node.lineno, f"{node.attr}: say when and why (skipif, pytest.skip)")
                )
            case ast.Call(func=ast.Attribute(attr="skip", value=ast.Name(id="pytest")), args=[]):
                complaints.append(at(source, node.lineno, "a skip without its reason"))
            case ast.ImportFrom(module="unittest.mock") if any("Mock" in name.name for name in node.names):
                complaints.append(at(source, node.lineno, "tests use the real components"))
            case ast.Import() if any(name.name == "unittest.mock" for name in node.names):
                complaints.append(at(source, node.lineno, "tests use the real components"))
    return complaints


PYTHON_CHECKS: dict[str, Check] = {
    "module size": check_module_size,
    "function size": check_function_size,
    "names": check_names,
    "finished": check_finished,
    "module docstring": check_module_docstring,
    "future annotations": check_future_annotations,
    "sql place": check_sql_place,
    "reasons": check_reasons,
}

PLAIN = '"""A room."""\n\nfrom __future__ import annotations\n'
ROOM = "hybridstore/hot/room.py"

REFUSED = [
    ("module size", Source(ROOM, PLAIN + "#\n" * MODULE_LINES_MAX)),
    ("function size", Source(ROOM, "def long():\n" + "    pass\n" * (FUNCTION_LINES_MAX + 1))),
    (
        "function size",
        Source(ROOM, "class A:\n  async def long(self):\n" + "    pass\n" * (FUNCTION_LINES_MAX + 1)),
    ),
    ("names", Source("hybridstore/utils.py", PLAIN)),
    ("names", Source("tests/helpers/clock.py", PLAIN)),
    ("finished", Source(ROOM, "x = 1  # TO" + "DO later\n")),
    ("finished", Source(ROOM, "raise NotImpl" + "ementedError\n")),
    ("module docstring", Source(ROOM, "from __future__ import annotations\n")),
    ("future annotations", Source(ROOM, '"""A room."""\n\nimport os\n')),
    ("sql place", Source(ROOM, 'rows = read("SELECT id FROM trades")\n')),
    ("sql place", Source(ROOM, 'run(f"DELETE FROM {table} WHERE id = 1")\n')),
    ("sql place", Source(ROOM, 'run("""\n  INSERT OR IGNORE INTO marks VALUES (1)""")\n')),
    ("reasons", Source("tests/test_a.py", "@pytest.mark.skip\ndef test_a(): ...\n")),
    ("reasons", Source("tests/test_a.py", "pytest.skip" + "()\n")),
    ("reasons", Source("tests/test_a.py", "@pytest.mark.xfail(strict=True)\ndef test_a(): ...\n")),
    ("reasons", Source("tests/test_a.py", "from unittest.mock import Mock\n")),
    ("reasons", Source("tests/test_a.py", "import unittest.mock\n")),
]

ACCEPTED = [
    ("module size", Source(ROOM, PLAIN + "#\n" * (MODULE_LINES_MAX - 3))),
    (
        "function size",
        Source(ROOM, "def wide(\n" + "    a=1,\n" * 70 + "):\n" + "    pass\n" * FUNCTION_LINES_MAX),
    ),
    ("names", Source("hybridstore/hot/writer.py", PLAIN)),
    ("finished", Source(ROOM, "todo_list = 1\n")),
    ("module docstring", Source(ROOM, PLAIN)),
    ("future annotations", Source(ROOM, PLAIN)),
    ("future annotations", Source("notebooks/a.py", "# %%\nimport os\n")),
    ("module docstring", Source("notebooks/a.py", "# %%\nimport os\n")),
    ("future annotations", Source(ROOM, '"""Only words."""\n')),
    ("sql place", Source(ROOM, '"""SELECT id FROM trades is what it runs."""\n')),
    ("sql place", Source(ROOM, 'raise QueryRefused("only SELECT and EXPLAIN are run")\n')),
    ("sql place", Source("hybridstore/schema/sqlite.py", 'text = "CREATE TABLE t (a) STRICT"\n')),
    ("reasons", Source("tests/test_a.py", 'pytest.skip("needs root")\n')),
    ("reasons", Source("tests/test_a.py", "from unittest.mock import patch\n")),
]


def listed_files() -> Iterator[str]:
    """Yield what the repository holds: tracked files and new ones that are not ignored."""
    git = shutil.which("git")
    if git and (REPOSITORY / ".git").exists():
        command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
        yield from (name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file())
        return
    for folder in ("hybridstore", "tests", "benchmarks", "docs", "notebooks"):  # an unpacked source archive
        for path in sorted((REPOSITORY / folder).rglob("*.*")):
            if "__pycache__" not in path.parts and path.is_file():
                yield path.relative_to(REPOSITORY).as_posix()


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    """Return every text file of the repository."""
    found = []
    for name in listed_files():
        data = (REPOSITORY / name).read_bytes()
        if b"\0" not in data[:8192]:
            found.append(Source(name, data.decode("utf-8")))
    return found


@pytest.mark.parametrize(("name", "source"), REFUSED, ids=range(len(REFUSED)))
def test_a_check_refuses(name: str, source: Source) -> None:
    assert PYTHON_CHECKS[name](source)


@pytest.mark.parametrize(("name", "source"), ACCEPTED, ids=range(len(ACCEPTED)))
def test_a_check_accepts(name: str, source: Source) -> None:
    assert PYTHON_CHECKS[name](source) == []


@pytest.mark.parametrize("name", PYTHON_CHECKS)
def test_every_module_passes(name: str, sources: list[Source]) -> None:
    modules = [source for source in sources if source.path.endswith(".py")]
    assert any(source.path == "hybridstore/errors.py" for source in modules)
    complaints = [complaint for source in modules for complaint in PYTHON_CHECKS[name](source)]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    "text",
    ["/ho" + "me/ann/data", "read C:" + "\\Users\\ann", "/ro" + "ot/data", f"see {REPOSITORY}/docs"],
    ids=["posix", "windows", "root", "here"],
)
def test_paths_of_one_machine_are_refused(text: str) -> None:
    assert check_machine_paths(Source("docs/a.md", text))
    assert check_machine_paths(Source("docs/a.md", "<root>/archives/hot and D:/trading_data")) == []


def test_no_file_holds_a_path_of_one_machine(sources: list[Source]) -> None:
    complaints = [complaint for source in sources for complaint in check_machine_paths(source)]
    assert not complaints, "\n".join(complaints)


def test_allowed_places_of_sql_exist() -> None:
    missing = [path for path in SQL_ALLOWED if not (REPOSITORY / path).exists()]
    assert not missing, "remove from SQL_ALLOWED what is gone"
