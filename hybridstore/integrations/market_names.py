"""Markets as managers call them, in unified form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from hybridstore.errors import InvalidValue

Market: TypeAlias = Literal["spot", "swap"]
_SEPARATED = re.compile(r"([A-Za-z0-9.]+)[-_]([A-Za-z0-9.]+)\Z")
_QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDD", "USDE", "DAI", "USD", "EUR", "GBP", "JPY", "TRY", "BRL", "AUD",
    "BTC", "ETH", "BNB", "XBT",
)  # fmt: skip


class MarketNames:
    """Turns names of markets into unified ones and remembers what it made of them.

    Args:
        symbols: Unified names by the manager's own, or a callable that returns them.
        market: What a name such as BTCUSDT means: "spot" (BTC/USDT) or "swap" (BTC/USDT:USDT). None takes it for
            spot, and refuses what cannot be spot: short or leveraged positions.

    Attributes:
        read_as: Unified names by the manager's own, where they differ.
    """

    def __init__(
        self, symbols: Mapping[str, str] | Callable[[str], str] | None = None, market: Market | None = None
    ) -> None:
        if market not in {None, "spot", "swap"}:
            raise InvalidValue(f"market={market!r}", hint="use 'spot' or 'swap'")
        self._symbols = symbols
        self._market = market
        self.read_as: dict[str, str] = {}

    def unified(self, name: str, *, contract: bool = False) -> str:
        """Return the unified name of a market.

        Args:
            name: The manager's.
            contract: Whether it cannot be a spot market.

        Returns:
            BASE/QUOTE or BASE/QUOTE:SETTLE.

        Raises:
            InvalidValue: Nobody said what the name means, and it cannot be guessed.
        """
        given = self._given(name)
        if given is not None:
            unified = given
        elif "/" in name:
            return name
        else:
            base, quote = _apart(name)
            if contract and self._market is None:
                raise InvalidValue(
                    f"symbol={name!r}: a contract, but of which market?",
                    hint="give market='swap', or symbols={'"
                    + name
                    + "': 'BASE/QUOTE:SETTLE'}, to integrate_with_...",
                )
            unified = f"{base}/{quote}:{quote}" if self._market == "swap" else f"{base}/{quote}"
        self.read_as[name] = unified
        return unified

    def _given(self, name: str) -> str | None:
        if self._symbols is None:
            return None
        return self._symbols(name) if callable(self._symbols) else self._symbols.get(name)


def _apart(name: str) -> tuple[str, str]:
    separated = _SEPARATED.match(name)
    if separated is not None:
        return separated[1].upper(), separated[2].upper()
    upper = name.upper()
    for quote in _QUOTES:
        if upper.endswith(quote) and len(upper) > len(quote):
            return upper.removesuffix(quote), quote
    raise InvalidValue(
        f"symbol={name!r}: not a unified symbol",
        hint="give symbols={'" + name + "': 'BASE/QUOTE'} to integrate_with_portfolio_manager",
    )
