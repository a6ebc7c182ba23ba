"""Figures in the format of Prometheus, by a collector that reads them when asked; needs ``hybridstore[metrics]``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from hybridstore.errors import ConfigError
from hybridstore.operations.figures import CATALOGUE, Figure

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

INSTALL = "pip install 'hybridstore[metrics]'"


class StoreCollector:
    """Gives the figures of a store to a registry of prometheus_client.

    Args:
        read: Reads them, as an Observer does.
    """

    def __init__(self, read: Callable[[], Iterable[Figure]]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        """Say nothing beforehand: to register reads nothing.

        Returns:
            Nothing.
        """
        return []

    def collect(self) -> Iterator[Metric]:
        """Read every figure.

        Yields:
            A family of each.
        """
        from prometheus_client.core import GaugeMetricFamily

        for figure in self._read():
            about = CATALOGUE[figure.name]
            family = GaugeMetricFamily(figure.name, about.means, labels=[about.label] if about.label else [])
            for label, value in sorted(figure.samples.items()):
                family.add_metric([label] if about.label else [], value)
            yield family


def exposition(figures: Iterable[Figure], accept: str = "") -> tuple[bytes, str]:
    """Return figures as Prometheus reads them.

    Args:
        figures: As an Observer reads them.
        accept: What the reader understands, as its Accept header says.

    Returns:
        The text and its content type.

    Raises:
        ConfigError: prometheus_client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
    except ImportError as error:
        raise ConfigError("metrics need prometheus_client, which is not installed", hint=INSTALL) from error
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StoreCollector(lambda: figures))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
