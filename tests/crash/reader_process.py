"""A reader in a process of its own: takes one snapshot after the other while movers are killed, and reports lies.

``python -m tests.crash.reader_process FOLDER SEED ROWS_A_DAY PAUSE_S WAY`` follows the newest ``store-*`` in
FOLDER until ``FOLDER/stop`` exists. Each snapshot must equal the whole stock, so a count can neither go back nor
run ahead. It prints one JSON line a wrong snapshot and one at the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.crash.analyst import Analyst
from tests.crash.observer import Observer, Wrong, difference
from tests.crash.stock import stock_rows

_WRONG_MAX = 20
_BETWEEN_S = 0.002
_LIFETIME_MAX_S = 3_600


def main() -> None:
    """Observe until told to stop."""
    folder, seed, rows_a_day, pause_s, way = sys.argv[1:]
    expected = stock_rows(int(seed), int(rows_a_day))
    seen: Counter[str] = Counter()
    wrong = 0
    root: Path | None = None
    observer: Analyst | Observer | None = None
    deadline_s = time.monotonic() + _LIFETIME_MAX_S
    print(json.dumps({"ready": True}), flush=True)
    while not (Path(folder) / "stop").exists() and time.monotonic() < deadline_s and wrong < _WRONG_MAX:
        newest = max(Path(folder).glob("store-*"), default=None)
        if newest is None:
            time.sleep(0.01)
            continue
        if newest != root or observer is None:
            if observer is not None:
                observer.close()
            root, observer = newest, Analyst(newest) if way == "product" else Observer(newest, way=way)
        try:
            # Every other snapshot is quick: what is wrong for a moment only is over after a pause.
            problem = difference(expected, observer.rows(float(pause_s) * (seen.total() % 2)))
            time.sleep(_BETWEEN_S)
        except Wrong as error:
            problem = str(error)
        seen[newest.name] += 1
        if problem:
            wrong += 1
            print(json.dumps({"wrong": f"{newest.name}: {problem}"}), flush=True)
    if observer is not None:
        observer.close()
    print(json.dumps({"snapshots": sum(seen.values()), "stores": len(seen)}), flush=True)


if __name__ == "__main__":
    main()
