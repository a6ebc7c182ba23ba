"""What one guard of a store found: how it stands, in words, and what to do."""

from __future__ import annotations

from typing import Literal

from hybridstore.records import Record

GuardState = Literal["ok", "warning", "alarm"]
"""``warning``: somebody should see to it soon. ``alarm``: data is in danger, or was lost."""


class GuardReport(Record, frozen=True, gc=False):
    """How one guard stands.

    Attributes:
        guard: Its name: process, files, permissions, second_sqlite, watermark, disk, log, readers, clock or moves.
        state: ``ok``, ``warning`` or ``alarm``.
        message: What it found, a sentence with the values.
        remedy: What to do; None where there is nothing to do.
    """

    guard: str
    state: GuardState
    message: str
    remedy: str | None = None

    def sentence(self) -> str:
        """Return the report as one line of a list of warnings.

        Returns:
            The message and, behind a semicolon, the remedy.
        """
        return f"{self.message}; {self.remedy}" if self.remedy else self.message
