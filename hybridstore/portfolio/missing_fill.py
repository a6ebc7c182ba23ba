"""Fills the books lack: partings of a base and a quote asset that make a fill at a price of their market."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from hybridstore.portfolio.finding import MISSING_FILL, Case, Finding, between, span, together
from hybridstore.portfolio.practice import GuessedFill, Practice, assumed
from hybridstore.portfolio.reconcile import Parting
from hybridstore.portfolio.wording import amount_text

_QUOTES = ("USDT", "USDC", "USD", "FDUSD", "DAI", "EUR", "GBP", "TRY", "BTC", "ETH", "BNB")
"""What prices are usually in, where the account's own fills do not say."""


class _Candidate(NamedTuple):
    rank: tuple[bool, int]
    base: Parting
    quote: Parting
    guess: GuessedFill


def find_missing_fills(case: Case) -> Iterator[Finding]:
    """Find fills that explain what two assets, or three with a fee, differ by.

    Args:
        case: The case; what is explained is taken out of it.

    Yields:
        The findings.
    """
    candidates = sorted(_candidates(case, case.practices.values()), key=attrgetter("rank"))
    fee_assets = {asset for fill in case.fills.values() for asset, _ in fill.fees}
    yield from _taken(case, candidates, fee_assets)
    yield from _taken(case, sorted(_candidates(case, _assumed(case)), key=attrgetter("rank")), fee_assets)


def _candidates(case: Case, known: Iterable[Practice]) -> Iterator[_Candidate]:
    by_asset: dict[str, list[Parting]] = defaultdict(list)
    for parting in case.open:
        by_asset[parting.asset].append(parting)
    for practice in known:
        for base in by_asset.get(practice.market.base, ()):
            for quote in by_asset.get(practice.market.quote, ()):
                if not together((base, quote)):
                    continue
                guess = practice.guess(base.difference, quote.difference)
                if guess is None or (practice.prices and not _is_likely(practice, guess, base)):
                    continue
                apart = abs((base.until_us or 0) - (quote.until_us or 0))
                yield _Candidate((not (guess.exact or guess.others), apart), base, quote, guess)


def _is_likely(practice: Practice, guess: GuessedFill, parting: Parting) -> bool:
    return practice.is_likely(guess.price, parting.until_us or 0)


def _assumed(case: Case) -> list[Practice]:
    """Return markets nobody has seen the account trade on, of what is left."""
    assets = sorted({parting.asset for parting in case.open})
    markets = []
    for quote in (*_QUOTES, *assets):
        if quote in assets:
            markets += [
                assumed(base, quote)
                for base in assets
                if base != quote and f"{base}/{quote}" not in case.practices
            ]
            assets.remove(quote)
    return markets


def _taken(case: Case, candidates: Iterable[_Candidate], fee_assets: set[str]) -> Iterator[Finding]:
    for candidate in candidates:
        pair = [candidate.base, candidate.quote]
        if any(parting not in case.open for parting in pair):
            continue
        case.take(pair)
        guess = candidate.guess
        plain = next((one for one in (guess, *guess.others) if not one.fees), None)
        fee = None if plain is None else _fee_beside(case, pair, fee_assets)
        if plain is not None and fee is not None:
            case.take([fee])
            pair.append(fee)
            # A fee that was taken elsewhere says that none is in the two.
            guess = plain._replace(exact=plain.exact or bool(guess.others), others=())
        yield _missing_fill(guess, pair, fee)


def _fee_beside(case: Case, pair: Sequence[Parting], fee_assets: set[str]) -> Parting | None:
    beside = [one for one in case.open if one.asset in fee_assets and together((*pair, one))]
    return min(beside, key=lambda one: abs((one.until_us or 0) - (pair[0].until_us or 0)), default=None)


def _missing_fill(guess: GuessedFill, partings: Sequence[Parting], fee: Parting | None) -> Finding:
    since_us, until_us = span(partings)
    fees = guess.fees if fee is None else (*guess.fees, (fee.asset, fee.difference.copy_negate()))
    fits = guess.exact or bool(guess.others)
    cost = _fees_text(fees) if fits else f"{_fees_text(fees)}, any fee in the two included"
    for other in guess.others:
        cost += f", or {amount_text(other.amount)} at {amount_text(other.price)}{_fees_text(other.fees)}"
    about = "" if fits else "about "
    opposite = "buy" if guess.side == "sell" else "sell"
    text = (
        f"a fill of {guess.symbol}: {guess.side} {amount_text(guess.amount)} at {about}{amount_text(guess.price)}"
        f"{cost}, {between(since_us, until_us)} is missing (or its opposite, a {opposite}, is booked twice)"
    )
    suspects = tuple(dict.fromkeys(suspect for parting in partings for suspect in parting.suspects))
    return Finding(
        MISSING_FILL,
        text,
        tuple(partings),
        exact=guess.exact,
        suspects=suspects,
        symbol=guess.symbol,
        side=guess.side,
        amount=guess.amount,
        price=guess.price,
        fees=fees,
        since_us=since_us,
        until_us=until_us,
    )


def _fees_text(fees: Iterable[tuple[str, Decimal]]) -> str:
    return "".join(f", fee {amount_text(cost)} {asset}" for asset, cost in fees)
