"""The door to the books: the same questions for threads and for event loops, documented to the last argument."""

from __future__ import annotations

from inspect import iscoroutinefunction, isfunction
from pathlib import Path

from hybridstore import HybridStore, TradingBotStorageSystem
from hybridstore.books.async_books import AsyncBooks
from hybridstore.books.books import Books
from tests.test_public_api import class_complaints, public_methods


def test_both_worlds_ask_the_same_questions() -> None:
    assert public_methods(AsyncBooks) == public_methods(Books)
    assert all(iscoroutinefunction(member) for member in vars(AsyncBooks).values() if _is_question(member))


def _is_question(member: object) -> bool:
    return isfunction(member) and not member.__name__.startswith("_")


def test_every_question_is_documented_and_annotated() -> None:
    assert class_complaints(Books) + class_complaints(AsyncBooks) == []


def test_a_store_has_books_each_time_it_is_open(tmp_path: Path) -> None:
    store = HybridStore(tmp_path / "store")
    for _ in range(2):
        with store:
            assert isinstance(store.books, Books)


async def test_a_store_on_a_loop_has_them_too(tmp_path: Path) -> None:
    async with TradingBotStorageSystem(tmp_path / "store") as storage:
        assert isinstance(storage.books, AsyncBooks)
