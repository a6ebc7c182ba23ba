"""Figures of a benchmark: what was measured, against what, and whether it keeps its limit."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import msgspec
from rich.console import Console
from rich.table import Table

Size: TypeAlias = Literal["small", "full"]
Measure: TypeAlias = Callable[[Size], "list[Figure]"]
RESULTS = Path(__file__).resolve().parent / "results"
_TABLE_WIDTH = 150


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A bound on a figure.

    Attributes:
        of: "ours" for the figure itself, "ratio" for the figure divided by the raw library's.
        at_most: The largest value that passes, or None.
        at_least: The smallest value that passes, or None.
    """

    of: Literal["ours", "ratio"]
    at_most: float | None = None
    at_least: float | None = None

    def passes(self, value: float) -> bool:
        """Return whether a value keeps the bound."""
        return (self.at_most is None or value <= self.at_most) and (
            self.at_least is None or value >= self.at_least
        )

    def __str__(self) -> str:
        """Return the bound in words, such as ``<= 2x raw``."""
        sign, bound = ("<=", self.at_most) if self.at_most is not None else (">=", self.at_least)
        return f"{sign} {bound:g}x raw" if self.of == "ratio" else f"{sign} {bound:,g}"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure.

    Attributes:
        name: What was measured, for example "point read p50".
        unit: Its unit: us, ms, rows/s, B/row.
        ours: The figure.
        raw: The raw library doing the same work, where there is such a thing.
        ratio: ours / raw; by default of the two figures, where rounds are paired the median over rounds.
        peers: Other libraries' figures, by their name; None for one that is absent here.
        limits: What must hold.
        point: The acceptance point the limits come from.
        note: A word on how to read it.
    """

    name: str
    unit: str
    ours: float
    raw: float | None = None
    ratio: float | None = None
    peers: dict[str, float | None] = {}
    limits: tuple[Limit, ...] = ()
    point: str = ""
    note: str = ""

    @property
    def against_raw(self) -> float | None:
        """The figure divided by the raw library's."""
        if self.ratio is None and self.raw:
            return self.ours / self.raw
        return self.ratio

    @property
    def passed(self) -> bool | None:
        """Whether every limit is kept; None where there is none."""
        if not self.limits:
            return None
        return all(self._keeps(limit) for limit in self.limits)

    def _keeps(self, limit: Limit) -> bool:
        value = self.ours if limit.of == "ours" else self.against_raw
        return value is not None and limit.passes(value)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one benchmark, as a line of its results file.

    Attributes:
        benchmark: Its name.
        size: small or full.
        at_s: When it ended, seconds since 1970-01-01 UTC.
        elapsed_s: How long it took.
        python: Version of the interpreter.
        machine: Kind of processor.
        cores: Processors this process may use.
        load: Processes that wanted a processor in the minute before, where the system tells; more than ``cores`` means
            that other work slowed this run down.
        figures: What was measured.
    """

    benchmark: str
    size: Size
    at_s: float
    elapsed_s: float
    python: str
    machine: str
    cores: int
    load: float | None
    figures: list[Figure]


def run_benchmark(name: str, measure: Measure, size: Size) -> Run:
    """Run one benchmark.

    Args:
        name: Its name.
        measure: Its function.
        size: small or full.

    Returns:
        The run with its figures.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    begun_s = time.perf_counter()
    figures = measure(size)
    return Run(
        benchmark=name,
        size=size,
        at_s=round(time.time(), 3),
        elapsed_s=round(time.perf_counter() - begun_s, 3),
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count() or 1,
        load=load,
        figures=figures,
    )


def append(run: Run, folder: Path = RESULTS) -> Path:
    """Append a run to its benchmark's results.

    Args:
        run: The run.
        folder: Where results are kept.

    Returns:
        The file.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"{run.benchmark}.jsonl"
    with path.open("ab") as file:
        file.write(msgspec.json.encode(run) + b"\n")
    return path


def table(title: str, figures: Iterable[Figure]) -> Table:
    """Lay figures out as a table of ratios.

    Args:
        title: Above the table.
        figures: Its rows.

    Returns:
        The table.
    """
    laid_out = Table(title=title, title_justify="left")
    for heading in ("figure", "unit", "ours", "raw", "ours / raw", "peers", "limit", ""):
        numeric = heading in {"ours", "raw", "ours / raw"}
        laid_out.add_column(heading, justify="right" if numeric else "left")
    for figure in figures:
        ratio = figure.against_raw
        laid_out.add_row(
            figure.name,
            figure.unit,
            number(figure.ours),
            "" if figure.raw is None else number(figure.raw),
            "" if ratio is None else f"{ratio:.3g}x",
            "\n".join(
                f"{name} {'absent' if value is None else number(value)}"
                for name, value in figure.peers.items()
            ),
            "\n".join([*map(str, figure.limits), *filter(None, [figure.note])]),
            {True: "[green]pass[/]", False: "[bold red]FAIL[/]", None: ""}[figure.passed],
        )
    return laid_out


def number(value: float) -> str:
    """Return a figure as people read it: no decimals where they would be noise."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def console(*, to_stderr: bool = False) -> Console:
    """Return a console that never wraps a table into unreadability where its output is not a terminal."""
    return Console(stderr=to_stderr, width=None if sys.stdout.isatty() else _TABLE_WIDTH)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options that every benchmark takes."""
    parser.add_argument(
        "--size", choices=get_args(Size), default="full", help="small only shows that it runs"
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of tables")
    parser.add_argument(
        "--write",
        action="store_true",
        help="append to benchmarks/results/NAME.jsonl; a full run of several: the page",
    )


def finish(runs: Sequence[Run], options: argparse.Namespace) -> int:
    """Write and print runs.

    Args:
        runs: The runs.
        options: What :func:`add_options` parsed.

    Returns:
        The exit code: 1 where a full run missed a limit. Small runs measure nothing, so they cannot miss one.
    """
    for run in runs:
        if options.write:
            append(run)
        if options.json:
            print(msgspec.json.encode(run).decode())
        else:
            load = "" if run.load is None else f", load {run.load:.1f} on {run.cores} cores"
            title = f"{run.benchmark} ({run.size}, {run.elapsed_s:.1f} s{load})"
            console().print(table(title, run.figures))
    missed = [figure for run in runs for figure in run.figures if figure.passed is False]
    return 1 if missed and options.size == "full" else 0


def main(name: str, measure: Measure, description: str | None, arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark from the command line.

    Args:
        name: Its name.
        measure: Its function.
        description: Its module's docstring.
        arguments: Of the command line; None means this process's.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    options = parser.parse_args(arguments)
    return finish([run_benchmark(name, measure, options.size)], options)
