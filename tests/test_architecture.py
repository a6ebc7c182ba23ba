"""The rooms keep their contracts: what imports what, what a pure room may do, and what ``import hybridstore`` loads."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
HEAVY = {"obstore", "duckdb", "polars", "pyarrow", "numpy", "apsw", "rich", "jinja2", "altair", "asyncio"}
MODULES_MAX = 40
"""Modules a bare ``import hybridstore`` may add to those of a started interpreter (measured: 30,
all of the standard library but itself)."""

CLOCK_CALLS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"}
OPTIONAL = {"pandas", "obstore", "prometheus_client"}
"""pandas: imported only to hand out its own kind of result to somebody who has it; obstore: an extra."""

IMPURE_NAMES = {"SystemClock", "default_root", "load_settings"}
FILE_CALLS = {"open", "print", "input", "exec", "eval"}


def contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return found


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of this repository on the package that lies in a folder."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], cache_dir=None))"
    return subprocess.run(
        [sys.executable, "-c", code, str(REPOSITORY / "pyproject.toml")],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def impure_calls(text: str) -> list[str]:
    """Return what a module does that a pure room must not: reads a clock, touches a file, prints."""
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in FILE_CALLS:
                found.append(f"{node.lineno}: {name}()")
            case ast.Call(func=ast.Attribute(attr=name, value=ast.Name(id=owner))) if name in CLOCK_CALLS:
                if owner in {"datetime", "date", "time"}:
                    found.append(f"{node.lineno}: {owner}.{name}()")
            case ast.ImportFrom(module="hybridstore.clock" | "hybridstore.config"):
                found.extend(
                    f"{node.lineno}: {alias.name}" for alias in node.names if alias.name in IMPURE_NAMES
                )
            case ast.ImportFrom(module="pathlib"):
                found.extend(
                    f"{node.lineno}: pathlib.{alias.name}"
                    for alias in node.names
                    if not alias.name.startswith("Pure")
                )
            case ast.Import() if any(alias.name == "pathlib" for alias in node.names):
                found.append(f"{node.lineno}: pathlib")
    return found


def pure_modules() -> list[Path]:
    """Return the files of the rooms that the contract "pure" names."""
    (pure,) = (contract for contract in contracts() if contract["id"] == "pure")
    found: list[Path] = []
    for name in pure["source_modules"]:
        path = REPOSITORY / name.replace(".", "/")
        found.extend(sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")])
    return found


def test_the_contracts_hold() -> None:
    result = lint_imports(REPOSITORY)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_contract_can_be_broken(tmp_path: Path) -> None:
    shutil.copytree(
        REPOSITORY / "hybridstore", tmp_path / "hybridstore", ignore=shutil.ignore_patterns("__pycache__")
    )
    planted = {
        "schema/types.py": "import os\n",
        "schema/dataset.py": "import apsw\n",
        "portfolio/money.py": "import polars\n",
        "clock.py": "import sqlite3\n",
        "durable.py": "import obstore\n",
        "errors.py": "from hybridstore import config\n",
        "schema/market.py": "from hybridstore.schema import registry\n",
    }
    for name, line in planted.items():
        path = tmp_path / "hybridstore" / name
        path.write_text(path.read_text(encoding="utf-8") + f"\n{line}", encoding="utf-8")
    (tmp_path / "hybridstore" / "attic").mkdir()
    (tmp_path / "hybridstore" / "attic" / "__init__.py").touch()

    result = lint_imports(tmp_path)

    assert result.returncode != 0
    kept = [contract["name"] for contract in contracts() if f"{contract['name']} BROKEN" not in result.stdout]
    assert kept == [], f"{result.stdout}\n{result.stderr}"


def test_pure_rooms_touch_no_file_and_no_clock() -> None:
    complaints = [
        f"{path.relative_to(REPOSITORY).as_posix()}:{call}"
        for path in pure_modules()
        for call in impure_calls(path.read_text(encoding="utf-8"))
    ]
    assert complaints == []


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "datetime.now(UTC)",
        "x = time.time_ns()",
        "from pathlib import Path",
        "import pathlib",
        "print('x')",
        "from hybridstore.clock import DAY_US, SystemClock",
        "from hybridstore.config import load_settings",
    ],
)
def test_impure_calls_are_seen(text: str) -> None:
    assert impure_calls(text)
    assert (
        impure_calls("from pathlib import PurePosixPath\nday = datetime.fromisoformat(text)\nclock.now()\n")
        == []
    )


def modules_after(statement: str) -> set[str]:
    """Return the names of the modules a new interpreter holds after a statement."""
    lines = [
        "import json, sys",
        "before = set(sys.modules)",
        statement,
        "print(json.dumps(sorted(set(sys.modules) - before)))",
    ]
    printed = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    return set(json.loads(printed))


def third_party_imports(text: str) -> set[str]:
    """Return the packages a module imports that are neither Python's nor ours."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import():
                names.update(alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                names.add(module.partition(".")[0])
    return names - sys.stdlib_module_names - {"hybridstore"}


def test_every_import_is_a_declared_dependency() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {re.split(r"[<>=!~\[; ]", line)[0] for line in settings["project"]["dependencies"]}
    imported = {
        name
        for path in (REPOSITORY / "hybridstore").rglob("*.py")
        for name in third_party_imports(path.read_text(encoding="utf-8"))
    }
    assert third_party_imports("import os, requests.auth\nfrom yaml import load\n") == {"requests", "yaml"}
    assert imported - declared - OPTIONAL == set()
    constrained = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert declared <= {line.partition("==")[0].lower() for line in constrained}


def test_import_loads_nothing_heavy() -> None:
    loaded = modules_after("import hybridstore")
    assert "hybridstore" in loaded
    assert loaded & HEAVY == set()
    assert len(loaded) <= MODULES_MAX, sorted(loaded)


def test_a_bot_that_only_records_loads_no_engine() -> None:
    loaded = modules_after(
        "from hybridstore import DatabaseConfig, DatabaseManager, QueryOptimizer, SchemaManager"
    )
    assert "apsw" in loaded
    assert loaded & {"obstore", "duckdb", "polars", "pyarrow", "numpy", "rich", "jinja2", "altair"} == set()


def test_the_heavy_modules_would_be_seen() -> None:
    assert "jinja2" in modules_after("import hybridstore, jinja2")
