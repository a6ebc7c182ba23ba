"""What the store promises about speed, measured: each module says what it guards and its limit.

``python -m benchmarks`` runs all of them and prints one table of figures against limits; ``python -m benchmarks.NAME``
runs one. ``--size small`` only shows that the code runs; ``--write`` appends one JSON line a run to
``benchmarks/results/NAME.jsonl``, and with full runs makes ``docs/benchmarks.md`` anew; ``--json`` prints the lines
instead of tables.

Absolute times are those of the machine, so a limit is where possible a ratio: ours against the raw library doing the
same work on the same kind of file in the same run, the two taking turns. Peers (aiosqlite, SQLAlchemy, Redis; extra
``bench``) run the same work in a process of their own, because no second SQLite library may touch a file that apsw has
open.

A module here is a benchmark when it has ``measure(size) -> list[Figure]`` (see :mod:`benchmarks.figures`).
"""

from __future__ import annotations
