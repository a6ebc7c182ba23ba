"""What a subscriber is told, and of which datasets, accounts and markets it wants to be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from hybridstore.errors import InvalidValue
from hybridstore.records import FieldValue, Record
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.feed import why_not_followed
from hybridstore.schema.internal import CORRECTIONS
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import LogicalType, moment, tick_decimal

Stored = tuple[Any, ...]
EventKind = Literal["recorded", "corrected"]
_SYMBOLS = ("symbol", "asset")
_CORRECTION = {name: place for place, name in enumerate(CORRECTIONS.stored_names)}
_DECODERS: dict[LogicalType, Callable[[Any], Any]] = {
    LogicalType.MONEY: Decimal,
    LogicalType.TICK: tick_decimal,
    LogicalType.TIMESTAMP: moment,
    LogicalType.BOOLEAN: bool,
}


class Event(Record, frozen=True, gc=False):
    """One committed event.

    Attributes:
        dataset: Whose row.
        kind: recorded: the row as it was first committed; corrected: another version of a row that was told before.
        row: The row by column, with its number ``id``: Decimal, datetime (UTC), bool; JSON is text.
        committed_at: When it was committed, UTC; all events of one commit have the same time.
        token: Where to go on behind this event.
        previous: Of a correction: the row before.
    """

    dataset: str
    kind: EventKind
    row: Mapping[str, FieldValue]
    committed_at: datetime
    token: str
    previous: Mapping[str, FieldValue] | None = None


class Wanted(NamedTuple):
    """Which rows a subscriber wants; None means all.

    Attributes:
        account: Only of this account.
        symbol: Only of this market, or asset where a dataset has assets.
        bot: Only of this bot.
    """

    account: str | None = None
    symbol: str | None = None
    bot: str | None = None

    def columns(self, dataset: Dataset) -> dict[str, str]:
        """Say what a row must hold.

        Args:
            dataset: Whose rows.

        Returns:
            Wanted texts by column.

        Raises:
            UnknownDataset: The dataset has no such column.
        """
        names = {"account": "account", "bot": "bot", "symbol": _symbol_column(dataset)}
        found = {}
        for field, value in self._asdict().items():
            if value is not None:
                dataset.column(names[field])
                found[names[field]] = value
        return found


class RowForm:
    """How the rows of a dataset are looked at and turned into what a subscriber gets.

    Args:
        dataset: The declaration.
        wanted: Which rows are wanted.

    Attributes:
        name: The dataset's name.
        wants_all: Whether every row is wanted.
    """

    def __init__(self, dataset: Dataset, wanted: Wanted) -> None:
        self.name = dataset.name
        self._names = dataset.stored_names
        self._declared = dataset.column_names
        self._conversions = [
            (column.name, _DECODERS[column.type]) for column in dataset.columns if column.type in _DECODERS
        ]
        self._wanted = [(self._names.index(name), value) for name, value in wanted.columns(dataset).items()]
        self.wants_all = not self._wanted

    def is_wanted(self, stored: Stored) -> bool:
        """Say whether a row is wanted.

        Args:
            stored: Its stored columns.

        Returns:
            Whether it holds what was asked for.
        """
        return all(stored[place] == value for place, value in self._wanted)

    def decode(self, stored: Stored) -> dict[str, FieldValue]:
        """Return a row as a subscriber gets it.

        Args:
            stored: Its stored columns.

        Returns:
            Typed values by column.
        """
        row: dict[str, FieldValue] = dict(zip(self._names, stored, strict=True))
        for name, convert in self._conversions:
            value = row[name]
            if value is not None:
                row[name] = convert(value)
        return row

    def event(self, stored: Stored, committed_at: datetime, token: str) -> Event:
        """Return what a subscriber is told of a row.

        Args:
            stored: Its stored columns.
            committed_at: When it was committed.
            token: Where to go on behind it.

        Returns:
            The event.
        """
        return Event(self.name, "recorded", self.decode(stored), committed_at, token)

    def from_json(self, text: str, row_id: int) -> Stored:
        """Take a version of a row out of ``corrections``.

        Args:
            text: Stored forms by column, JSON.
            row_id: Its row number.

        Returns:
            Its stored columns; one that was declared later is None.
        """
        values = msgspec.json.decode(text)
        return (row_id, *[values.get(name) for name in self._declared])


class CorrectionForm:
    """How rows of ``corrections`` are looked at and turned into what a subscriber gets.

    Args:
        forms: The form of each dataset that is followed, by name.
    """

    def __init__(self, forms: Mapping[str, RowForm]) -> None:
        self._forms = forms

    def is_wanted(self, stored: Stored) -> bool:
        """Say whether a correction is wanted.

        Args:
            stored: Its stored columns.

        Returns:
            Whether the row was or is one that is followed.
        """
        form = self._forms.get(stored[_CORRECTION["dataset"]])
        if form is None:
            return False
        return form.wants_all or any(form.is_wanted(version) for version in self._versions(form, stored))

    def event(self, stored: Stored, committed_at: datetime, token: str) -> Event:
        """Return what a subscriber is told of a correction.

        Args:
            stored: Its stored columns.
            committed_at: When it was committed.
            token: Where to go on behind it.

        Returns:
            The event.
        """
        form = self._forms[stored[_CORRECTION["dataset"]]]
        new, old = self._versions(form, stored)
        return Event(form.name, "corrected", form.decode(new), committed_at, token, form.decode(old))

    def _versions(self, form: RowForm, stored: Stored) -> tuple[Stored, Stored]:
        new = form.from_json(stored[_CORRECTION["new_row"]], stored[_CORRECTION["new_row_id"]])
        return new, form.from_json(stored[_CORRECTION["old_row"]], stored[_CORRECTION["row_id"]])


def inserted_row(correction: Stored) -> tuple[str, int]:
    """Return which row a correction inserted.

    Args:
        correction: Its stored columns.

    Returns:
        The dataset, and the number of the row; 0 where the correction overwrote one.
    """
    row_id, new_row_id = correction[_CORRECTION["row_id"]], correction[_CORRECTION["new_row_id"]]
    return correction[_CORRECTION["dataset"]], 0 if row_id == new_row_id else new_row_id


def followed_datasets(registry: Registry, names: Iterable[str] | str | None, wanted: Wanted) -> list[Dataset]:
    """Return the datasets to follow.

    Args:
        registry: Every dataset.
        names: Those that were asked for; None means every one with events of the kind that is wanted.
        wanted: Which rows.

    Returns:
        Datasets in the order of the registry, which is their order within a commit.

    Raises:
        UnknownDataset: There is none of a name, or it has no column that is asked for.
        InvalidValue: One cannot be followed, or none is left.
    """
    if names is None:
        found = [
            dataset
            for dataset in registry.values()
            if why_not_followed(dataset) is None and _has_columns(dataset, wanted)
        ]
    else:
        asked = {registry[name].name for name in ((names,) if isinstance(names, str) else names)}
        found = [dataset for dataset in registry.values() if dataset.name in asked]
    for dataset in found:
        wanted.columns(dataset)
        reason = why_not_followed(dataset)
        if reason:
            raise InvalidValue(f"datasets={dataset.name!r} cannot be followed", hint=reason)
    if not found:
        raise InvalidValue("there is no dataset to follow", hint="name one, or ask for less")
    return found


def _has_columns(dataset: Dataset, wanted: Wanted) -> bool:
    columns = {"account": "account", "bot": "bot", "symbol": _symbol_column(dataset)}
    return all(
        columns[field] in dataset.column_names
        for field, value in wanted._asdict().items()
        if value is not None
    )


def _symbol_column(dataset: Dataset) -> str:
    if dataset.tiering and dataset.tiering.symbol:
        return dataset.tiering.symbol
    return next((name for name in _SYMBOLS if name in dataset.column_names), _SYMBOLS[0])
