"""The notebooks run from top to bottom: as scripts on every machine, in Jupyter where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from tests.test_docs import DOCUMENTS
from tests.test_tidy import listed_files

REPOSITORY = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.py"))
PAGE = REPOSITORY / "docs" / "notebooks.md"
JUPYTER = ("jupytext", "nbclient", "ipykernel")
TEXT_CELL = "# %% [markdown]"
CELL = re.compile(r"^# %%.*$", re.MULTILINE)
NAMED = re.compile(r"\bnotebooks/(\w+)\.\w+")
ROW = re.compile(r"^\| \[?`(\w+)\.py`", re.MULTILINE)

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


class Run(NamedTuple):
    """A process that has ended.

    Attributes:
        code: What it ended with.
        printed: Its standard output.
        complaints: Its standard error.
        left: What it left in its working directory and in its folder for temporary files.
    """

    code: int
    printed: str
    complaints: str
    left: list[str]


def run_alone(*arguments: str) -> Run:
    """Run Python where there is nothing of this machine: no settings, no store, empty folders."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as name:
        home, work, temporary = (Path(name) / part for part in ("home", "work", "temporary"))
        for folder in (home, work, temporary):
            folder.mkdir()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HYBRIDSTORE_")}
        alone = {
            **dict.fromkeys(("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME"), str(home)),
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
            "JUPYTER_PLATFORM_DIRS": "1",
            "PYTHONIOENCODING": "utf-8",
            "PYTHONPATH": str(REPOSITORY),
        }
        run = subprocess.run(
            [sys.executable, *arguments],
            cwd=work,
            env=kept | alone,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=170,
            check=False,
        )
        left = [path.name for folder in (work, temporary) for path in folder.iterdir()]
    return Run(run.returncode, run.stdout, run.stderr, left)


@cache
def run_as_script(path: Path) -> Run:
    return run_alone("-W", "error", "-c", _RUN, str(path))


_RUN = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"


@each_notebook
def test_a_notebook_runs_as_a_script(path: Path) -> None:
    run = run_as_script(path)
    assert (run.code, run.complaints) == (0, "")
    assert run.printed
    assert run.left == []


@each_notebook
def test_a_notebook_runs_in_jupyter(path: Path) -> None:
    absent = [name for name in JUPYTER if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)} (pip install 'hybridstore[notebooks]')")
    run = run_alone("-c", _EXECUTE, str(path))
    assert run.code == 0, run.complaints
    cells: list[list[dict[str, Any]]] = json.loads(run.printed)
    outputs = [output for cell in cells for output in cell]
    streams = [output for output in outputs if output["output_type"] == "stream"]
    assert [output["text"] for output in streams if output["name"] == "stderr"] == []
    told = "".join(output["text"] for output in streams)
    assert told == run_as_script(path).printed, "two runs say the same"
    assert sum("text/html" in output.get("data", {}) for output in outputs) >= 2, "tables are shown as HTML"
    *shown, last = cells
    assert last == [], "the last cell closes the store"
    assert sum(map(bool, shown)) >= 0.8 * len(shown), "cells show something"


_EXECUTE = """
import json, sys, jupytext
from nbclient import NotebookClient
notebook = jupytext.read(sys.argv[1])
assert not any(cell.get("outputs") for cell in notebook.cells)
NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
print(json.dumps([cell.outputs for cell in notebook.cells if cell.cell_type == "code"]))
"""


# -- what they are ---------------------------------------------------------------------------------------------------


@each_notebook
def test_a_notebook_is_cells_that_explain_and_prove(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    header, *cells = CELL.split(text)
    kinds = CELL.findall(text)
    assert "formats: py:percent" in header
    assert kinds[0] == TEXT_CELL
    assert re.match(r"\n# # \w.*\n#\n# \w", cells[0]), "the first cell is a title and what it is about"
    assert set(kinds) == {TEXT_CELL, "# %%"}
    assert kinds.count(TEXT_CELL) >= 4
    assert len(re.findall(r"^\s*assert ", text, re.MULTILINE)) >= 8
    assert "folder.cleanup()" in cells[-1]
    texts = [cell for cell, kind in zip(cells, kinds, strict=True) if kind == TEXT_CELL]
    assert all(line.startswith("#") for cell in texts for line in cell.split("\n") if line)


def test_no_outputs_are_kept() -> None:
    kept = [name for name in listed_files() if name.startswith("notebooks/")]
    assert kept == [f"notebooks/{path.name}" for path in NOTEBOOKS]
    assert [name for name in listed_files() if name.endswith(".ipynb")] == []


def test_the_page_lists_every_notebook() -> None:
    assert sorted(ROW.findall(PAGE.read_text(encoding="utf-8"))) == [path.stem for path in NOTEBOOKS]


def test_notebooks_that_documents_name_exist() -> None:
    named = {name for document in DOCUMENTS for name in NAMED.findall(document.read_text(encoding="utf-8"))}
    assert named <= {path.stem for path in NOTEBOOKS}


def test_the_source_archive_has_the_notebooks() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert "notebooks" in settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    extra = " ".join(settings["project"]["optional-dependencies"]["notebooks"])
    assert [name for name in JUPYTER if name not in extra] == []
