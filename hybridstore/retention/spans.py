"""Spans of time: which rows a deletion leaves. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Times from one moment to another.

    Attributes:
        start_us: First moment, us UTC.
        end_us: First moment after it, us UTC.
    """

    start_us: int
    end_us: int


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join spans that overlap or touch.

    Args:
        spans: Any spans; an empty one counts for nothing.

    Returns:
        The same times, in order, apart from each other.
    """
    joined: list[Span] = []
    for span in sorted(spans):
        if span.start_us >= span.end_us:
            continue
        if joined and span.start_us <= joined[-1].end_us:
            joined[-1] = Span(joined[-1].start_us, max(joined[-1].end_us, span.end_us))
        else:
            joined.append(span)
    return tuple(joined)


def clip(spans: Iterable[Span], within: Span) -> tuple[Span, ...]:
    """Cut spans to another one.

    Args:
        spans: Any spans.
        within: What is left of them lies in it.

    Returns:
        What is left, in order, apart from each other.
    """
    return union(Span(max(span.start_us, within.start_us), min(span.end_us, within.end_us)) for span in spans)


def without(span: Span, taken: Iterable[Span]) -> tuple[Span, ...]:
    """Return what others leave of a span.

    Args:
        span: The span.
        taken: The others.

    Returns:
        The times that none of them has, in order.
    """
    left, at_us = [], span.start_us
    for other in clip(taken, span):
        left.append(Span(at_us, other.start_us))
        at_us = other.end_us
    left.append(Span(at_us, span.end_us))
    return union(left)
