"""``hybridstore metrics``: the figures of a store once, for the textfile collector of node_exporter."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hybridstore.cli.options import Root, existing_root
from hybridstore.config import load_settings
from hybridstore.durable import write_error


def metrics(
    *,
    root: Root = None,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="File to replace, whole, for the textfile collector."),
    ] = None,
) -> None:
    """Print the figures of a store once, in the text format of Prometheus."""
    from hybridstore.operations.figures import Observer
    from hybridstore.operations.metrics import exposition

    observer = Observer(load_settings(existing_root(root)))
    try:
        content, _ = exposition(observer.figures())
    finally:
        observer.close()
    if output is None:
        sys.stdout.write(content.decode())
        return
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")  # the collector reads *.prom
    try:
        temporary.write_bytes(content)
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(error, "write metrics", output) from error
