"""How much memory this process holds; run as a script it is the bare interpreter that says so.

It imports nothing that an interpreter has not loaded anyway, for whatever it imported would count as bare.
"""

from __future__ import annotations

import os
import sys

NO_FIGURE = -1


def resident_bytes() -> tuple[int, int]:
    """Return this process's resident set.

    Returns:
        Bytes now and at its peak; where the system tells only the peak, that twice; -1 twice where it tells neither.
    """
    if os.path.exists("/proc/self/status"):  # noqa: PTH110  pathlib is not loaded in a bare interpreter
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123  the same
            lines = dict(line.split(":", 1) for line in file if ":" in line)
        now, peak = (int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        return now, peak
    if sys.platform == "win32":
        return NO_FIGURE, NO_FIGURE
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak


if __name__ == "__main__":
    print(*resident_bytes())
