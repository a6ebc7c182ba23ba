"""Many disks from one recorded run: power cuts at random points, each drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.crash.disk import Crash
from tests.crash.operations import Note

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

    from tests.crash.operations import Operation

STRATEGIES = ("nothing", "everything", "prefix", "prefix", "subset", "subset", "subset")
"""Drawn from with equal chance: torn disks are the interesting ones."""


@dataclass(frozen=True, slots=True)
class Image:
    """One disk after one power cut.

    Args:
        point: How many operations of the order had happened.
        strategy: How the disk was drawn.
        files: Content by name.
        notes: What the application had been told by then, in order (a view of the first ``len`` notes).
    """

    point: int
    strategy: str
    files: dict[str, bytes]
    notes: Sequence[object]


def crash_images(
    operations: Sequence[Operation],
    *,
    count: int,
    rng: random.Random,
    baseline: dict[str, bytes] | None = None,
) -> Iterator[Image]:
    """Draw disks after power cuts at random points of a recorded run.

    Args:
        operations: The recorded order.
        count: How many images.
        rng: Source of every choice.
        baseline: Files that were durable before the recording began.

    Yields:
        Images in the order of their points.
    """
    points = sorted(rng.randrange(len(operations) + 1) for _ in range(count))
    crash = Crash(baseline or {})
    notes: list[object] = []
    done = 0
    for point in points:
        for operation in operations[done:point]:
            crash.step(operation)
            if isinstance(operation, Note):
                notes.append(operation.payload)
        done = point
        strategy = rng.choice(STRATEGIES)
        yield Image(point, strategy, crash.image(rng, strategy), tuple(notes))
