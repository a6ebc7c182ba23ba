"""One failure is one: what a failed test leaves open is closed, and a test that passed may leave nothing open."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

FAILS_WITH_A_STORE_OPEN = """
import threading

from hybridstore.store import HybridStore
from tests.hot.bare import open_database
from tests.hot.children import hear, start

def leave(folder):
    HybridStore(folder / "store").open()
    open_database(folder / "bare")
    child = start("print('runs', flush=True); input()")
    hear(child, "runs")
    return child

def others():
    return [one.name for one in threading.enumerate() if one.name.startswith("hybridstore")]

def test_fails(tmp_path):
    child = leave(tmp_path)
    assert child is None

def test_after_a_failure(tmp_path):
    assert others() == []

def test_passes(tmp_path):
    leave(tmp_path)

def test_after_an_error(tmp_path):
    assert others() == []

def test_closes(tmp_path):
    with HybridStore(tmp_path / "store") as store:
        assert store.get_all_balances() == []
"""


def pytest_of(path: Path) -> str:
    """Return what pytest prints for a failing file with this suite's settings and fixtures."""
    settings: list[str | Path] = [
        "-c",
        REPOSITORY / "pyproject.toml",
        "--rootdir",
        path.parent,
        "-p",
        "tests.conftest",
    ]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *settings, "-p", "no:cacheprovider", path],
        cwd=path.parent,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert found.returncode == 1, found.stdout + found.stderr
    return found.stdout


def test_what_a_test_leaves_open_fails_no_other(tmp_path: Path) -> None:
    path = tmp_path / "test_inner.py"
    path.write_text(FAILS_WITH_A_STORE_OPEN, encoding="utf-8")
    printed = pytest_of(path)
    assert re.search(r"1 failed, 4 passed, 1 error in", printed), printed  # the one that erred passed before
    assert re.search(r"^FAILED test_inner.py::test_fails", printed, re.MULTILINE), printed
    assert re.search(
        r"^ERROR test_inner.py::test_passes - AssertionError: the test left stores", printed, re.MULTILINE
    )
