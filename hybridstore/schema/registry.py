"""The datasets a store knows: the built-in ones and a user's own."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from hybridstore.errors import InvalidValue, UnknownDataset
from hybridstore.schema.books import BOOKS
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.figures import FIGURES
from hybridstore.schema.internal import INTERNAL
from hybridstore.schema.market import MARKET
from hybridstore.schema.sqlite import ddl


class Registry(Mapping[str, Dataset]):
    """Datasets by name, internal ones included, in the order they were declared.

    Args:
        own: Datasets of the user beside the built-in ones.

    Raises:
        InvalidValue: Two datasets share a name.
    """

    def __init__(self, own: Iterable[Dataset] = ()) -> None:
        self._datasets: dict[str, Dataset] = {}
        for dataset in (*INTERNAL, *BOOKS, *FIGURES, *MARKET):
            self._datasets[dataset.name] = dataset
        for dataset in own:
            self._add(dataset)

    def _add(self, dataset: Dataset) -> None:
        """Tables, indexes and triggers share one set of names; a clash would leave a store nobody can open."""
        if dataset.name in self._datasets:
            raise InvalidValue(
                f"dataset {dataset.name!r} is declared twice", hint="give your own dataset another name"
            )
        if dataset.kind == "internal":
            raise InvalidValue(
                f"dataset {dataset.name!r}: internal is the store's own bookkeeping",
                hint="use state, event, market or aggregate",
            )
        taken = {name: other.name for other in self._datasets.values() for name in ddl(other)}
        for name in ddl(dataset):
            if name in taken:
                raise InvalidValue(
                    f"dataset {dataset.name!r} needs the name {name!r}, which dataset {taken[name]!r} uses",
                    hint="give your own dataset another name",
                )
        self._datasets[dataset.name] = dataset

    def __getitem__(self, name: str) -> Dataset:
        """Return a dataset; an unknown name raises with the nearest known ones."""
        try:
            return self._datasets[name]
        except KeyError:
            raise self.unknown(name) from None

    def __contains__(self, name: object) -> bool:
        """Return whether a dataset of this name is declared."""
        return name in self._datasets

    def __iter__(self) -> Iterator[str]:
        """Iterate over names in the order of declaration."""
        return iter(self._datasets)

    def __len__(self) -> int:
        """Return how many datasets there are."""
        return len(self._datasets)

    def unknown(self, name: str) -> UnknownDataset:
        """Make the error for a name that is no dataset.

        Args:
            name: The name that was given.

        Returns:
            The error, with the nearest public names or all of them as its hint.
        """
        near = difflib.get_close_matches(name.lower(), self.public, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(self.public)}"
        return UnknownDataset(f"no dataset is called {name!r}", hint=hint)

    @property
    def public(self) -> tuple[str, ...]:
        """Names offered to queries: all but the store's own bookkeeping."""
        return tuple(name for name, dataset in self._datasets.items() if dataset.kind != "internal")

    @property
    def tiered(self) -> tuple[Dataset, ...]:
        """The datasets whose rows move into archives."""
        return tuple(dataset for dataset in self._datasets.values() if dataset.tiering)
