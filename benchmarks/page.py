"""docs/benchmarks.md: the latest full run of every benchmark, as tables. ``--write`` makes it anew."""

from __future__ import annotations

import time
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import msgspec

from benchmarks.figures import RESULTS, Figure, Run, number

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
_HEADINGS = ("figure", "unit", "ours", "raw", "ours / raw", "peers", "limit", "holds", "note")
_BEGINNING = """# What was measured

Absolute times are those of the machine, and other work on it shows in them. So a limit is where possible a ratio: ours
against the raw library doing the same work on the same kind of file in the same run, the two taking turns. Peers
(aiosqlite, SQLAlchemy, Redis) do it in processes of their own; one that was not installed says "absent". Beside each
limit stands the acceptance point it comes from, and whether it held in this run; `python -m benchmarks` ends with
code 1 where one did not.

Make this page anew on your machine, in about five minutes and with 4 GB of free disk:

```text
pip install -e ".[bench]"
python -m benchmarks --write
```

Redis is measured where the program `redis-server` is installed (Debian: `apt install redis-server`). `python -m
benchmarks NAME ...` runs some, `--size small` only shows that they run, `--json` prints lines for programs.
"""


def write_page(results: Path = RESULTS, page: Path = PAGE) -> Path:
    """Write the page from the results.

    Args:
        results: Where each benchmark's runs are kept.
        page: What to write.

    Returns:
        The page.
    """
    runs = [run for path in sorted(results.glob("*.jsonl")) for run in latest_full_run(path)]
    page.write_text("\n".join([_BEGINNING, *(section(run) for run in runs)]), encoding="utf-8", newline="\n")
    return page


def latest_full_run(path: Path) -> list[Run]:
    """Return the last full run of a benchmark.

    Args:
        path: Its results, a JSON line a run.

    Returns:
        The run; empty where there is none, or the benchmark is no more.
    """
    if find_spec(f"benchmarks.{path.stem}") is None:
        return []
    runs = [msgspec.json.decode(line, type=Run) for line in path.read_bytes().splitlines()]
    return [run for run in runs if run.size == "full"][-1:]


def section(run: Run) -> str:
    """Return a run as Markdown.

    Args:
        run: The run.

    Returns:
        Heading, what the benchmark guards, and its table.
    """
    day = time.strftime("%Y-%m-%d", time.gmtime(run.at_s))
    load = "" if run.load is None else f", {run.load:.1f} processes running when it began"
    description = (import_module(f"benchmarks.{run.benchmark}").__doc__ or "").strip()
    machine = (
        f"{day}, {run.machine}, Python {run.python}, {run.cores} processors{load}, {run.elapsed_s:.0f} s."
    )
    return "\n".join(
        [f"## {run.benchmark}\n", description.replace("``", "`"), f"\n{machine}\n", *_table(run.figures), ""]
    )


def _table(figures: Iterable[Figure]) -> list[str]:
    rows = [_HEADINGS, ("---", "---", "--:", "--:", "--:", "---", "---", "---", "---")]
    return [f"| {' | '.join(row)} |" for row in [*rows, *map(_row, figures)]]


def _row(figure: Figure) -> tuple[str, ...]:
    ratio = figure.against_raw
    peers = (f"{name} {'absent' if value is None else number(value)}" for name, value in figure.peers.items())
    limits = ", ".join(map(str, figure.limits))
    return (
        figure.name,
        figure.unit,
        number(figure.ours),
        "" if figure.raw is None else number(figure.raw),
        "" if ratio is None else f"{ratio:.3g}x",
        ", ".join(peers),
        f"{limits} ({figure.point})" if limits else "",
        {True: "yes", False: "**no**", None: ""}[figure.passed],
        figure.note.replace("|", "/"),
    )
