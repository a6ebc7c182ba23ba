"""Where results of expensive questions are kept, and how they go: they may hold any value of any row."""

from __future__ import annotations

import logging
import time
from pathlib import Path

RESULTS = "cache/results"
RESULT_SUFFIX = ".arrow"
RESULT_AGE_MAX_S = 86_400.0
"""No result is used longer: as long as files that were replaced are kept."""
_log = logging.getLogger(__name__)


def forget_results(root: Path, older_than_s: float = 0.0) -> int:
    """Delete results that are kept.

    Args:
        root: The store's folder.
        older_than_s: Only those made so many seconds ago.

    Returns:
        How many were deleted.
    """
    forgotten = 0
    for path in (root / RESULTS).glob("*"):  # what a crash left behind on the way to a result goes, too
        try:
            if time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()
                forgotten += 1
        except FileNotFoundError:  # somebody else was faster
            continue
        except OSError as error:  # on Windows somebody reads it this moment: the next round deletes it
            _log.warning("a kept result cannot be deleted yet: %s", error)
    return forgotten
