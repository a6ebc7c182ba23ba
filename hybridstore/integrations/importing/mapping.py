"""Which column of a file is what: a TOML file, or a guess by the names of the columns.

dataset = "trades"
[columns]
symbol = { column = "Pair", quotes = ["USDT"] }
side = { column = "Type", values = { B = "buy", S = "sell" } }
price = "Price"
executed_at = { column = "Date", zone = "Europe/Berlin", format = "%d.%m.%Y %H:%M:%S" }
fee_currency = { value = "USDT" }
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hybridstore.errors import ConfigError, InvalidValue
from hybridstore.integrations.exchange.report import Problem
from hybridstore.integrations.exchange.steps import Write
from hybridstore.integrations.importing.recording import Item
from hybridstore.integrations.importing.report import Loss
from hybridstore.integrations.importing.rows_of_file import FileRow
from hybridstore.integrations.importing.rules import Rule, rule_of
from hybridstore.integrations.importing.targets import CALLED, Target, target_of
from hybridstore.schema.registry import Registry

_BY_PLACE = {
    "record_fill": ("symbol", "side", "price", "amount"),
    "record_funding": ("symbol", "amount"),
}
_TOGETHER = 500
"""Rows of a dataset that are inserted in one transaction."""


class Mapped:
    """A mapping that fits a file.

    Args:
        target: What a row becomes.
        rules: How each of its columns is taken.
        header: The file's columns.

    Attributes:
        dataset: What rows become.
        unused: Columns of the file that nothing is taken from.
        refused: Rows that could not be taken apart so far.
    """

    def __init__(self, target: Target, rules: Mapping[str, Rule], header: Sequence[str]) -> None:
        missing = [name for name in target.needed if name not in rules]
        if missing:
            raise InvalidValue(
                f"no column is said to be {', '.join(missing)} of {target.name}; the file has {', '.join(header)}",
                hint="say it in a mapping file; --write-mapping FILE begins one",
            )
        self.dataset = target.name
        self.unused = tuple(name for name in header if name not in {rule.column for rule in rules.values()})
        self.refused: list[Problem] = []
        self._target, self._rules = target, dict(rules)

    @property
    def toml(self) -> str:
        """What a mapping file would hold."""
        lines = [f'dataset = "{self.dataset}"', "", "[columns]"]
        lines += [f"{name} = {rule.toml}" for name, rule in self._rules.items()]
        lines += [f"# not taken: {json.dumps(name, ensure_ascii=False)}" for name in self.unused]
        return "\n".join(lines) + "\n"

    def items(self, rows: Iterator[tuple[int, FileRow]], account: str, losses: list[Loss]) -> Iterator[Item]:
        """Turn rows into what is to be recorded.

        Args:
            rows: Rows with their numbers.
            account: Whose they are, where they do not say so.
            losses: What is lost is added to it.

        Yields:
            What is to be recorded; books in the order in which it happened, other rows as they come.
        """
        taken = self._taken(rows, account)
        if self._target.call == "insert":
            yield from self._batches(taken)
        else:
            listed = list(taken)
            time = self._target.time
            if time:  # exports often begin with the newest
                listed.sort(key=lambda one: one[1].get(time) or 0)
            for number, row in listed:
                yield Item(self.dataset, f"row {number}", self._write(row))
        if self.unused:
            losses.append(Loss("columns", len(self.unused), f"not taken: {', '.join(self.unused)}"))

    def _taken(
        self, rows: Iterator[tuple[int, FileRow]], account: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        seen: Counter[str] = Counter()
        for number, row in rows:
            try:
                found = {name: rule.take(row, name) for name, rule in self._rules.items()}
            except InvalidValue as error:
                self.refused.append(Problem(self.dataset, f"row {number}", str(error)))
                continue
            found = {name: value for name, value in found.items() if value is not None}
            if "account" in self._target.columns:
                found.setdefault("account", account)
            own = self._target.own_id
            if own and own not in found:
                found |= _made_up(found, own, seen)
            yield number, found

    def _batches(self, taken: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Item]:
        batch: list[tuple[int, dict[str, Any]]] = []
        for one in taken:
            batch.append(one)
            if len(batch) == _TOGETHER:
                yield self._batch(batch)
                batch = []
        if batch:
            yield self._batch(batch)

    def _batch(self, batch: list[tuple[int, dict[str, Any]]]) -> Item:
        full = [dict.fromkeys(self._target.columns) | row for _, row in batch]
        return Item(self.dataset, f"row {batch[0][0]}", Write("insert", (self.dataset, full)))

    def _write(self, row: dict[str, Any]) -> Write:
        if self._target.call == "batch_update_balances":  # of a batch it is told which were known
            return Write("batch_update_balances", ([row],))
        places = _BY_PLACE.get(self._target.call, ())
        details = {name: value for name, value in row.items() if name not in places}
        return Write(self._target.call, tuple(row.get(name) for name in places), details)


def _made_up(row: Mapping[str, Any], name: str, seen: Counter[str]) -> dict[str, Any]:
    """Make an id of what a row says, the same in every import of the file; equal rows are counted."""
    said = json.dumps({key: str(value) for key, value in sorted(row.items())}).encode()
    digest = hashlib.sha256(said).hexdigest()[:24]
    seen[digest] += 1
    made = {name: f"row-{digest}-{seen[digest]}"}
    return {**made, "synthetic_id": True} if name == "trade_id" else made


def read_mapping(
    mapping: Path | str | Mapping[str, Any], header: Sequence[str], dataset: str | None, registry: Registry
) -> Mapped:
    """Take a mapping.

    Args:
        mapping: A TOML file, or what it would hold.
        header: The file's columns.
        dataset: What rows are, where the mapping does not say so.
        registry: The store's datasets.

    Returns:
        The mapping.

    Raises:
        ConfigError: The file cannot be read, or says what no mapping says.
        InvalidValue: It does not fit the columns.
    """
    told = mapping if isinstance(mapping, Mapping) else _toml(Path(mapping))
    unknown = set(told) - {"dataset", "columns"}
    if unknown:
        raise ConfigError(f"mapping: unknown key {min(unknown)!r}", hint="dataset and [columns] are known")
    name = told.get("dataset") or dataset
    if not name or (dataset and name != dataset):
        raise ConfigError(
            f"mapping: dataset {name!r}, asked for was {dataset!r}", hint='write dataset = "trades"'
        )
    target = target_of(str(name), registry)
    columns = told.get("columns")
    if not isinstance(columns, Mapping):
        raise ConfigError("mapping: there is no [columns]")
    for column in columns:
        if column not in target.columns:
            raise InvalidValue(
                f"mapping: {target.name} has no column {column!r}", hint=f"{', '.join(target.columns)}"
            )
    rules = {
        column: rule_of(column, rule, header, is_time=column in target.times)
        for column, rule in columns.items()
    }
    return Mapped(target, rules, header)


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"mapping: {error}", path=str(path)) from error


def guess_mapping(header: Sequence[str], dataset: str | None, registry: Registry) -> Mapped:
    """Guess a mapping by the names of the columns.

    Args:
        header: They.
        dataset: What rows are.
        registry: The store's datasets.

    Returns:
        The mapping; columns whose names are not known are left out.

    Raises:
        InvalidValue: It is not said what rows are, or what they need has no name that is known.
    """
    if not dataset:
        raise InvalidValue("it is not said what the rows are", hint="--dataset trades, or a mapping file")
    target = target_of(dataset, registry)
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(header)}
    rules: dict[str, Rule] = {}
    for want in target.columns:  # its own name first, so that no other column takes it as a second name
        own = plain.get(want.replace("_", ""))
        if own is not None:
            rules[want] = rule_of(want, own, header, is_time=want in target.times)
    for want in target.columns:
        taken = {rule.column for rule in rules.values()}
        found = next(
            (plain[name] for name in CALLED.get(want, ()) if plain.get(name) not in {None, *taken}), None
        )
        if want not in rules and found is not None:
            rules[want] = rule_of(want, found, header, is_time=want in target.times)
    return Mapped(target, rules, header)
