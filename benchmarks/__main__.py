"""Run all benchmarks, or those that are named, and print one table of figures against limits.

Guards acceptance points about speed as a whole: the exit code is 1 when a full run missed any limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from benchmarks.figures import Measure, add_options, console, finish, run_benchmark, table
from benchmarks.page import write_page

ORDER = (
    "start_up",
    "hot_reads",
    "hot_writes",
    "hot_arrow",
    "memory",
    "lots",
    "money",
    "growth",
    "fills_growth",
    "move",
    "query",
    "ticks",
    "backup",
    "backup_log",
    "report",
    "contention",
    "reads_under_load",
    "reads_beside_analyst",
    "scrapes",
)
"""What runs when nothing is named, cheapest first."""


def load(name: str) -> Measure:
    """Return the function of a benchmark.

    Args:
        name: A module of this folder.

    Returns:
        Its ``measure``.
    """
    measure: Measure = import_module(f"benchmarks.{name}").measure
    return measure


def present() -> list[str]:
    """Return the benchmarks there are, in the order they run."""
    return [name for name in ORDER if find_spec(f"benchmarks.{name}")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benchmarks.

    Args:
        arguments: Of the command line; None means this process's.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(present())}; default: all")
    add_options(parser)
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(present()))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(present())}")
    runs = []
    for name in options.names or present():
        console(to_stderr=True).print(f"measuring {name} ...", style="dim")
        runs.append(run_benchmark(name, load(name), options.size))
    code = finish(runs, options)
    if options.write and options.size == "full":
        write_page()
    if not options.json:
        limited = [figure for run in runs for figure in run.figures if figure.limits]
        console().print(table(f"against the limits ({options.size})", limited))
        if options.size == "small":
            console().print("a small run shows that the code runs; its figures mean nothing", style="dim")
    return code


if __name__ == "__main__":
    sys.exit(main())
