"""Fees of a fill, as engines give them."""

from __future__ import annotations

import json
from decimal import Decimal

from hybridstore.schema.types import EXACT


def fees_of(fee: Decimal | None, currency: str | None, fees: str | None) -> tuple[tuple[str, Decimal], ...]:
    """Return the fees of a row of ``trades``.

    Args:
        fee: The only one.
        currency: Its asset.
        fees: JSON of all, where there are several.

    Returns:
        (asset, cost) pairs.
    """
    if fees is not None:
        return tuple((one["currency"], EXACT.normalize(Decimal(one["cost"]))) for one in json.loads(fees))
    return () if fee is None or currency is None else ((currency, EXACT.normalize(fee)),)
