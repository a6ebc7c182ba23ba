"""A token is short printable text that comes back as it was made, and says so when it did not."""

from __future__ import annotations

import zlib
from random import Random

import pytest

from hybridstore.errors import InvalidValue
from hybridstore.hot.feed_token import MARK_BYTES, NUMBER_MAX, FeedToken, Place, TokenMaker, read_token

MARK = bytes(range(16))


def random_token(rng: Random) -> tuple[str, FeedToken]:
    names = [
        (f"{'abcdefgh'[n]}{'x' * rng.choice((0, 5, 62))}", rng.random() < 0.3)
        for n in range(rng.randint(1, 8))
    ]
    numbers = [rng.choice((0, 1, rng.randrange(1 << 62), NUMBER_MAX)) for _ in range(2 * len(names))]
    ts_us = rng.randrange(1 << 52)
    places, used, rest = {}, [], iter(numbers)
    for name, timed in names:
        place = Place(next(rest) if timed else 0, next(rest))
        places[name] = place
        used += [*place] if timed else [place.id]
    return TokenMaker(MARK, names).text(ts_us, used), FeedToken(MARK[:MARK_BYTES], ts_us, places)


@pytest.mark.parametrize("attempt", range(30))
def test_a_token_comes_back_as_it_was_made(rng: Random, attempt: int) -> None:
    text, token = random_token(rng)
    assert read_token(text) == token
    assert text.isprintable()
    assert text.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("attempt", range(30))
def test_a_token_that_was_changed_anywhere_is_refused(rng: Random, attempt: int) -> None:
    text, _ = random_token(rng)
    place = rng.randrange(len(text) - 1)  # of the last character some bits count for nothing
    other = rng.choice([letter for letter in "ABCabc012-_" if letter != text[place]])
    for wrong in (text[:place] + other + text[place + 1 :], text[:place], text + "AAAA", text[4:]):
        with pytest.raises(InvalidValue, match=r"damaged or cut \(\d+ characters\)"):
            read_token(wrong)


@pytest.mark.parametrize("wrong", ["", "no token", "ünïcode", "====", "AAAAAAAA", "\n"])
def test_text_that_is_no_token_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidValue, match="damaged or cut") as caught:
        read_token(wrong)
    assert caught.value.hint is not None
    assert "from_start" in caught.value.hint


@pytest.mark.parametrize("wrong", [None, 7, b"AAAA"])
def test_what_is_no_text_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidValue, match="is no token"):
        read_token(wrong)


def test_a_token_of_a_later_version_says_what_to_do() -> None:
    maker = TokenMaker(MARK, [("trades", False)])
    maker._head = bytes([2]) + maker._head[1:]
    maker._head_crc = zlib.crc32(maker._head)
    with pytest.raises(InvalidValue, match="version 2 is not known") as caught:
        read_token(maker.text(1, [1]))
    assert caught.value.hint == "pip install -U hybridstore"
