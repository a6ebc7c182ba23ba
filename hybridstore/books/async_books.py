"""AsyncBooks: the same questions about the books, for code on an event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridstore.books.books import Books


class AsyncBooks:
    """Questions about the books of a store, each asked in a thread; see :class:`hybridstore.books.books.Books`.

    A task that is cancelled goes on at once; the thread ends with the question it asked.

    Args:
        books: Gives the books; it is called in the thread, for the first question loads the engine.
    """

    def __init__(self, books: Callable[[], Books]) -> None:
        self._books = books
