"""What is published: a wheel and a source distribution that hold everything, and run where there is no checkout."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INTERPRETERS = ("3.11", "3.12", "3.13")
"""Those the classifiers name; each is tried where it is on the path."""
_BUILD = "import sys, hatchling.build as build; print(getattr(build, sys.argv[1])(sys.argv[2]))"
_INCLUDED = {
    "hybridstore", "tests", "benchmarks", "docs", "deploy", "examples", "notebooks", "constraints.txt", "README.md",
    "CHANGELOG.md",
    "LICENSE", "PKG-INFO", "pyproject.toml", ".gitignore", ".ci", ".github", ".gitattributes",
}  # fmt: skip
_LEFT_OVER = {".pyc", ".db", ".db-wal", ".db-shm", ".so", ".log"}


def build(kind: str, source: Path, folder: Path) -> Path:
    pytest.importorskip("hatchling", reason="hatchling is not installed (pip install 'hybridstore[test]')")
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, f"build_{kind}", str(folder)],
        cwd=source, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", REPOSITORY, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", REPOSITORY, tmp_path_factory.mktemp("sdist"))


def members(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    packaged = {name for name in members(wheel) if not name.split("/")[0].endswith(".dist-info")}
    there = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "hybridstore").rglob("*")
        if path.is_file() and path.suffix not in _LEFT_OVER
    }
    assert packaged == there
    assert {Path(name).suffix for name in packaged} >= {".py", ".sql", ".jinja", ".css", ".typed"}


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"hybridstore-{PROJECT['version']}.dist-info"
        told = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        assert archive.read(f"{folder}/entry_points.txt").decode().split() == [
            "[console_scripts]", "hybridstore", "=", "hybridstore.cli:main",
        ]  # fmt: skip
        assert f"{folder}/licenses/LICENSE" in archive.namelist()
    assert (told["Name"], told["Version"], told["Requires-Python"]) == (
        "hybridstore",
        PROJECT["version"],
        ">=3.11",
    )
    assert set(told.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    named = {one.rpartition(" ")[2] for one in told.get_all("Classifier", []) if "Python :: 3." in one}
    assert named == set(INTERPRETERS)
    assert wheel.name == f"hybridstore-{PROJECT['version']}-py3-none-any.whl"


def test_the_source_gives_the_same_wheel_and_can_be_tested(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    there = {path.name for path in source.iterdir()}
    assert there <= _INCLUDED
    assert there >= {
        "hybridstore",
        "tests",
        "docs",
        "deploy",
        "notebooks",
        "constraints.txt",
        "README.md",
        "LICENSE",
    }
    left_over = [
        path for path in source.rglob("*") if path.suffix in _LEFT_OVER or path.name == "__pycache__"
    ]
    assert left_over == []
    again = build("wheel", source, tmp_path)
    assert members(again) == members(wheel)


def run(environment: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program in a folder, far from the checkout."""
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HYBRIDSTORE_", "PYTHON"))
    }
    return subprocess.run(
        [str(scripts / words[0]), *words[1:]],
        cwd=folder, env=kept, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def see_it_run(environment: Path, folder: Path) -> None:
    """See that the installed program knows itself and that its demo holds."""
    told = run(environment, folder, "hybridstore", "--version")
    assert told.stdout.strip() == PROJECT["version"], told.stderr
    where = run(environment, folder, "python", "-c", "import hybridstore; print(hybridstore.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(environment), where.stdout
    shown = run(environment, folder, "hybridstore", "demo", "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["passed"] is True
    assert (folder / "hybridstore-demo" / "trading_bot.db").is_file()


def test_the_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    environment, folder = tmp_path / "venv", tmp_path / "elsewhere"
    folder.mkdir()
    venv.create(environment, with_pip=False)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
    subprocess.run(
        [*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, timeout=120, capture_output=True
    )
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    # What it depends on is lent by the environment that runs the tests; the checkout is not on that path.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    see_it_run(environment, folder)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", INTERPRETERS)
def test_the_wheel_installs_with_everything_it_needs(version: str, wheel: Path, tmp_path: Path) -> None:
    interpreter = shutil.which(f"python{version}")
    if interpreter is None:
        pytest.skip(f"python{version} is not on the path")
    environment, folder = tmp_path / "venv", tmp_path / "elsewhere"
    folder.mkdir()
    subprocess.run([interpreter, "-m", "venv", str(environment)], check=True, timeout=120)
    constraints = str(REPOSITORY / "constraints.txt")
    installed = run(environment, folder, "pip", "install", "--quiet", "-c", constraints, str(wheel))
    assert installed.returncode == 0, installed.stderr
    assert run(environment, folder, "pip", "check").stdout.strip() == "No broken requirements found."
    see_it_run(environment, folder)
