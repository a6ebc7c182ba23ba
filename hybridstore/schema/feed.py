"""Which datasets can be followed as a feed of events, and by which statements their rows are read in commit order.

The writer gives row numbers and commit times in one order, so rows are read by their number. Only rows that are given
again and again until they are final (``provisional``) are read by the time they were last given: each time is an event.
"""

from __future__ import annotations

from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.internal import CORRECTIONS
from hybridstore.schema.types import LogicalType

RECORDED_AT = "recorded_at"
CORRECTED_AT = "corrected_at"


def commit_column(dataset: Dataset) -> str:
    """Return the column that holds the time of a row's commit.

    Args:
        dataset: One that can be followed, or ``corrections``.

    Returns:
        Its name.
    """
    return CORRECTED_AT if dataset.name == CORRECTIONS.name else RECORDED_AT


def why_not_followed(dataset: Dataset) -> str | None:
    """Say why a dataset's rows are no feed of events.

    Args:
        dataset: The declaration.

    Returns:
        The reason, which ends in what can be done; None where it can be followed.
    """
    name = dataset.name
    if dataset.kind not in ("event", "market"):
        return f"{name} is {dataset.kind} data and not events; follow the events that change it"
    if not dataset.numbered:
        return f"rows of {name} have no number; declare its tiering"
    if (
        RECORDED_AT not in dataset.column_names
        or dataset.column(RECORDED_AT).type is not LogicalType.TIMESTAMP
    ):
        return f"rows of {name} do not say when they were committed; declare a TIMESTAMP column {RECORDED_AT}"
    if dataset.provisional and not any(
        index.columns[0] == RECORDED_AT and index.where is None for index in dataset.indexes
    ):
        return f"rows of {name} are provisional; declare Index(({RECORDED_AT!r},))"
    return None


def feed_statements(dataset: Dataset) -> dict[str, str]:
    """Return the statements by which a dataset is followed.

    Args:
        dataset: The declaration.

    Returns:
        By name: ``feed_<name>`` (the ``:rows`` next rows behind ``:ts_us`` and ``:id``, in commit order) and
        ``feed_back_<name>`` (number and commit time of rows up to ``:id``, backwards); nothing where it cannot be
        followed.
    """
    if dataset.name != CORRECTIONS.name and why_not_followed(dataset):
        return {}
    columns, committed = ", ".join(dataset.stored_names), commit_column(dataset)
    behind, order = f"{ROW_ID} > :id", ROW_ID
    if dataset.provisional:
        behind, order = f"({committed}, {ROW_ID}) > (:ts_us, :id)", f"{committed}, {ROW_ID}"
    return {
        f"feed_{dataset.name}": (
            f"SELECT {columns} FROM {dataset.name} WHERE {behind} ORDER BY {order} LIMIT :rows"
        ),
        f"feed_back_{dataset.name}": (
            f"SELECT {ROW_ID}, {committed} FROM {dataset.name} WHERE {ROW_ID} <= :id "
            f"ORDER BY {ROW_ID} DESC LIMIT :rows"
        ),
    }
