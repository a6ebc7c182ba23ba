"""The samples for service managers: each is well-formed, and what it starts is a command that works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hybridstore import HybridStore
from hybridstore.cli.app import app
from tests.test_cli import run  # noqa: F401  a fixture

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
_ROOTS = ("/srv/trading_data", "D:\\trading_data")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each sample and the arguments of each command it starts."""
    for path in sorted(DEPLOY.iterdir()):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".service":
            yield path.name, shlex.split(unit(path)["Service"]["ExecStart"])
        elif path.name == "crontab":
            for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
                *times, command = line.split(None, 5)
                assert len(times) == 5
                assert all(re.fullmatch(r"[\d*/,-]+", field) for field in times), line
                yield path.name, shlex.split(command.partition(">>")[0])
        elif path.suffix == ".xml":
            found = {
                one.tag.rpartition("}")[2]: one.text or ""
                for one in ET.fromstring(text).iter()  # noqa: S314  our own
            }
            yield path.name, [found["Command"], *found["Arguments"].split()]


def unit(path: Path) -> ConfigParser:
    """Read a unit of systemd."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


COMMANDS = list(commands())


def test_every_sample_is_told_of_and_no_other() -> None:
    told = set(re.findall(r"\]\(([\w.-]+)\)", (DEPLOY / "README.md").read_text(encoding="utf-8")))
    assert told == {path.name for path in DEPLOY.iterdir()} - {"README.md"}
    assert {name for name, _ in COMMANDS} == {name for name in told if not name.endswith(".timer")}


@pytest.mark.parametrize(
    ("name", "command"), COMMANDS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(COMMANDS)]
)
def test_each_command_works(
    tmp_path: Path,
    run: Callable[..., tuple[int, str, str]],  # noqa: F811  the fixture
    name: str,
    command: list[str],
) -> None:
    program, *arguments = command
    assert re.split(r"[\\/]", program)[-1].removesuffix(".exe") == "hybridstore"
    app.parse_args(arguments, print_error=False, exit_on_error=False)  # names and options there are
    root = tmp_path / "store"
    with HybridStore(root) as store:
        store.record_balance_update("BTC", 1)
    here = [str(root) if argument in _ROOTS else argument for argument in arguments]
    assert str(root) in here
    if here[0] == "run":  # a service that does not end; a round of it is another test's
        here.append("--once")
    code, _, err = run(*here)
    assert (code, err) == (0, ""), name


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.timer")), ids=lambda path: path.name)
def test_each_timer_starts_a_service_that_there_is(path: Path) -> None:
    timer: Any = unit(path)["Timer"]
    assert path.with_suffix(".service").exists()
    assert re.fullmatch(r"(\w{3} )?\*-\*-\* \d\d:\d\d:\d\d UTC", timer["OnCalendar"])
