"""What the books have too much of: something booked twice, or that the exchange does not know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from hybridstore.portfolio.finding import DOUBLED, UNKNOWN, Case, Finding, cause_name, covers, fill_text
from hybridstore.portfolio.money import ZERO, add
from hybridstore.portfolio.reconcile import BookEntry, Parting
from hybridstore.portfolio.wording import amount_text, when_text


def find_surplus(case: Case) -> Iterator[Finding]:
    """Find causes all of whose entries the books have too much: booked twice, or unknown to the exchange.

    Args:
        case: The case; what is explained is taken out of it.

    Yields:
        The findings.
    """
    by_asset: dict[tuple[str, Decimal], list[str]] = defaultdict(list)
    sums = {cause: _sums(entries) for cause, entries in case.causes.items()}
    for cause, moved in sums.items():
        for asset, amount in moved.items():
            by_asset[asset, amount].append(cause)
    alike: dict[tuple[tuple[str, Decimal], ...], list[str]] = defaultdict(list)
    for cause, moved in sums.items():
        alike[tuple(sorted(moved.items()))].append(cause)
    for parting in tuple(case.open):
        if parting not in case.open:
            continue
        for cause in by_asset[parting.asset, parting.difference.copy_negate()]:
            undone = _undone(case, cause, sums[cause])
            if undone is None or parting not in undone:
                continue
            moment_us = case.causes[cause][0].occurred_us
            twins = [
                other
                for other in alike[tuple(sorted(sums[cause].items()))]
                if other != cause and case.causes[other][0].occurred_us == moment_us
            ]
            case.take(undone)
            yield _surplus_finding(case, cause, twins, undone)
            break


def _sums(entries: Iterable[BookEntry]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for entry in entries:
        sums[entry.asset] = add(sums.get(entry.asset, ZERO), entry.amount)
    return {asset: amount for asset, amount in sums.items() if amount}


def _undone(case: Case, cause: str, moved: Mapping[str, Decimal]) -> list[Parting] | None:
    """Return the partings that taking out a cause undoes, one of each of its assets; None where one is missing."""
    moment_us = case.causes[cause][0].occurred_us
    undone = []
    for asset, amount in moved.items():
        wanted = amount.copy_negate()
        found = next(
            (one for one in case.of(asset) if one.difference == wanted and covers(one, moment_us)), None
        )
        if found is None:
            return None
        undone.append(found)
    return undone


def _surplus_finding(case: Case, cause: str, twins: Sequence[str], undone: Sequence[Parting]) -> Finding:
    entries = case.causes[cause]
    fill = case.fills.get(cause)
    name = fill_text(fill) if fill else f"the entry {entries[0].entry_id} ({_moved_text(_sums(entries))})"
    at = when_text(entries[0].occurred_us)
    if twins:
        ids = " and ".join(cause_name(case, one) for one in (*twins, cause))
        text = f"{name} at {at} is booked {_times(len(twins) + 1)}: {ids}"
    else:
        text = f"{name} at {at} is booked ({cause_name(case, cause)}), but the exchange does not know it"
    suspects = tuple(entry.entry_id for one in (cause, *twins) for entry in case.causes[one])
    return Finding(
        DOUBLED if twins else UNKNOWN,
        text,
        tuple(undone),
        exact=True,
        suspects=suspects,
        symbol=fill.symbol if fill else None,
        side=fill.side if fill else None,
        amount=fill.amount if fill else entries[0].amount,
        price=fill.price if fill else None,
        fees=fill.fees if fill else (),
        since_us=entries[0].occurred_us,
        until_us=entries[0].occurred_us,
    )


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"  # noqa: PLR2004  a number word


def _moved_text(sums: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{amount_text(amount)} {asset}" for asset, amount in sums.items())
