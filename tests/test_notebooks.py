"""The notebooks run from top to bottom: as scripts on every machine, in Jupyter where it is installed."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.py"))
JUPYTER = ("jupytext", "nbclient", "ipykernel")
CELL = re.compile(r"^# %%.*$", re.MULTILINE)


def test_there_are_notebooks_and_no_outputs() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "a_year_of_ticks", "archives_with_polars", "benchmark_comparison", "duckdb_over_both_tiers", "first_look",
    ]  # fmt: skip
    assert list((REPOSITORY / "notebooks").glob("*.ipynb")) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_as_a_script(path: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_cells_that_explain_and_prove(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    header, *cells = CELL.split(text)
    kinds = CELL.findall(text)
    assert "format" in header
    assert kinds[0] == "# %% [markdown]"
    assert cells[0].strip().startswith("# # "), "the first cell is its title"
    assert kinds.count("# %% [markdown]") >= 4
    assert sum(line.startswith("assert ") for line in text.splitlines()) >= 2
    assert max(map(len, text.splitlines())) <= 130


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_jupyter(path: Path, tmp_path: Path) -> None:
    absent = [name for name in JUPYTER if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)} (pip install 'hybridstore[notebooks]')")
    run = subprocess.run(
        [sys.executable, "-c", _EXECUTE, str(path)],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "JUPYTER_PLATFORM_DIRS": "1", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[-1]) >= 1, "a table is shown as HTML"


_EXECUTE = """
import sys, jupytext
from nbclient import NotebookClient
notebook = jupytext.read(sys.argv[1])
NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
print(sum("text/html" in output.get("data", {}) for output in shown))
"""
