"""Laying the balances an exchange reported along the entries of the books: which report includes which entries.

At each report the books are right or off by some amount, the level. An entry that is missing, doubled or wrong changes
the level for good; a report that comes late or early only looks as if it did. Of all explanations of all reports
together the cheapest is taken: a report that includes other entries than its moment says costs a little, one that
nothing explains costs more, and a change of level costs about as much as one and a half of those. The last report is
always explained: it is what the exchange says now.

Amounts are integers here, in units of the last place of money, because they are added and looked up so often.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from heapq import nsmallest
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

_OUTLIER = 10
"""Cost of a report that nothing explains."""
_GAP = 14
"""Cost of a change of level: two reports that disagree with those around them are strange, three agree on a gap."""
_SHIFTED = 3
"""Cost of a report that includes other entries than its moment says."""
_UNKNOWN_OPENING = 1
"""Cost of books that began with something; nothing is the likelier beginning."""
_SHIFT_ENTRIES_MAX = 32
_LEVELS_MAX = 128
"""So many levels are kept in mind; only reports that have nothing to do with the entries make more of them."""
_CHOICE_ENTRIES_MAX = 8
"""Of so many entries of one moment every choice is tried; of more, only all but one."""


class Match(NamedTuple):
    """A report that the books explain.

    Attributes:
        report: Its number.
        level: Reported less booked.
        included: How many of the entries it includes.
    """

    report: int
    level: int
    included: int


class _Node(NamedTuple):
    """A match, and the best way there."""

    cost: int
    match: Match
    before: _Node | None

    def cost_at(self, report: int) -> int:
        """Return the cost when no report since, up to this one, was explained."""
        return self.cost + _OUTLIER * (report - self.match.report)


class Alignment:
    """The entries of one asset, ready to be compared with reports.

    Args:
        opening: Balance before the first entry; None where it is not known.
        moments_us: When each entry occurred, us UTC, in order.
        amounts: How much each moved.
        lag_us: How far the moment of a report may be from that of what it includes, us.
    """

    def __init__(
        self, opening: int | None, moments_us: Sequence[int], amounts: Sequence[int], lag_us: int
    ) -> None:
        self._opening_cost = _UNKNOWN_OPENING if opening is None else _GAP
        self._moments = moments_us
        self._amounts = amounts
        self._lag_us = lag_us
        self.sums = list(accumulate(amounts, initial=opening or 0))
        self._start = _Node(0, Match(-1, 0, 0), None)

    def explain(self, reports: Sequence[tuple[int, int]]) -> list[Match]:
        """Find the cheapest explanation.

        Args:
            reports: Moment in us and balance of each, in order of the moments.

        Returns:
            The reports that are explained, in order; those left out disagree for themselves alone.
        """
        best, active = self._start, {0: self._start}
        last = len(reports) - 1
        for number, (moment_us, balance) in enumerate(reports):
            # What is booked twice must not pass for a report that is late or early, where no other report tells.
            edge = number in {0, last}
            low, high = self._span(moment_us, 0)
            included = self._find(balance - best.match.level, low, high, edge=edge)
            if included is not None:
                match = Match(number, best.match.level, included)
                best = active[match.level] = _Node(best.cost_at(number - 1), match, best)
                continue
            near = self._span(moment_us, self._lag_us)
            exact = self._states(low, high, high, edge=edge)
            shifted = self._states(*near, high, edge=edge)
            for node in self._nodes(Match(number, balance, high), exact, shifted, best, active):
                active[node.match.level] = node
            costs = [(node.cost_at(number), -node.match.report, level) for level, node in active.items()]
            best = active[min(costs)[-1]]
            limit = best.cost_at(number) + _GAP
            if len(costs) > _LEVELS_MAX and number < last:
                costs = nsmallest(_LEVELS_MAX // 2, costs)
            active = {level: active[level] for cost, _, level in costs if cost < limit}
        if last >= 0 and best.match.report != last:
            best = min(
                (node for node in active.values() if node.match.report == last), key=attrgetter("cost")
            )
        return _trace(best)

    def shift_us(self, match: Match, moment_us: int) -> int:
        """Say how far a report is from what it includes.

        Args:
            match: The report.
            moment_us: Its moment, us UTC.

        Returns:
            More than zero where it includes entries after its moment, less where it lacks entries before it, us.
        """
        low, high = self._span(moment_us, 0)
        if match.included > high:
            return self._moments[match.included - 1] - moment_us
        return self._moments[match.included] - moment_us if match.included < low else 0

    def _span(self, moment_us: int, lag_us: int) -> tuple[int, int]:
        """Return how many entries a report includes at the least and at the most."""
        low = bisect_left(self._moments, moment_us)
        high = bisect_right(self._moments, moment_us, low)
        if lag_us:
            low = max(bisect_left(self._moments, moment_us - lag_us, 0, low), low - _SHIFT_ENTRIES_MAX)
            high = min(bisect_right(self._moments, moment_us + lag_us, high), high + _SHIFT_ENTRIES_MAX)
        return low, high

    def _find(self, booked: int, low: int, high: int, *, edge: bool) -> int | None:
        if self.sums[high] == booked:
            return high
        return None if low == high else self._states(low, high, high, edge=edge).get(booked)

    def _states(self, low: int, high: int, middle: int, *, edge: bool) -> dict[int, int]:
        """Return what may be booked, with how many entries that includes; entries of one moment come in any order.

        Args:
            low: How many entries are included at the least.
            high: And at the most.
            middle: The likeliest number.
            edge: Leave out what includes one of two entries that are alike and not the other.

        Returns:
            Number of entries by sum; where two places have the same sum, the one nearest to the middle.
        """
        states: dict[int, int] = {}
        split: set[int] = set()
        first = low
        while first < high:
            end = min(bisect_right(self._moments, self._moments[first], first), high)
            if end - first > 1:
                amounts = self._amounts[first:end]
                if edge and len(set(amounts)) < len(amounts):
                    split.update(range(first + 1, end))
                else:
                    states.update((self.sums[first] + some, end) for some in _choices(amounts))
            first = end
        places = [
            place for place in (*range(low, middle), *range(high, middle - 1, -1)) if place not in split
        ]
        states.update((self.sums[place], place) for place in places)
        return states

    def _nodes(
        self,
        report: Match,
        exact: dict[int, int],
        shifted: dict[int, int],
        best: _Node,
        active: dict[int, _Node],
    ) -> list[_Node]:
        """Explain a report at every level that may be worth it.

        Args:
            report: Its number, its balance in place of a level, and how many entries its moment includes.
            exact: What may be booked at its moment.
            shifted: What may be booked around it.
            best: The cheapest node.
            active: The last node of each level that is not much dearer.

        Returns:
            The nodes: of known levels, and of new ones.
        """
        number, balance, settled = report
        changed, origin = best.cost_at(number - 1) + _GAP, best
        if number == 0:
            changed = self._opening_cost
        nodes = []
        for level, node in active.items():
            booked, extra = balance - level, 0
            included = exact.get(booked)
            if included is None:
                included, extra = shifted.get(booked), _SHIFTED
            if included is not None:
                cost, before = min(
                    (node.cost_at(number - 1), node), (changed, origin), key=lambda way: way[0]
                )
                nodes.append(_Node(cost + extra, Match(number, level, included), before))
        known = {node.match.level for node in nodes}
        fresh = {self.sums[settled]: (settled, 0)}
        fresh.update((booked, (place, 0)) for booked, place in exact.items() if booked not in fresh)
        if not nodes:
            fresh.update(
                (booked, (place, _SHIFTED)) for booked, place in shifted.items() if booked not in fresh
            )
        for booked, (included, extra) in fresh.items():
            if balance - booked not in known:
                nodes.append(_Node(changed + extra, Match(number, balance - booked, included), origin))
        return nodes


def _choices(amounts: Sequence[int]) -> set[int]:
    """Return what some of the entries of one moment come to."""
    if len(amounts) > _CHOICE_ENTRIES_MAX:
        whole = sum(amounts)
        return {0, whole, *amounts, *(whole - amount for amount in amounts)}
    sums = {0}
    for amount in amounts:
        sums |= {some + amount for some in sums}
    return sums


def _trace(last: _Node) -> list[Match]:
    matches = []
    node = last
    while node.before is not None:
        matches.append(node.match)
        node = node.before
    return matches[::-1]
