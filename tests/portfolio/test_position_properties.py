"""Lives of positions as hypothesis thinks them up, against books kept a second way: it finds ties and specks by search.

tests/portfolio/test_books_scripts.py draws many more, at random; here what fails is also shortened in its numbers.
"""

from __future__ import annotations

import functools

from hypothesis import given
from hypothesis import strategies as st

from tests.portfolio.engine import problem_of
from tests.portfolio.oracle import ONE, Terms
from tests.portfolio.scripts import Cash, Fill, Funding, Mark, Step, worded

SPOT = Terms("BTC/USDT", "BTC", "USDT")
FEE_ASSETS = ("BTC", "USDT", "USD", "BNB")
HEAP = 10**32
amounts = st.one_of(
    st.integers(1, 1000), st.integers(1, 10**6).map(lambda whole: whole * ONE), st.integers(1, HEAP)
)
signed = st.integers(-HEAP, HEAP)


@functools.cache
def terms(symbol: str, size: int) -> Terms:
    return {
        "linear": Terms("BTC/USDT:USDT", "BTC", "USDT", "USDT", size),
        "inverse": Terms("BTC/USD:BTC", "BTC", "USD", "BTC", size),
        "spot": SPOT,
    }[symbol]


@st.composite
def lives(draw: st.DrawFn) -> tuple[Step, ...]:
    """Fills, marks and funding of one market, hedged or not, and a deposit."""
    market = terms(
        draw(st.sampled_from(["spot", "linear", "inverse"])),
        draw(st.sampled_from([ONE, 10 * ONE, ONE // 1000, 7])),
    )
    slots = st.just("") if market.spot or draw(st.booleans()) else st.sampled_from(["LONG", "SHORT"])
    fees = st.lists(st.tuples(st.sampled_from(FEE_ASSETS), st.integers(-(10**18), 10**24)), max_size=3)
    fill = st.builds(
        Fill, st.just(market), slots, st.booleans(), amounts, amounts, fees.map(tuple),
        st.none() if market.inverse else st.none() | amounts, st.booleans(),
    )  # fmt: skip
    others = [
        st.builds(Mark, st.just(market), amounts),
        st.builds(Cash, st.just("deposit"), st.just("USDT"), signed),
    ]
    if not market.spot:
        others.append(st.builds(Funding, st.just(market), slots, signed))
    steps: list[Step] = draw(st.lists(st.one_of(fill, fill, fill, *others), min_size=1, max_size=25))
    return tuple(steps)


@given(script=lives(), closing=st.integers(0, 2**32))
def test_a_life_agrees_with_the_other_books(script: tuple[Step, ...], closing: int) -> None:
    assert problem_of(script, closing) is None, worded(script)
