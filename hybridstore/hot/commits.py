"""What this process knows of the commits: which are its own, what they touched, and who wants to be told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from hybridstore.hot.session import WriteSession

Operation = TypeVar("Operation", bound=Callable[..., Any])
TOUCHES = "touches"
"""The attribute of an operation that says what it changes."""
Touched = Callable[..., Iterable[str] | None]


def touches(*datasets: str) -> Callable[[Operation], Operation]:
    """Declare which datasets a write operation changes; one that does not say counts as changing all.

    Args:
        *datasets: Their names.

    Returns:
        A decorator.
    """

    def declare(operation: Operation) -> Operation:
        setattr(operation, TOUCHES, datasets)
        return operation

    return declare


def touches_by(find: Touched) -> Callable[[Operation], Operation]:
    """Declare which datasets a write operation changes, where that depends on its arguments.

    Args:
        find: Gets the operation's arguments behind the session and returns names of datasets.

    Returns:
        A decorator.
    """

    def declare(operation: Operation) -> Operation:
        setattr(operation, TOUCHES, find)
        return operation

    return declare


class CommitLog:
    """Which commits of this process touched what, since when nobody else wrote.

    The writer notes each commit when it is done. Readers ask from any thread: the fields are written in an order that
    makes whoever reads them the other way round see too little rather than too much.

    Attributes:
        listeners: Called without arguments after every commit of this process, in the thread that committed; they must
            be quick and not raise.
    """

    def __init__(self) -> None:
        self.listeners: tuple[Callable[[], None], ...] = ()
        self._touched: dict[str, int] = {}
        self._touched_all = 0
        self._alone_since = 0
        self._last = 0

    def note(self, session: WriteSession, batch: Iterable[tuple[Any, ...]]) -> None:
        """Note a commit. Called by the writer, which has just made it.

        Args:
            session: Its session.
            batch: What was done: operation and arguments first.
        """
        seq = session.seq
        told: set[Any] = set()
        for operation, arguments, *_ in batch:
            if operation in told:
                continue
            names = getattr(operation, TOUCHES, None)
            if callable(names):
                names = names(*arguments)
            else:
                told.add(operation)
            if names is None:
                self._touched_all = seq
            else:
                self._touched.update(dict.fromkeys(names, seq))
        if session.foreign:
            self._alone_since = seq - 1
        self._last = seq
        for listener in self.listeners:
            listener()

    def is_unchanged(self, datasets: Iterable[str], since_seq: int, now_seq: int) -> bool:
        """Say whether datasets are as they were, as far as this process can know.

        Args:
            datasets: Their names.
            since_seq: The commit after which they were read.
            now_seq: The last commit of the store.

        Returns:
            True only if every commit between was this process's and touched none of them.
        """
        if self._last < now_seq or self._alone_since > since_seq or self._touched_all > since_seq:
            return False
        touched = self._touched
        return all(touched.get(name, 0) <= since_seq for name in datasets)
