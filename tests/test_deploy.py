"""The samples for service managers, containers and dashboards: well-formed, and what they name is there and works."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hybridstore import HybridStore
from hybridstore.cli.app import app
from hybridstore.operations.figures import CATALOGUE, INVARIANTS
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
        elif path.name == "Dockerfile":
            yield path.name, [*instruction("ENTRYPOINT"), *instruction("CMD")]
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


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, joined lines as one."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    found = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in found]


def instruction(name: str) -> list[str]:
    """Return the words of the last instruction of a name in the Dockerfile."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    last = [rest for found, rest in instructions(text) if found == name][-1]
    return [str(word) for word in json.loads(last)]


COMMANDS = list(commands())
NO_COMMANDS = {".timer", ".yml", ".yaml", ".json", ".dockerignore"}
PORT = "9464"


def test_every_sample_is_told_of_and_no_other() -> None:
    told = set(re.findall(r"\]\(([\w.-]+)\)", (DEPLOY / "README.md").read_text(encoding="utf-8")))
    assert told == {path.name for path in DEPLOY.iterdir()} - {"README.md"}
    assert {name for name, _ in COMMANDS} == {name for name in told if Path(name).suffix not in NO_COMMANDS}


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
    if name == "Dockerfile":  # there HYBRIDSTORE_ROOT says it
        here += ["--root", str(root)]
    assert str(root) in here
    if here[0] == "run":  # a service that does not end; a round of it is another test's
        assert here[here.index("--metrics-port") + 1] == PORT
        here = [word for word in here if word not in ("--metrics-port", PORT)] + ["--once"]
    code, _, err = run(*here)
    assert (code, err) == (0, ""), name


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.timer")), ids=lambda path: path.name)
def test_each_timer_starts_a_service_that_there_is(path: Path) -> None:
    timer: Any = unit(path)["Timer"]
    assert path.with_suffix(".service").exists()
    assert re.fullmatch(r"(\w{3} )?\*-\*-\* \d\d:\d\d:\d\d UTC", timer["OnCalendar"])


# -- containers ------------------------------------------------------------------------------------------------------


def test_the_image_copies_what_there_is_and_all_that_the_build_needs() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        source
        for name, rest in instructions(text)
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    repository = DEPLOY.parent
    assert all((repository / source).exists() for source in copied)
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"pyproject.toml", "hybridstore", project["readme"], *project["license-files"]} <= copied
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied, (
        "only these are sent to the builder"
    )
    extras = re.search(r"'\.\[([\w,]+)\]'", text)
    assert extras is not None
    assert set(extras[1].split(",")) <= project["optional-dependencies"].keys()
    python = re.search(r"^FROM python:([\d.]+)-slim$", text, re.MULTILINE)
    assert python is not None
    assert f"Programming Language :: Python :: {python[1]}" in project["classifiers"]


def test_the_image_runs_as_nobody_special_and_asks_after_its_own_port() -> None:
    found = instructions((DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    told = dict(found)
    assert told["USER"] == "trading"
    assert told["VOLUME"] == "/data"
    assert "HYBRIDSTORE_ROOT=/data" in told["ENV"]
    assert told["EXPOSE"] == PORT
    assert instruction("CMD")[-1] == PORT
    assert f"http://127.0.0.1:{PORT}/health" in told["HEALTHCHECK"]
    code = json.loads(told["HEALTHCHECK"].partition(" CMD ")[2])[-1]
    compile(code, "HEALTHCHECK", "exec")


def test_compose_starts_what_the_image_can_and_publishes_on_loopback_alone() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert (DEPLOY / services["maintenance"]["build"]["context"] / "deploy" / "Dockerfile").is_file()
    command = services["maintenance"]["command"]
    app.parse_args(command, print_error=False, exit_on_error=False)
    assert command[command.index("--metrics-port") + 1] == PORT
    assert all(port.startswith("127.0.0.1:") for one in services.values() for port in one["ports"])
    mounted = [volume.partition(":")[0] for one in services.values() for volume in one["volumes"]]
    assert all((DEPLOY / name).is_file() for name in mounted if name.startswith("./"))
    assert {name for name in mounted if name.isalpha()} == compose["volumes"].keys()
    prometheus = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = prometheus["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"maintenance:{PORT}"]
    assert all((DEPLOY / name).is_file() for name in prometheus["rule_files"])


# -- what watches ----------------------------------------------------------------------------------------------------


def test_the_dashboard_shows_every_figure_and_no_other() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = set(re.findall(r"hybridstore_\w+", " ".join(asked)))
    assert named == CATALOGUE.keys()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    labels = {about.label for about in CATALOGUE.values()} | {"instance"}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for target in panel["targets"]:
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    taken = [
        (x, y)
        for one in places
        for x in range(one["x"], one["x"] + one["w"])
        for y in range(one["y"], one["y"] + one["h"])
    ]
    assert len(taken) == len(set(taken)), "no panel lies on another"


def test_alerts_name_figures_that_there_are() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    (group,) = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]:
        named = set(re.findall(r"hybridstore_\w+", rule["expr"]))
        assert named
        assert named <= CATALOGUE.keys(), rule["alert"]
        commands_told = re.findall(r"hybridstore (?!_)(\w+)", rule["annotations"]["summary"])
        assert all(name in {*app} for name in commands_told), rule["alert"]
    assert INVARIANTS, "what the first alert sums up"
