"""The workflows say what .ci/run and pyproject.toml say: the same steps, and every Python that is promised."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / ".github" / "workflows"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STAGES = ("install", "format", "lint", "types", "contracts", "tests")
PROMISED = [
    one.rpartition(" ")[2] for one in PROJECT["classifiers"] if re.fullmatch(r".* :: Python :: 3\.\d+", one)
]


def load(name: str) -> dict[Any, Any]:
    workflow = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    assert isinstance(workflow, dict)
    return workflow


def stages_of_ci() -> dict[str, str]:
    """Return the commands of .ci/run by their stages, without what differs from machine to machine."""
    text = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").replace("\\\n", " ")
    found = dict(re.findall(r"^stage (\w+) (.+)$", text, re.MULTILINE))
    return {name: bare(found[name]) for name in STAGES}


def bare(command: str) -> str:
    command = re.sub(r'"\$bin/|"\$@"|--quiet|--disable-pip-version-check|[\'"]', " ", command)
    return " ".join(command.split())


def test_every_system_and_python_takes_the_steps_of_ci() -> None:
    job = load("ci.yml")["jobs"]["test"]
    steps = {step["name"]: bare(step["run"]) for step in job["steps"] if "run" in step}
    assert steps == stages_of_ci()
    matrix = job["strategy"]["matrix"]
    assert {one.partition("-")[0] for one in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == PROMISED
    assert matrix["experimental"] == [False]
    tried = [(one["os"], one["python"]) for one in matrix["include"] if one["experimental"]]
    assert tried == [(system, "3.14") for system in matrix["os"]]


def test_the_wheel_is_tried_with_every_python() -> None:
    steps = load("ci.yml")["jobs"]["wheel"]["steps"]
    assert [step["with"]["python-version"].split() for step in steps if "with" in step] == [PROMISED]
    assert steps[-1]["run"].endswith("pytest -m soak tests/test_packaging.py")


def test_only_what_was_tested_and_built_once_is_published() -> None:
    workflow = load("release.yml")
    jobs = workflow["jobs"]
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads the word on as true
    assert (jobs["build"]["needs"], jobs["publish"]["needs"]) == ("test", "build")
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert not any("checkout" in step["uses"] for step in jobs["publish"]["steps"])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_no_workflow_may_more_than_it_needs(path: Path) -> None:
    workflow = load(path.name)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job or "uses" in job for job in workflow["jobs"].values())
    used = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"\./\S+|[\w-]+/[\w-]+@[\w/.]+", one) for one in used)


def test_readme_names_the_same_pythons() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert f"Python {', '.join(PROMISED[:-1])} or {PROMISED[-1]}" in " ".join(text.split())
