"""Markets in unified form: BASE/QUOTE for spot, BASE/QUOTE:SETTLE for contracts."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from hybridstore.errors import InvalidValue

_SYMBOL = re.compile(r"(?P<base>[^/:\s]+)/(?P<quote>[^/:\s]+)(?::(?P<settle>[^/:\s-]+)(?P<expiry>-\S+)?)?\Z")


class Market(NamedTuple):
    """A parsed symbol.

    Attributes:
        symbol: As it was given.
        base: What is traded.
        quote: What prices are in.
        settle: What contracts are settled in; None for spot.
    """

    symbol: str
    base: str
    quote: str
    settle: str | None

    @property
    def is_spot(self) -> bool:
        """Whether fills exchange the assets themselves."""
        return self.settle is None

    @property
    def inverse(self) -> bool:
        """Whether profit is in the base asset (coin-margined contracts)."""
        return self.settle is not None and self.settle == self.base and self.settle != self.quote

    @property
    def profit_asset(self) -> str:
        """What realised profit is in."""
        return self.settle or self.quote


@functools.lru_cache(maxsize=4096)
def parse_symbol(symbol: str) -> Market:
    """Take a unified symbol apart.

    Args:
        symbol: For example BTC/USDT, BTC/USDT:USDT, BTC/USD:BTC, BTC/USDT:USDT-260327.

    Returns:
        The market.

    Raises:
        InvalidValue: The text has not this form.
    """
    match = _SYMBOL.match(symbol)
    if match is None:
        raise InvalidValue(
            f"symbol={symbol!r}: not a unified symbol",
            hint="use BASE/QUOTE or BASE/QUOTE:SETTLE, for example BTC/USDT",
        )
    return Market(symbol, match["base"], match["quote"], match["settle"])
