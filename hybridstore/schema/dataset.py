"""The one declaration of a dataset, from which everything else about it is derived.

A dataset is a named table of typed columns with a natural key. Its kind says how rows live:

``state``: the present value of something, updated in place. ``event``: something that happened, never updated but by
a recorded correction. ``market``: events of the market, in volume. ``aggregate``: pre-computed from others.
``internal``: the store's own bookkeeping, not offered to queries by name alone.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Literal, NoReturn

import msgspec

from hybridstore.errors import InvalidValue, UnknownDataset
from hybridstore.schema.types import CHECKS, LogicalType

Kind = Literal["state", "event", "market", "aggregate", "internal"]
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_RESERVED = {"id", "rowid", "oid", "_rowid_", "filename", "year", "month", "day"}
_KEYWORD = re.compile(
    r"(?:"
    r"add|all|alter|and|as|autoincrement|between|case|cast|check|collate|commit|constraint|"
    r"create|current_date|current_time|current_timestamp|default|deferrable|delete|distinct|drop|"
    r"else|escape|except|exists|foreign|from|group|having|in|index|insert|intersect|into|is|"
    r"isnull|join|limit|not|nothing|notnull|null|on|or|order|primary|raise|references|"
    r"returning|select|set|table|then|to|transaction|union|unique|update|using|values|when|"
    r"where"
    r")\Z"
)
"""Words that SQLite reads as SQL where a name should stand."""
_TEXTS = {LogicalType.NAME, LogicalType.TEXT}
_SORTED = _TEXTS | {LogicalType.INTEGER, LogicalType.BOOLEAN, LogicalType.TIMESTAMP}
"""By what rows of a file can be put in order."""
ROW_ID = "id"
"""The row number every tiered dataset has beside its declared columns; an archived one is never given again."""


class Column(msgspec.Struct, frozen=True):
    """One column.

    Attributes:
        name: Lower-case identifier.
        type: What it holds.
        doc: What it means, with the unit.
        nullable: Whether it may be absent.
        choices: The only texts it may hold; empty means any.
    """

    name: str
    type: LogicalType
    doc: str
    nullable: bool = False
    choices: tuple[str, ...] = ()

    def check(self, value: object) -> Any:
        """Take a value through the door.

        Args:
            value: What the caller gave; None where it is absent.

        Returns:
            The stored form.

        Raises:
            InvalidValue: The value does not fit, or is absent though required.
        """
        if value is None:
            if self.nullable:
                return None
            raise InvalidValue(f"{self.name}=None: this column is required")
        stored = CHECKS[self.type](value, self.name)
        if self.choices and stored not in self.choices:
            raise InvalidValue(
                f"{self.name}={value!r}: unknown", hint=f"use one of {', '.join(self.choices)}"
            )
        return stored


class Index(msgspec.Struct, frozen=True):
    """A secondary index of the hot table.

    Attributes:
        columns: In order.
        where: Condition of a partial index, SQL over declared columns.
    """

    columns: tuple[str, ...]
    where: str | None = None


class Tiering(msgspec.Struct, frozen=True):
    """How a dataset's rows leave the hot store.

    Attributes:
        time: The column whose UTC day a row belongs to.
        cluster: The order of rows in a file: what is asked together lies together.
        when: Only rows whose column holds one of these texts may leave (None: all whose ``time`` is set).
        hot_days: Default age in whole days from which rows leave.
        symbol: The column whose smallest and largest value the manifest keeps for pruning.
        settled_time: Whether the time of a row is certain and never given differently, as that of a public trade:
            then its day alone says where to look whether it is archived.
    """

    time: str
    cluster: tuple[str, ...]
    when: tuple[str, tuple[str, ...]] | None = None
    hot_days: int = 7
    symbol: str | None = None
    settled_time: bool = False


class Dataset(msgspec.Struct, frozen=True):
    """One declaration.

    Attributes:
        name: The table's and view's name.
        kind: How its rows live; see the module's text.
        doc: What one row is.
        columns: In order, without the row number.
        key: The natural key: no two rows agree on it. Empty where there is none (the row number identifies).
        indexes: Secondary indexes of the hot table.
        tiering: How rows leave the hot store; None means they stay.
        provisional: Whether a row is given again and again until it is final, as a forming candle is: then its
            earlier versions are not kept.
    """

    name: str
    kind: Kind
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    tiering: Tiering | None = None
    provisional: bool = False

    def __post_init__(self) -> None:
        """Refuse a declaration that contradicts itself."""
        names = self.column_names
        self._refuse_bad_names(names)
        mentioned = [*self.key, *(name for index in self.indexes for name in index.columns)]
        if self.tiering:
            mentioned += [self.tiering.time, *(name for name in self.tiering.cluster if name != ROW_ID)]
            mentioned += [self.tiering.when[0]] if self.tiering.when else []
            mentioned += [self.tiering.symbol] if self.tiering.symbol else []
        elif self.kind in ("event", "market") and not self.key:
            raise InvalidValue(f"dataset {self.name}: an untiered dataset needs a key")
        for name in mentioned:
            if name not in names:
                raise InvalidValue(f"dataset {self.name}: {name} is mentioned but not declared as a column")
        for name in self.key:
            if self.column(name).nullable:
                self._refuse(
                    f"the key column {name} is nullable", "two rows without a value would both be kept"
                )
        for column in self.columns:
            if column.type is LogicalType.BLOB and self.kind != "internal":
                self._refuse(f"{column.name} is a BLOB", "keep bytes as text, for example in base64")
        if self.tiering:
            self._refuse_bad_tiers(self.tiering)

    def _refuse_bad_tiers(self, tiering: Tiering) -> None:
        if self.column(tiering.time).type is not LogicalType.TIMESTAMP:
            self._refuse(f"the tiering time {tiering.time} is not a TIMESTAMP")
        for name in tiering.cluster:
            if name in (ROW_ID, tiering.time):  # a row that leaves has both
                continue
            column = self.column(name)
            if column.type not in _SORTED or column.nullable:
                kinds = ", ".join(sorted(kind.name for kind in _SORTED))
                self._refuse(
                    f"rows cannot be put in order by {name}", f"it must be one of {kinds}, not nullable"
                )
        if tiering.symbol and self.column(tiering.symbol).type not in _TEXTS:
            self._refuse(
                f"the symbol {tiering.symbol} is neither NAME nor TEXT", "files are left out by its text"
            )
        if tiering.hot_days < 1:
            self._refuse(f"hot_days={tiering.hot_days}", "it must be at least 1")

    def _refuse(self, message: str, hint: str | None = None) -> NoReturn:
        raise InvalidValue(f"dataset {self.name}: {message}", hint=hint)

    def _refuse_bad_names(self, names: tuple[str, ...]) -> None:
        for name in (self.name, *names):
            taken = name in _RESERVED or _KEYWORD.match(name) or name.startswith("sqlite_")
            if taken or not _IDENTIFIER.match(name):
                raise InvalidValue(
                    f"dataset {self.name}: {name!r} cannot be a name",
                    hint="lower-case letters, digits and _; no word of SQL, not id, rowid, year, month, day, filename",
                )
        if len(set(names)) != len(names):
            raise InvalidValue(f"dataset {self.name}: a column is declared twice")

    @property
    def column_names(self) -> tuple[str, ...]:
        """The declared columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def stored_names(self) -> tuple[str, ...]:
        """The columns of table and files, in order: the row number first where there is one."""
        return (ROW_ID, *self.column_names) if self.numbered else self.column_names

    @property
    def numbered(self) -> bool:
        """Whether rows carry a row number: tiered datasets and internal logs do."""
        return self.tiering is not None or not self.key

    @property
    def remembers_keys(self) -> bool:
        """Whether archived rows are found by key: where the same row could be given again with another time."""
        tiering = self.tiering
        return bool(tiering and self.key and not tiering.settled_time and tiering.time not in self.key)

    def column(self, name: str) -> Column:
        """Return a column by name.

        Args:
            name: A declared column.

        Returns:
            The column.

        Raises:
            UnknownDataset: There is none of that name.
        """
        for column in self.columns:
            if column.name == name:
                return column
        near = difflib.get_close_matches(str(name), self.column_names, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(self.column_names)}"
        raise UnknownDataset(f"dataset {self.name} has no column {name!r}", hint=hint)

    def check_row(self, values: dict[str, object]) -> tuple[Any, ...]:
        """Take a row through the door.

        Args:
            values: Values by column name; absent columns count as None.

        Returns:
            The stored forms, one a declared column, in order.

        Raises:
            InvalidValue: A value does not fit, or a name is no column.
        """
        for name in values:
            if name not in self.column_names:
                self.column(name)
        return tuple([column.check(values.get(column.name)) for column in self.columns])
