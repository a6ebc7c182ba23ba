"""What a bot pays to import the store.

Guards: ``import hybridstore`` stays cheap because names are loaded when they are first used, and no way of recording
loads DuckDB, polars or pyarrow (140 to 390 ms each). Limit: 60 ms above a bare interpreter, none of the three loaded
(A5). The facade's import, which every bot pays once, is shown beside it and has no limit of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, Limit, Size, main

ROUNDS = {"small": 2, "full": 15}
LIMIT_MS = 60.0
HEAVY = ("duckdb", "polars", "pyarrow")
STATEMENTS = {
    "import hybridstore": "import hybridstore",
    "import of the async facade": "from hybridstore import TradingBotStorageSystem",
}
_REPOSITORY = Path(__file__).resolve().parent.parent


def measure(size: Size) -> list[Figure]:
    """Time imports in fresh processes, in turns with a bare interpreter.

    Args:
        size: small or full.

    Returns:
        Time of each import, its own account of it, and how many heavy modules came along.
    """
    figures = []
    for name, statement in STATEMENTS.items():
        limited = statement == STATEMENTS["import hybridstore"]
        with_ms, bare_ms, own_ms = [], [], []
        for _ in range(ROUNDS[size]):
            with_ms.append(_process_ms(statement))
            bare_ms.append(_process_ms("pass"))
            own_ms.append(_import_time_ms(statement))
        limits = (Limit(of="ours", at_most=LIMIT_MS),) if limited else ()
        # Best of each: whatever else runs on the machine only ever adds to the time of a process.
        over_bare_ms = max(min(with_ms) - min(bare_ms), 0.0)
        figures += [
            Figure(
                name=name,
                unit="ms",
                ours=over_bare_ms,
                limits=limits,
                point="A5",
                note="above a bare process",
            ),
            Figure(name=f"{name}, -X importtime", unit="ms", ours=min(own_ms), limits=limits, point="A5"),
            Figure(
                name=f"{name}: {'/'.join(HEAVY)} loaded",
                unit="modules",
                ours=float(len(_heavy_modules(statement))),
                limits=(Limit(of="ours", at_most=0),),
                point="A5",
            ),
        ]
    return figures


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, *arguments], check=True, capture_output=True, text=True, cwd=_REPOSITORY
    )


def _process_ms(statement: str) -> float:
    begun_s = time.perf_counter()
    _python("-c", statement)
    return (time.perf_counter() - begun_s) * 1000


def _import_time_ms(statement: str) -> float:
    """Return the interpreter's own account: the time of every module that ``site`` had not loaded already."""
    lines = _python("-X", "importtime", "-c", statement).stderr.splitlines()
    names = [line.rsplit("|", 1)[-1].strip() for line in lines]
    after_site = lines[names.index("site") + 1 :]
    return sum(int(line.split(":")[1].split("|")[0]) for line in after_site) / 1000


def _heavy_modules(statement: str) -> list[str]:
    asked = f"import json, sys; {statement}; print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    return msgspec.json.decode(_python("-c", asked).stdout, type=list[str])


if __name__ == "__main__":
    sys.exit(main("start_up", measure, __doc__))
