"""Every benchmark runs, so that none can rot. Nothing here is timed: a shared machine would fail fair code."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from benchmarks import __main__ as summary
from benchmarks import figures, page
from benchmarks.figures import Figure, Limit, Run
from benchmarks.peer_libraries import LIBRARIES, why_absent
from benchmarks.timing import Paired, spread

ABSENT = {name for name in LIBRARIES if why_absent(name) is not None}
SUPPORT = {
    "__init__",
    "__main__",
    "books",
    "figures",
    "page",
    "peer_libraries",
    "peers",
    "processors",
    "resident",
    "tick_peers",
    "timing",
    "workload",
}
FOLDER = Path(summary.__file__).parent


@pytest.mark.parametrize("name", summary.present())
def test_a_benchmark_runs(name: str) -> None:
    run = figures.run_benchmark(name, summary.load(name), "small")
    assert run.figures
    assert len({figure.name for figure in run.figures}) == len(run.figures)
    for figure in run.figures:
        assert math.isfinite(figure.ours), figure
        assert figure.ours >= 0, figure
        assert figure.raw is None or figure.raw > 0, figure
        assert {name for name, value in figure.peers.items() if value is None} <= ABSENT, figure
        assert not figure.peers or set(figure.peers) == set(LIBRARIES), figure
        assert not figure.limits or figure.point, (
            f"{figure.name} has a limit that no acceptance point asks for"
        )
    assert figures.table(name, run.figures).row_count == len(run.figures)
    assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run


def test_every_module_is_a_benchmark_or_serves_them() -> None:
    modules = {path.stem for path in FOLDER.glob("*.py")}
    assert modules - SUPPORT == set(summary.present())


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        summary.main(["no_such_benchmark"])
    assert "no benchmark no_such_benchmark" in capsys.readouterr().err


def test_a_run_is_appended_as_one_line(tmp_path: Path) -> None:
    run = figures.run_benchmark("example", lambda _size: [Figure(name="a", unit="us", ours=1.5)], "small")
    for _ in range(2):
        path = figures.append(run, tmp_path / "results")
    lines = path.read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Run) for line in lines] == [run, run]


def test_the_page_shows_the_last_full_run_with_its_limits(tmp_path: Path) -> None:
    kept = Figure(
        name="first", unit="us", ours=3, raw=2, peers={"Redis": None, "aiosqlite": 25.5}, point="A2",
        limits=(Limit(of="ratio", at_most=1.5),),
    )  # fmt: skip
    missed = Figure(name="second", unit="us", ours=7_000, point="A7", limits=(Limit(of="ours", at_most=60),))
    older = figures.run_benchmark("memory", lambda _size: [Figure(name="older", unit="us", ours=1)], "full")
    newer = figures.run_benchmark("memory", lambda _size: [kept, missed], "full")
    small = figures.run_benchmark("memory", lambda _size: [Figure(name="small", unit="us", ours=1)], "small")
    gone = figures.run_benchmark("no_more", lambda _size: [Figure(name="gone", unit="us", ours=1)], "full")
    for run in (older, newer, small, gone):
        figures.append(run, tmp_path / "results")
    text = page.write_page(tmp_path / "results", tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| first | us | 3 | 2 | 1.5x | Redis absent, aiosqlite 25.5 | <= 1.5x raw (A2) | yes |" in text
    assert "| second | us | 7,000 |  |  |  | <= 60 (A7) | **no** |" in text
    assert not any(f"| {name} |" in text for name in ("older", "small", "gone"))


@pytest.mark.parametrize(
    ("figure", "passed"),
    [
        (Figure(name="a", unit="us", ours=3, raw=2, limits=(Limit(of="ratio", at_most=1.5),)), True),
        (Figure(name="a", unit="us", ours=3, raw=2, limits=(Limit(of="ratio", at_most=1.4),)), False),
        (
            Figure(name="a", unit="us", ours=3, raw=2, ratio=2, limits=(Limit(of="ratio", at_most=1.5),)),
            False,
        ),
        (Figure(name="a", unit="us", ours=3, limits=(Limit(of="ratio", at_most=9),)), False),
        (Figure(name="a", unit="/s", ours=3, limits=(Limit(of="ours", at_least=3),)), True),
        (Figure(name="a", unit="/s", ours=3, limits=(Limit(of="ours", at_least=4),)), False),
        (Figure(name="a", unit="/s", ours=3), None),
    ],
)
def test_a_figure_keeps_its_limits(*, figure: Figure, passed: bool | None) -> None:
    assert figure.passed is passed


@pytest.mark.parametrize(("size", "code"), [("full", 1), ("small", 0)])
def test_only_a_full_run_can_miss_a_limit(
    size: figures.Size, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = Figure(name="slow thing", unit="us", ours=9, limits=(Limit(of="ours", at_most=8),))
    assert figures.main("example", lambda _size: [missed], None, ["--size", size]) == code
    printed = capsys.readouterr().out
    assert "slow thing" in printed
    assert "FAIL" in printed


def test_json_is_one_line_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    figures.main("example", lambda _size: [Figure(name="a", unit="us", ours=1)], None, ["--json"])
    run = msgspec.json.decode(capsys.readouterr().out, type=Run)
    assert (run.benchmark, run.figures[0].name) == ("example", "a")


def test_percentiles_are_values_that_occurred() -> None:
    assert spread(range(1, 201)) == (100, 198, 200)
    assert spread([7_000], 1000) == (7, 7, 7)


def test_paired_rounds_compare_within_a_round() -> None:
    pairs = Paired()
    for ours, raw in ((2, 1), (20, 10), (6, 4)):
        pairs.add(ours, raw)
    assert (pairs.ours, pairs.raw, pairs.ratio, pairs.best) == (6, 4, 2, (20, 10))
