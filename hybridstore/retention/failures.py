"""What of a run failed: it does not keep the rest from being done, and is not tried again in the same run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hybridstore.errors import ArchiveError, StorageFailure

Subject = int | str
"""A unit by its first moment, us UTC; a file by its id."""


class Failures:
    """Failures of one run, by dataset and subject."""

    def __init__(self) -> None:
        self.errors: list[ArchiveError | StorageFailure] = []
        """In the order they were met."""
        self._failed: set[tuple[str, Subject]] = set()

    def is_worth_trying(self, dataset: str, subject: Subject) -> bool:
        """Say whether something did not fail before in this run.

        Args:
            dataset: Its dataset.
            subject: A unit's first moment, us UTC, or the id of a file.

        Returns:
            False where it failed.
        """
        return (dataset, subject) not in self._failed

    @contextmanager
    def noting(self, dataset: str, subject: Subject) -> Iterator[None]:
        """Note a failure instead of raising it: of the archives, or of the device where one of their files lies.

        Args:
            dataset: Its dataset.
            subject: A unit's first moment, us UTC, or the id of a file.
        """
        try:
            yield
        except (ArchiveError, StorageFailure) as error:
            self.errors.append(error)
            self._failed.add((dataset, subject))

    def summary(self, done: str) -> ArchiveError | StorageFailure:
        """Return the first failure, with the others and what was done all the same in its message.

        Args:
            done: What was done.

        Returns:
            The error to raise.
        """
        first = self.errors[0]
        others = f"; {len(self.errors) - 1} more could not be moved" if len(self.errors) > 1 else ""
        message = f"{first.message} ({done}{others})"
        return type(first)(message, operation=first.operation, path=first.path, hint=first.hint)
