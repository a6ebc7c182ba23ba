"""When to try again to have the log begin anew: a reader may keep it for as long as it likes."""

from __future__ import annotations

import time

_WAIT_MIN_S = 0.1
_WAIT_MAX_S = 60.0


class Patience:
    """Waits longer after each attempt that failed, but not until the log has become much longer.

    Args:
        frames_step: So many frames more are a reason to try again at once.
    """

    def __init__(self, frames_step: int) -> None:
        self._step = frames_step
        self._wait_s = _WAIT_MIN_S
        self._until_s = 0.0
        self._frames = 0

    def is_over(self, frames: int) -> bool:
        """Say whether it is time.

        Args:
            frames: Frames in the log.
        """
        return time.monotonic() >= self._until_s or frames >= self._frames

    def note(self, frames: int, *, failed: bool) -> None:
        """Note an attempt.

        Args:
            frames: Frames in the log behind it.
            failed: Whether it is still the same log.
        """
        if not failed:
            self._wait_s, self._until_s, self._frames = _WAIT_MIN_S, 0.0, 0
            return
        self._until_s, self._frames = time.monotonic() + self._wait_s, frames + self._step
        self._wait_s = min(2 * self._wait_s, _WAIT_MAX_S)
