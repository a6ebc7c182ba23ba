"""The moments balances are of, where an exchange's clock and this machine's are both heard."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple


class _Times(NamedTuple):
    told: datetime | None
    """The latest time that was told."""
    taken: datetime
    """The moment that figure was taken to be of."""
    latest: datetime
    """The latest moment any figure was taken to be of."""


class BalanceTimes:
    """Puts the figures of each asset in order.

    The latest balance is the one of the latest moment. A message names the exchange's time, which is some milliseconds
    ago; what the manager shows is of now. Taken as they are, a look at the state would for that long hide the messages
    that follow it. So what is newer by the exchange's own times counts as newer here.

    Args:
        known: Moments of what the store holds, by asset.
    """

    def __init__(self, known: Mapping[str, datetime]) -> None:
        self._times = {asset: _Times(None, moment, moment) for asset, moment in known.items()}

    def place(self, asset: str, told: datetime | None, now: datetime) -> datetime:
        """Return the moment a figure is of.

        Args:
            asset: The asset.
            told: The time that was told with it.
            now: When it was seen, later than every such time before.

        Returns:
            The time that was told, unless that would put a newer figure before an older one, or into the future; then
            the time it was seen.
        """
        times = self._times.get(asset)
        if times is None:
            moment = now if told is None else min(told, now)
            self._times[asset] = _Times(told, moment, moment)
            return moment
        if told is None:
            moment, told, taken = now, times.told, times.taken
        elif times.told is not None and told < times.told:
            return told  # late: history, not the latest
        elif told == times.told:
            return times.taken  # told again
        else:
            moment = taken = told if times.latest < told <= now else now
        self._times[asset] = _Times(told, taken, max(times.latest, moment))
        return moment
